//! Several ports on one loop, each with a service of its own.
//!
//! cargo run --example many_ports -- echo=127.0.0.1:7007 upper=127.0.0.1:7008 \
//!     discard=127.0.0.1:7009 daytime=127.0.0.1:7013
//!
//! nc localhost 7007                       # what you say
//! nc localhost 7008                       # WHAT YOU SAY
//! nc localhost 7009 < /dev/zero           # nothing, as fast as you like
//! nc localhost 7013                       # the time, and goodbye
//! nc localhost 7007 < /dev/zero | sleep 600    # does not read: it waits, and nobody else does

use futures_io::{AsyncRead, AsyncWrite};
use snow::{
    Result,
    net::{TcpListener, TcpStream, serve},
    rt::yield_now,
    spawn, timeout,
};
use std::{
    env,
    future::poll_fn,
    io,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

const USAGE: &str = "usage: many_ports [idle=SECONDS] (echo|upper|discard|daytime)=ADDR…";

/// Bytes that a connection may owe its peer; with more, it is not read until the peer has read.
const MOST_OWED: usize = 64 * 1024;

/// Bytes read at once.
const CHUNK: usize = 4096;

#[derive(Clone, Copy, Debug)]
enum Service {
    Echo,
    Upper,
    Discard,
    Daytime,
}

impl Service {
    /// What a peer is told that has said nothing yet.
    fn greet(self) -> Vec<u8> {
        match self {
            Service::Daytime => (httpdate::fmt_http_date(SystemTime::now()) + "\r\n").into_bytes(),
            Service::Echo | Service::Upper | Service::Discard => Vec::new(),
        }
    }

    /// Adds the answer to `input`.
    fn answer(self, input: &[u8], owed: &mut Vec<u8>) {
        match self {
            Service::Echo => owed.extend_from_slice(input),
            Service::Upper => owed.extend(input.iter().map(u8::to_ascii_uppercase)),
            Service::Discard | Service::Daytime => {}
        }
    }
}

impl FromStr for Service {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Service, &'static str> {
        match name {
            "echo" => Ok(Service::Echo),
            "upper" => Ok(Service::Upper),
            "discard" => Ok(Service::Discard),
            "daytime" => Ok(Service::Daytime),
            _ => Err(USAGE),
        }
    }
}

/// A connection that reads and writes at the same time: neither waits for the other until too much
/// is owed.
struct Conversation {
    stream: TcpStream,
    service: Service,
    owed: Vec<u8>,
    /// Whether the peer has more to say, or is listened to.
    is_open: bool,
}

impl Conversation {
    fn new(stream: TcpStream, service: Service) -> Conversation {
        let is_open = !matches!(service, Service::Daytime);
        Conversation { stream, service, owed: service.greet(), is_open }
    }

    fn is_over(&self) -> bool {
        !self.is_open && self.owed.is_empty()
    }

    /// Is ready when something was read or written, or both.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outcome = Poll::Pending;
        if self.is_open && self.owed.len() < MOST_OWED {
            let mut chunk = [0; CHUNK];
            if let Poll::Ready(count) = Pin::new(&mut self.stream).poll_read(cx, &mut chunk)? {
                self.is_open = count > 0;
                self.service.answer(&chunk[..count], &mut self.owed);
                outcome = Poll::Ready(Ok(()));
            }
        }
        if !self.owed.is_empty() {
            if let Poll::Ready(count) = Pin::new(&mut self.stream).poll_write(cx, &self.owed)? {
                self.owed.drain(..count);
                outcome = Poll::Ready(Ok(()));
            }
        }
        outcome
    }
}

/// Talks until both sides are done, or nothing moves for too long.
async fn converse(mut conversation: Conversation, idle: Duration) -> io::Result<()> {
    while !conversation.is_over() {
        timeout(idle, poll_fn(|cx| conversation.poll_step(cx))).await??;
        // A peer that is always ready does not keep the others waiting.
        yield_now().await;
    }
    Ok(())
}

async fn run(services: Vec<(Service, &str)>, idle: Duration) -> Result<()> {
    let mut servers = Vec::new();
    for (service, addr) in services {
        let listener = TcpListener::bind(arg(addr)?)?;
        log::info!("{service:?}: listening on {}", listener.local_addr()?);
        let server =
            serve(listener, move |stream, _| converse(Conversation::new(stream, service), idle));
        servers.push(spawn(server.handle_signals().into_future()));
    }
    for server in servers {
        server.await?;
    }
    Ok(())
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    let (mut services, mut idle) = (Vec::new(), Duration::from_secs(60));
    for word in &args {
        match word.split_once('=').ok_or(USAGE)? {
            ("idle", seconds) => idle = Duration::from_secs(arg(seconds)?),
            (service, addr) => services.push((service.parse()?, addr)),
        }
    }
    if services.is_empty() {
        return Err(USAGE.into());
    }
    snow::block_on(run(services, idle))
}
