//! What is sent comes back, byte by byte, for one client or ten thousand.
//!
//! cargo run --example tcp_echo -- server 127.0.0.1:7777
//! cargo run --example tcp_echo -- client 127.0.0.1:7777 1000 10    # 1,000 clients, 10 messages each
//!
//! nc localhost 7777                             # each line comes back; `quit` ends the session,
//! printf 'no newline' | nc -N localhost 7777    # and so does the end, once all is sent back;
//! echo boom | nc localhost 7777                 # a panic costs this connection and no other
//!
//! Ten thousand clients take as many descriptors at either end: `ulimit -n 20000`.

use snow::{
    Bytes, Result,
    net::{
        Decode, Decoded, Encode, FrameError, FrameErrorKind, Framed, ReadExt, TcpListener,
        TcpStream, WriteExt, serve,
    },
    timeout,
};
use std::{
    env, io,
    str::FromStr,
    time::{Duration, Instant},
};

const USAGE: &str = "usage: tcp_echo server ADDR [IDLE_SECONDS] | client ADDR CLIENTS MESSAGES";

/// How long a client waits for a connection and for each answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the longest line.
const LONGEST: usize = 16 * 1024;

/// Lines with whatever ends them, so that what goes back is what came.
struct Verbatim;

impl Decode for Verbatim {
    type Message = Bytes;
    /// How many bytes have been searched.
    type Progress = usize;

    fn decode(&self, searched: &mut usize, input: &[u8]) -> Result<Decoded<Bytes>, FrameError> {
        let end = input[*searched..].iter().position(|&byte| byte == b'\n');
        let len = end.map_or(input.len(), |end| *searched + end + 1);
        if len > LONGEST {
            return Err(FrameError::new(FrameErrorKind::TooLong, "the line is too long"));
        }
        *searched = len;
        Ok(match end {
            Some(_) => Decoded::Message(Bytes::copy_from_slice(&input[..len]), len),
            None => Decoded::Partial(1),
        })
    }

    /// What stands behind the last line goes back too.
    fn decode_end(&self, _: &mut usize, input: &[u8]) -> Result<Bytes, FrameError> {
        Ok(Bytes::copy_from_slice(input))
    }
}

impl Encode<Bytes> for Verbatim {
    fn encode(&self, line: &Bytes, output: &mut Vec<u8>) -> Result<(), FrameError> {
        output.extend_from_slice(line);
        Ok(())
    }
}

/// Sends every line back. While it waits it has no buffer: `Framed` reads into one of the thread.
async fn echo(stream: TcpStream, idle: Duration) -> io::Result<()> {
    let mut lines = Framed::new(stream, Verbatim);
    while let Some(line) = timeout(idle, lines.next()).await? {
        let line = line?;
        match line.trim_ascii() {
            b"quit" => break,
            b"boom" => panic!("boom, as the peer said"),
            _ => timeout(idle, lines.send(&line)).await??,
        }
    }
    Ok(lines.close().await?)
}

async fn server(addr: &str, idle: Duration) -> Result<()> {
    let listener = TcpListener::bind(arg(addr)?)?;
    log::info!("listening on {}", listener.local_addr()?);
    let server = serve(listener, move |stream, _| echo(stream, idle));
    Ok(server.handle_signals().await?)
}

async fn client(addr: &str, clients: usize, messages: usize) -> Result<()> {
    // All are connected before the first one speaks.
    let mut streams = Vec::new();
    for _ in 0..clients {
        streams.push(TcpStream::connect_timeout(addr, PATIENCE).await?);
    }
    let begun = Instant::now();
    let start = |(number, stream)| snow::spawn(talk(number, stream, messages));
    let talks: Vec<_> = (1..).zip(streams).map(start).collect();
    for talk in talks {
        talk.await?;
    }
    let took = begun.elapsed();
    println!("{clients} clients, {messages} messages each: every byte came back, in {took:.1?}");
    Ok(())
}

/// One client: sends messages of many lengths, and takes nothing else for an answer.
async fn talk(number: usize, mut stream: TcpStream, messages: usize) -> Result<()> {
    for message in 1..=messages {
        let snow = "❄".repeat((7 * number + 37 * message) % 100);
        let sent = format!("client {number}, message {message} {snow}\r\n");
        timeout(PATIENCE, exchange(&mut stream, sent.as_bytes())).await??;
    }
    stream.write_all(b"quit\n").await?;
    match timeout(PATIENCE, stream.read(&mut [0])).await?? {
        0 => Ok(()),
        _ => Err("there was more than was sent".into()),
    }
}

async fn exchange(stream: &mut TcpStream, sent: &[u8]) -> Result<()> {
    stream.write_all(sent).await?;
    let mut echo = vec![0; sent.len()];
    stream.read_exact(&mut echo).await?;
    if echo != sent {
        return Err(format!("\"{}\" came back changed", sent.escape_ascii()).into());
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
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", addr] => snow::block_on(server(addr, Duration::from_secs(60))),
        ["server", addr, idle] => snow::block_on(server(addr, Duration::from_secs(arg(idle)?))),
        ["client", addr, clients, messages] => {
            snow::block_on(client(addr, arg(clients)?, arg(messages)?))
        }
        _ => Err(USAGE.into()),
    }
}
