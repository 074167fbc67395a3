//! A raw connection, and a reader of answers that is strict.

use socket2::SockRef;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// How long anything may take; after that somebody hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, its content without framing.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) is_last: bool,
    pub(crate) content: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Result<Client, String> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)
            .map_err(|error| format!("cannot connect: {error}"))?;
        Client::new(stream)
    }

    pub(crate) fn new(stream: TcpStream) -> Result<Client, String> {
        let prepare = || {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_read_timeout(Some(PATIENCE))
        };
        prepare().map_err(|error| format!("cannot prepare: {error}"))?;
        Ok(Client { stream, received: Vec::new() })
    }

    /// Sends as much as is taken: a server that has had enough says so in its answer.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub(crate) fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes so that the server sees a reset.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    pub(crate) fn ask(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: soak\r\n\r\n").as_bytes());
    }

    /// Asks and expects a 200.
    pub(crate) fn get(&mut self, target: &str) -> Result<String, String> {
        self.ask(target);
        let answer = self.read()?;
        match answer.status {
            200 => String::from_utf8(answer.content).map_err(|error| error.to_string()),
            status => Err(format!("{target}: {status}")),
        }
    }

    /// Reads one answer.
    pub(crate) fn read(&mut self) -> Result<Answer, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let parsed = parse(&self.received, false);
            match parsed.map_err(|fault| format!("{fault}: {}", self.received.escape_ascii()))? {
                Some((answer, len)) => {
                    self.received.drain(..len);
                    return Ok(answer);
                }
                None if Instant::now() > deadline => return Err("no answer in time".to_string()),
                None if self.fill()? => {}
                None => return Err(format!("no whole answer: {}", self.received.escape_ascii())),
            }
        }
    }

    /// Reads to the end; a reset is one too. Returns every answer.
    pub(crate) fn read_to_end(mut self) -> Result<Vec<Answer>, String> {
        let deadline = Instant::now() + PATIENCE;
        while self.fill()? {
            if Instant::now() > deadline {
                return Err("the connection does not end".to_string());
            }
        }
        let (mut rest, mut answers) = (&self.received[..], Vec::new());
        while !rest.is_empty() {
            match parse(rest, true)? {
                Some((answer, len)) => {
                    answers.push(answer);
                    rest = &rest[len..];
                }
                None => return Err(format!("half an answer: {}", rest.escape_ascii())),
            }
        }
        Ok(answers)
    }

    /// Reads what comes next; false at the end.
    fn fill(&mut self) -> Result<bool, String> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(len) => {
                self.received.extend_from_slice(&bytes[..len]);
                Ok(len > 0)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(format!("nothing comes: {error}")),
        }
    }
}

/// Takes one answer off, once it is all there.
fn parse(input: &[u8], is_end: bool) -> Result<Option<(Answer, usize)>, String> {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&input[..end]).map_err(|_| "a head that is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|line| line.get(..4)?.strip_suffix(' ')?.parse().ok());
    let status: u16 = status.ok_or("no status line")?;
    let (mut len, mut is_chunked, mut is_last) = (None, false, false);
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or("no field")?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" if len.is_none() => {
                len = Some(value.parse::<usize>().map_err(|_| "no length")?);
            }
            "transfer-encoding" if !is_chunked && value == "chunked" => is_chunked = true,
            "content-length" | "transfer-encoding" => return Err("framed twice".to_string()),
            "connection" => is_last = value == "close",
            _ => {}
        }
    }
    if len.is_some() && is_chunked {
        return Err("framed twice".to_string());
    }
    let mut rest = &input[end + 4..];
    let mut content = Vec::new();
    if status < 200 || status == 204 || status == 304 {
        // No content, whatever the head says.
    } else if is_chunked {
        loop {
            let Some(at) = rest.windows(2).position(|window| window == b"\r\n") else {
                return Ok(None);
            };
            let size = std::str::from_utf8(&rest[..at]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or("no chunk size")?;
            let Some(chunk) = rest.get(at + 2..at + 4 + size) else { return Ok(None) };
            content.extend_from_slice(chunk.strip_suffix(b"\r\n").ok_or("no chunk end")?);
            rest = &rest[at + 4 + size..];
            if size == 0 {
                break;
            }
        }
    } else if let Some(len) = len {
        let Some(bytes) = rest.get(..len) else { return Ok(None) };
        content = bytes.to_vec();
        rest = &rest[len..];
    } else if is_last && is_end {
        content = std::mem::take(&mut rest).to_vec();
    } else if !is_end {
        return Ok(None);
    } else {
        return Err("nothing says where the content ends".to_string());
    }
    Ok(Some((Answer { status, is_last, content }, input.len() - rest.len())))
}
