//! Chunked content, strictly (RFC 9112, section 7.1), taken apart as a whole.

use crate::syntax::{self, Field, is_tchar};
use snow::Config;

/// What a strict reader makes of the bytes so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The content is not complete.
    Partial,
    /// It cannot be taken apart, or breaks a bound.
    Refused(&'static str),
    /// The content, the fields behind it, and how many bytes both took.
    Complete(Vec<u8>, Vec<Field>, usize),
}

/// Fields that are dropped where they stand behind the content.
const DROPPED: [&str; 32] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Takes the framing off `input`.
pub fn read(input: &[u8], config: &Config) -> Verdict {
    Reader { input, at: 0, content: Vec::new(), overhead: 0, config }
        .read()
        .unwrap_or_else(|end| end)
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    content: Vec<u8>,
    overhead: u64,
    config: &'a Config,
}

impl<'a> Reader<'a> {
    fn read(mut self) -> Result<Verdict, Verdict> {
        loop {
            let line = self.size_line()?;
            let size = size(line).ok_or(Verdict::Refused("a malformed size line"))?;
            if size == 0 {
                break;
            }
            self.data(size)?;
        }
        let fields = self.trailers()?;
        Ok(Verdict::Complete(self.content, fields, self.at))
    }

    /// Counts bytes that are not content.
    fn count(&mut self, len: usize) -> Result<(), Verdict> {
        self.overhead += len as u64;
        let free = 4 * self.content.len() as u64;
        match self.overhead.saturating_sub(free) > self.config.max_chunk_overhead_bytes.into() {
            true => Err(Verdict::Refused("too much framing")),
            false => Ok(()),
        }
    }

    /// Takes a line up to its CRLF, which belongs to no more than `most` bytes.
    fn line(&mut self, most: usize) -> Result<&'a [u8], Verdict> {
        let input = self.input;
        let rest = &input[self.at..];
        let found = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let len = found.unwrap_or(rest.len());
        if rest.get(len) == Some(&b'\n') {
            return Err(Verdict::Refused("a bare LF"));
        }
        match rest.get(len + 1) {
            None if rest.len() > most => Err(Verdict::Refused("a long line")),
            None => {
                self.count(rest.len())?;
                Err(Verdict::Partial)
            }
            Some(b'\n') if len + 2 > most => Err(Verdict::Refused("a long line")),
            Some(b'\n') => {
                self.count(len + 2)?;
                self.at += len + 2;
                Ok(&rest[..len])
            }
            Some(_) => Err(Verdict::Refused("a bare CR")),
        }
    }

    fn size_line(&mut self) -> Result<&'a [u8], Verdict> {
        self.line(self.config.max_chunk_line_bytes)
    }

    /// Takes the data of a chunk and the CRLF behind it.
    fn data(&mut self, size: u64) -> Result<(), Verdict> {
        let rest = &self.input[self.at..];
        let len = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        self.content.extend_from_slice(&rest[..len]);
        self.at += len;
        match &rest[len..] {
            [b'\r', b'\n', ..] => {
                self.count(2)?;
                self.at += 2;
                Ok(())
            }
            [] => Err(Verdict::Partial),
            [b'\r'] => {
                self.count(1)?;
                Err(Verdict::Partial)
            }
            _ => Err(Verdict::Refused("no line end behind a chunk")),
        }
    }

    /// Takes the fields up to the empty line.
    fn trailers(&mut self) -> Result<Vec<Field>, Verdict> {
        let start = self.at;
        let mut fields = Vec::new();
        loop {
            let room = self.config.max_trailer_bytes - (self.at - start);
            let line = self.line(room)?;
            if line.is_empty() {
                fields.retain(|field: &Field| !is_dropped(&field.0));
                return Ok(fields);
            }
            fields.push(syntax::field(line).ok_or(Verdict::Refused("a malformed trailer"))?);
            if fields.len() > self.config.max_trailers {
                return Err(Verdict::Refused("too many trailers"));
            }
        }
    }
}

fn is_dropped(name: &[u8]) -> bool {
    DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()))
}

/// `chunk-size [ chunk-ext ]`, of at most sixteen digits.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if !matches!(digits, 1..=16) || !are_extensions(&line[digits..]) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = extension(rest) else { return false };
        rest = after;
    }
    true
}

/// Takes one extension off, and returns what is behind it.
fn extension(rest: &[u8]) -> Option<&[u8]> {
    let rest = skip(blanks(rest).strip_prefix(b";")?)?;
    match blanks(rest).strip_prefix(b"=") {
        None => Some(rest),
        Some(value) => match blanks(value) {
            [b'"', quoted @ ..] => quoted_rest(quoted),
            value => skip(value),
        },
    }
}

/// Takes blanks and a token off.
fn skip(rest: &[u8]) -> Option<&[u8]> {
    let rest = blanks(rest);
    let len = rest.iter().take_while(|&&byte| is_tchar(byte)).count();
    (len > 0).then(|| &rest[len..])
}

fn blanks(rest: &[u8]) -> &[u8] {
    let len = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &rest[len..]
}

/// Takes a quoted string off, behind its first quote.
fn quoted_rest(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., after @ ..] => rest = after,
            [b'\\', ..] => return None,
            [b'\t' | b' '..=b'~' | 0x80.., after @ ..] => rest = after,
            _ => return None,
        }
    }
}
