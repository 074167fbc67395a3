//! The canned answers, and the choice between them by path.

use std::{ffi::OsString, fs::File, time::Duration};

const MEBIBYTE: usize = 1 << 20;

/// What a request gets.
pub enum Answer<'a> {
    Bytes(&'static [u8]),
    /// The body that came with the request, sent back.
    Echo,
    /// `head`, then the whole file by `sendfile`.
    File {
        head: &'static [u8],
        file: &'static File,
    },
    /// `Answers::done`, after a while.
    Sleep(Duration),
    /// `Answers::done`, once somebody asks for `Release`.
    Park,
    Release,
    /// The digits after `/user/`.
    User(&'a [u8]),
}

pub struct Answers {
    plaintext: &'static [u8],
    json: &'static [u8],
    big: &'static [u8],
    not_found: &'static [u8],
    file: Option<(&'static [u8], &'static File)>,
    pub done: &'static [u8],
}

impl Answers {
    pub fn new(file: Option<OsString>) -> Answers {
        let file = file.and_then(|path| File::open(path).ok()).map(|file| {
            let len = file.metadata().map_or(0, |metadata| metadata.len());
            let head = head("200 OK", "application/octet-stream", len as usize);
            (&*head.into_bytes().leak(), &*Box::leak(Box::new(file)))
        });
        Answers {
            plaintext: text("200 OK", "Hello, World!"),
            json: canned("application/json", br#"{"message":"Hello, World!"}"#),
            big: canned("application/octet-stream", &vec![b'x'; MEBIBYTE]),
            not_found: text("404 Not Found", "not found\n"),
            done: text("200 OK", "done"),
            file,
        }
    }

    /// Returns the answer to a request that starts with `request`.
    pub fn choose<'a>(&self, request: &'a [u8]) -> Answer<'a> {
        let target = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        match target {
            b"/plaintext" => Answer::Bytes(self.plaintext),
            b"/json" => Answer::Bytes(self.json),
            b"/echo" => Answer::Echo,
            b"/big" => Answer::Bytes(self.big),
            b"/park" => Answer::Park,
            b"/release" => Answer::Release,
            b"/file" => match self.file {
                Some((head, file)) => Answer::File { head, file },
                None => Answer::Bytes(self.not_found),
            },
            _ => self.choose_by_prefix(target),
        }
    }

    fn choose_by_prefix<'a>(&self, target: &'a [u8]) -> Answer<'a> {
        if let Some(id) = target.strip_prefix(b"/user/") {
            return Answer::User(id);
        }
        let milliseconds = target
            .strip_prefix(b"/sleep/")
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.parse().ok());
        match milliseconds {
            Some(milliseconds) => Answer::Sleep(Duration::from_millis(milliseconds)),
            None => Answer::Bytes(self.not_found),
        }
    }
}

/// Appends the answer whose body is `body` to `out`.
pub fn append_text(out: &mut Vec<u8>, body: &[u8]) {
    append_text_head(out, body.len());
    out.extend_from_slice(body);
}

/// Appends the head of an answer of `len` bytes to `out`.
pub fn append_text_head(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nServer: floor\r\nContent-Type: text/plain\r\nContent-Length: ",
    );
    out.extend_from_slice(len.to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

fn text(status: &str, body: &str) -> &'static [u8] {
    [head(status, "text/plain", body.len()).as_bytes(), body.as_bytes()].concat().leak()
}

fn canned(content_type: &str, body: &[u8]) -> &'static [u8] {
    [head("200 OK", content_type, body.len()).as_bytes(), body].concat().leak()
}

fn head(status: &str, content_type: &str, len: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nServer: floor\r\nContent-Type: {content_type}\r\n\
         Content-Length: {len}\r\n\r\n"
    )
}
