//! Just enough of a client to ask a question and read the whole answer.

use crate::Result;
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(5);

pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A connection to a server under test.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub fn connect(port: u16) -> Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream })
    }

    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        self.send(method, path, "", body)?;
        self.answer()
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}");
        if method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        self.stream.write_all(&[request.as_bytes(), body].concat())?;
        Ok(())
    }

    pub fn answer(&mut self) -> Result<Answer> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut answer = Answer { status: status.ok_or("no status line")?, head, body: Vec::new() };
        answer.body = match answer.header("content-length") {
            Some(len) => self.read(len.parse()?)?,
            None => self.read_chunks()?,
        };
        Ok(answer)
    }

    fn read(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut size = Vec::new();
            while !size.ends_with(b"\r\n") {
                size.extend(self.read(1)?);
            }
            let size = usize::from_str_radix(str::from_utf8(&size)?.trim(), 16)?;
            body.extend(self.read(size)?);
            self.read(b"\r\n".len())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Returns whether the server ends the stream.
    pub fn is_closed(&mut self) -> Result<bool> {
        self.stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(matches!(self.stream.read(&mut [0]), Ok(0)))
    }
}
