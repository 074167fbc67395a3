//! What a response looks like: read whole once, then recognised by its status line and its length.

use crate::socket::{self, Input};
use memchr::memmem;
use rustix::{
    fd::OwnedFd,
    net::{RecvFlags, recv, sockopt},
};
use std::{io, time::Duration};

const STATUS: &[u8] = b"HTTP/1.1 200 ";
/// How long the first response, and the end of the stream after it, may take.
const PATIENCE: Duration = Duration::from_secs(5);
const CLOSE_PATIENCE: Duration = Duration::from_millis(200);

/// What all responses to one request have in common.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Head and body.
    pub len: usize,
    /// Whether the server closes after it.
    pub closes: bool,
}

impl Shape {
    /// Sends `request` on a connection of its own and reads the response whole.
    pub fn probe(port: u16, request: &[u8]) -> io::Result<Shape> {
        let socket = socket::open(port)?;
        ask(&socket, request)?;
        Shape::read(&socket)
    }

    /// Opens a connection and has `request` answered on it.
    ///
    /// One at a time: a server with a thread per connection needs a moment for each (tiny_http
    /// leaves some of a burst waiting for ever).
    pub fn open(&self, port: u16, request: &[u8]) -> io::Result<OwnedFd> {
        let socket = socket::open(port)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        ask(&socket, request)?;
        let mut scan = Scan::default();
        let mut chunk = [0; 16 * 1024];
        loop {
            let (_, len) = recv(&socket, &mut chunk, RecvFlags::empty())?;
            match scan.take(&chunk[..len], self.len) {
                Some(0) if len > 0 => {}
                Some(1) => return Ok(socket),
                Some(_) | None => return Err(io::Error::other("not one response")),
            }
        }
    }

    /// Reads a response whole.
    ///
    /// # Errors
    ///
    /// Fails unless it is a 200 whose body has a known end.
    pub fn read(socket: &OwnedFd) -> io::Result<Shape> {
        sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = memmem::find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
            read_more(socket, &mut bytes)?;
        };
        if !bytes.starts_with(STATUS) {
            return Err(refused(&bytes[..head]));
        }
        let framing = Framing::of(&bytes[..head])?;
        while !framing.is_whole(&bytes[head..]) {
            read_more(socket, &mut bytes)?;
        }
        let len = bytes.len();
        sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(CLOSE_PATIENCE))?;
        let closes = matches!(recv(socket, &mut [0; 1], RecvFlags::empty()), Ok((0, _)));
        Ok(Shape { len, closes })
    }
}

/// Sends a request, waiting as long as it takes.
pub fn ask(socket: &OwnedFd, mut request: &[u8]) -> io::Result<()> {
    while !request.is_empty() {
        request = &request[rustix::io::write(socket, request)?..];
    }
    Ok(())
}

fn read_more(socket: &OwnedFd, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    let (_, len) = recv(socket, &mut chunk, RecvFlags::empty())?;
    if len == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.extend_from_slice(&chunk[..len]);
    Ok(())
}

/// How the end of the body is known.
enum Framing {
    Length(usize),
    /// The chunks of one body are the same each time, so their total length is too.
    Chunked,
}

impl Framing {
    fn of(head: &[u8]) -> io::Result<Framing> {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .find_map(|(name, value)| match (name, value.trim()) {
                ("content-length", len) => len.parse().ok().map(Framing::Length),
                ("transfer-encoding", "chunked") => Some(Framing::Chunked),
                _ => None,
            })
            .ok_or_else(|| io::Error::other("a response of unknown length"))
    }

    fn is_whole(&self, body: &[u8]) -> bool {
        match self {
            Framing::Length(len) => body.len() >= *len,
            Framing::Chunked => body.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

fn refused(head: &[u8]) -> io::Error {
    let head = String::from_utf8_lossy(head);
    io::Error::other(format!("not a 200: {}", head.lines().next().unwrap_or_default()))
}

/// Where in the stream of responses a connection stands.
#[derive(Default)]
pub struct Scan {
    /// Within the response that is arriving.
    position: usize,
}

impl Scan {
    /// Takes the bytes that arrived next; returns how many responses ended in them, or `None` when
    /// they are no responses of this length.
    pub fn take(&mut self, mut bytes: &[u8], len: usize) -> Option<u64> {
        let mut ended = 0;
        while !bytes.is_empty() {
            let piece = bytes.len().min(len - self.position);
            if let Some(expected) = STATUS.get(self.position..) {
                let seen = piece.min(expected.len());
                if bytes[..seen] != expected[..seen] {
                    return None;
                }
            }
            bytes = &bytes[piece..];
            ended += self.skip(piece, len);
        }
        Some(ended)
    }

    /// Advances by `count` bytes that nobody looked at, at most to the end of the response; returns
    /// 1 when that ended it.
    pub fn skip(&mut self, count: usize, len: usize) -> u64 {
        self.position += count;
        if self.position == len {
            self.position = 0;
            return 1;
        }
        0
    }

    /// Returns how much of the present response need not be looked at.
    pub fn unchecked(&self, len: usize) -> usize {
        if self.position < STATUS.len() { 0 } else { len - self.position }
    }
}

/// Reads what has arrived on `socket`; returns how many responses ended in it.
///
/// # Errors
///
/// Fails when the stream ended, or carries anything but responses of this length.
pub fn receive(socket: &OwnedFd, scan: &mut Scan, len: usize, buf: &mut [u8]) -> io::Result<u64> {
    let mut ended = 0;
    loop {
        let rest = scan.unchecked(len).min(buf.len());
        let (input, asked) = if rest > DISCARD_BYTES {
            (socket::discard(socket, &mut buf[..rest])?, rest)
        } else {
            // A long body is dropped, so only its start is worth copying.
            let wanted = if len > DISCARD_BYTES { STATUS.len() } else { buf.len() };
            (socket::receive(socket, &mut buf[..wanted])?, wanted)
        };
        let count = match input {
            Input::Bytes(count) => count,
            Input::Nothing => return Ok(ended),
            Input::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        ended += if rest > DISCARD_BYTES {
            scan.skip(count, len)
        } else {
            scan.take(&buf[..count], len).ok_or_else(|| io::Error::other("not a response"))?
        };
        if count < asked {
            return Ok(ended);
        }
    }
}

/// A body that has more than so many bytes to come is dropped in the kernel.
const DISCARD_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

    #[test]
    fn responses_are_counted_however_they_are_split() {
        let stream = RESPONSE.repeat(3);
        for split in 0..stream.len() {
            let mut scan = Scan::default();
            let (first, second) = stream.split_at(split);
            let ended = scan.take(first, RESPONSE.len()).unwrap()
                + scan.take(second, RESPONSE.len()).unwrap();
            assert_eq!(ended, 3, "split at {split}");
        }
    }

    #[test]
    fn a_response_of_another_length_is_noticed_at_the_next() {
        let mut scan = Scan::default();
        let stream = [RESPONSE, b"!", RESPONSE].concat();
        assert_eq!(scan.take(&stream, RESPONSE.len()), None);
    }
}
