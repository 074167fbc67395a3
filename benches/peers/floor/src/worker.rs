//! One loop: an epoll instance, a listener of its own, and the connections it accepted.
//!
//! Sockets are registered once, edge-triggered, for both directions. A read shorter than the buffer
//! means drained. A descriptor's number is its token.

use crate::answers::{Answer, Answers, append_text, append_text_head};
use memchr::memmem;
use rustix::{
    buffer::spare_capacity,
    event::{EventfdFlags, epoll, eventfd},
    fd::{AsRawFd, OwnedFd},
    fs::sendfile,
    io::{Errno, Result, read, write, writev},
    net::{
        AddressFamily, Ipv4Addr, RecvFlags, SendFlags, SocketAddrV4, SocketFlags, SocketType,
        accept_with, bind, listen, recv, send, socket_with, sockopt,
    },
    time::Timespec,
};
use std::{collections::VecDeque, fs::File, io::IoSlice, sync::Mutex, thread, time::Instant};

const BACKLOG: i32 = 4096;
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// The bells of all workers: `/release` rings them from a thread of its own.
#[derive(Default)]
pub struct Shared {
    bells: Mutex<Vec<OwnedFd>>,
}

pub struct Worker {
    answers: &'static Answers,
    shared: &'static Shared,
    epoll: OwnedFd,
    listener: OwnedFd,
    bell: OwnedFd,
    /// By descriptor number.
    conns: Vec<Option<Conn>>,
    accepted: u64,
    /// Due in order, for all sleeps of a run last equally long.
    sleeping: VecDeque<(Instant, Ticket)>,
    parked: Vec<Ticket>,
    input: Vec<u8>,
    output: Vec<u8>,
}

struct Conn {
    socket: OwnedFd,
    serial: u64,
    /// The start of a request whose rest has not arrived.
    partial: Vec<u8>,
    unsent: Unsent,
}

/// Names a connection that waits, even when its descriptor has been closed and used again.
#[derive(Clone, Copy)]
struct Ticket {
    token: usize,
    serial: u64,
}

/// What the socket would not take yet.
enum Unsent {
    Nothing,
    Canned(&'static [u8]),
    Owned { bytes: Vec<u8>, sent: usize },
    File { file: &'static File, sent: u64, len: u64 },
}

#[derive(PartialEq)]
enum Fate {
    Keep,
    Close,
}

impl Worker {
    pub fn new(port: u16, answers: &'static Answers, shared: &'static Shared) -> Result<Worker> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listener = listen_on(port)?;
        let bell = eventfd(0, EventfdFlags::NONBLOCK)?;
        for source in [&listener, &bell] {
            epoll::add(&epoll, source, token_of(source), epoll::EventFlags::IN)?;
        }
        let ring = bell.try_clone().map_err(|_| Errno::MFILE)?;
        shared.bells.lock().expect("no holder panics").push(ring);
        Ok(Worker {
            answers,
            shared,
            epoll,
            listener,
            bell,
            conns: Vec::new(),
            accepted: 0,
            sleeping: VecDeque::new(),
            parked: Vec::new(),
            input: vec![0; READ_BUFFER_BYTES],
            output: Vec::new(),
        })
    }

    pub fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(1024);
        let listener = self.listener.as_raw_fd() as u64;
        let bell = self.bell.as_raw_fd() as u64;
        loop {
            let timeout = self.until_next_deadline();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    token if token == listener => self.accept()?,
                    token if token == bell => self.release(),
                    token => self.serve(token as usize),
                }
            }
            self.wake_sleepers();
        }
    }

    fn accept(&mut self) -> Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let socket = match accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(Errno::AGAIN | Errno::CONNABORTED) => return Ok(()),
                Err(error) => return Err(error),
            };
            let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &socket, token_of(&socket), interest)?;
            let token = socket.as_raw_fd() as usize;
            if self.conns.len() <= token {
                self.conns.resize_with(token + 1, || None);
            }
            self.accepted += 1;
            self.conns[token] = Some(Conn {
                socket,
                serial: self.accepted,
                partial: Vec::new(),
                unsent: Unsent::Nothing,
            });
        }
    }

    fn serve(&mut self, token: usize) {
        let Some(mut conn) = self.conns.get_mut(token).and_then(Option::take) else {
            return;
        };
        if self.drive(&mut conn, token) == Ok(Fate::Keep) {
            self.conns[token] = Some(conn);
        }
    }

    /// Sends what is unsent, then reads and answers until the socket is drained or will not take
    /// more.
    fn drive(&mut self, conn: &mut Conn, token: usize) -> Result<Fate> {
        loop {
            if !conn.flush()? {
                return Ok(Fate::Keep);
            }
            let len = match recv(&conn.socket, &mut self.input[..], RecvFlags::empty()) {
                Ok((_, 0)) => return Ok(Fate::Close),
                Ok((_, len)) => len,
                Err(Errno::AGAIN) => return Ok(Fate::Keep),
                Err(error) => return Err(error),
            };
            let fate = if conn.partial.is_empty() {
                let input = std::mem::take(&mut self.input);
                let fate = self.answer(conn, token, &input[..len]);
                self.input = input;
                fate?
            } else {
                let mut input = std::mem::take(&mut conn.partial);
                input.extend_from_slice(&self.input[..len]);
                self.answer(conn, token, &input)?
            };
            if fate == Fate::Close || len < self.input.len() {
                return Ok(fate);
            }
        }
    }

    /// Answers every whole request in `input`, all of them as the first one asks.
    fn answer(&mut self, conn: &mut Conn, token: usize, input: &[u8]) -> Result<Fate> {
        let answer = self.answers.choose(input);
        if let Answer::Echo = answer {
            return self.echo(conn, input);
        }
        let requests = memmem::find_iter(input, b"\r\n\r\n").count();
        if requests == 0 || !input.ends_with(b"\r\n\r\n") {
            conn.partial = input.to_vec();
            return Ok(Fate::Keep);
        }
        let ticket = Ticket { token, serial: conn.serial };
        match answer {
            Answer::Bytes(bytes) if requests == 1 => conn.send_canned(bytes)?,
            Answer::Bytes(bytes) => {
                self.output.clear();
                (0..requests).for_each(|_| self.output.extend_from_slice(bytes));
                conn.send(&self.output)?;
            }
            Answer::User(id) => {
                self.output.clear();
                (0..requests).for_each(|_| append_text(&mut self.output, id));
                conn.send(&self.output)?;
            }
            Answer::File { head, file } => conn.send_file(head, file)?,
            Answer::Sleep(pause) => self.sleeping.push_back((Instant::now() + pause, ticket)),
            Answer::Park => self.parked.push(ticket),
            Answer::Release => {
                let shared = self.shared;
                thread::spawn(|| shared.ring());
                conn.send_canned(self.answers.done)?;
            }
            Answer::Echo => unreachable!("answered above"),
        }
        let closes = memmem::find(input, b"Connection: close").is_some();
        Ok(if closes { Fate::Close } else { Fate::Keep })
    }

    fn echo(&mut self, conn: &mut Conn, mut input: &[u8]) -> Result<Fate> {
        while let Some((body, rest)) = split_body(input) {
            self.output.clear();
            append_text_head(&mut self.output, body.len());
            conn.send_parts(&self.output, body)?;
            input = rest;
        }
        conn.partial = input.to_vec();
        Ok(Fate::Keep)
    }

    fn until_next_deadline(&self) -> Option<Timespec> {
        let (due, _) = self.sleeping.front()?;
        Timespec::try_from(due.saturating_duration_since(Instant::now())).ok()
    }

    fn wake_sleepers(&mut self) {
        if self.sleeping.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((due, ticket)) = self.sleeping.front().copied()
            && due <= now
        {
            self.sleeping.pop_front();
            self.finish(ticket);
        }
    }

    fn release(&mut self) {
        let mut count = [0; 8];
        if read(&self.bell, &mut count).is_ok() {
            for ticket in std::mem::take(&mut self.parked) {
                self.finish(ticket);
            }
        }
    }

    fn finish(&mut self, ticket: Ticket) {
        let Some(slot) = self.conns.get_mut(ticket.token) else {
            return;
        };
        if let Some(conn) = slot
            && conn.serial == ticket.serial
            && conn.send_canned(self.answers.done).is_err()
        {
            *slot = None;
        }
    }
}

impl Shared {
    fn ring(&self) {
        for bell in self.bells.lock().expect("no holder panics").iter() {
            // A full counter means that the bell rings already.
            let _ = write(bell, &1u64.to_ne_bytes());
        }
    }
}

impl Conn {
    fn send_canned(&mut self, bytes: &'static [u8]) -> Result<()> {
        let sent = self.try_send(bytes)?;
        if sent < bytes.len() {
            self.unsent = Unsent::Canned(&bytes[sent..]);
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.try_send(bytes)?;
        if sent < bytes.len() {
            self.unsent = Unsent::Owned { bytes: bytes[sent..].to_vec(), sent: 0 };
        }
        Ok(())
    }

    fn send_parts(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        let sent = match writev(&self.socket, &[IoSlice::new(head), IoSlice::new(body)]) {
            Err(Errno::AGAIN) => 0,
            other => other?,
        };
        if sent < head.len() + body.len() {
            self.unsent = Unsent::Owned { bytes: [head, body].concat(), sent };
        }
        Ok(())
    }

    fn send_file(&mut self, head: &[u8], file: &'static File) -> Result<()> {
        send(&self.socket, head, SendFlags::MORE)?;
        let len = file.metadata().map_err(|_| Errno::IO)?.len();
        self.unsent = Unsent::File { file, sent: 0, len };
        self.flush().map(|_| ())
    }

    /// Returns whether nothing is left to send.
    fn flush(&mut self) -> Result<bool> {
        let mut unsent = std::mem::replace(&mut self.unsent, Unsent::Nothing);
        let is_sent = match &mut unsent {
            Unsent::Nothing => true,
            Unsent::Canned(bytes) => {
                let sent = self.try_send(bytes)?;
                *bytes = &bytes[sent..];
                bytes.is_empty()
            }
            Unsent::Owned { bytes, sent } => {
                *sent += self.try_send(&bytes[*sent..])?;
                *sent == bytes.len()
            }
            Unsent::File { file, sent, len } => {
                while *sent < *len {
                    let rest = (*len - *sent) as usize;
                    match sendfile(&self.socket, *file, Some(sent), rest) {
                        Ok(0) => return Err(Errno::IO),
                        Ok(_) => {}
                        Err(Errno::AGAIN) => break,
                        Err(error) => return Err(error),
                    }
                }
                *sent == *len
            }
        };
        if !is_sent {
            self.unsent = unsent;
        }
        Ok(is_sent)
    }

    fn try_send(&self, bytes: &[u8]) -> Result<usize> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => Ok(0),
            other => other,
        }
    }
}

/// Splits the body of the first request in `input` from what follows it.
fn split_body(input: &[u8]) -> Option<(&[u8], &[u8])> {
    const LENGTH: &[u8] = b"Content-Length: ";
    let head = memmem::find(input, b"\r\n\r\n")? + 4;
    let digits = memmem::find(&input[..head], LENGTH)? + LENGTH.len();
    let len = input[digits..head]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
    input[head..].split_at_checked(len)
}

fn listen_on(port: u16) -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn token_of(descriptor: &OwnedFd) -> epoll::EventData {
    epoll::EventData::new_u64(descriptor.as_raw_fd() as u64)
}
