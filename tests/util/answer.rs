//! A response, and a parser for it that is stricter than a client need be.
//!
//! A response that is framed twice, lacks its `Date`, has a stray byte in its head or announces content
//! where there can be none is an error, and so fails the test.

use std::collections::HashSet;

/// A response as it came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the content is UTF-8")
    }

    /// Returns the one value of a field, whatever the case of its name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is there {} times", values.len());
        values.first().copied()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// Expects a status and a content.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.text()), (status, text), "{self:?}");
    }

    /// Expects a status and a short text for a person, in one line.
    #[track_caller]
    pub(crate) fn expect_failure(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.text().ends_with('\n') && self.text().len() < 200, "{self:?}");
    }

    /// Expects that the server ends the connection, or means to keep it.
    #[track_caller]
    pub(crate) fn expect_close(&self, closes: bool) {
        assert_eq!(self.field("connection") == Some("close"), closes, "{self:?}");
    }

    /// Returns the members of a field's list, as a set.
    #[track_caller]
    pub(crate) fn list(&self, name: &str) -> HashSet<&str> {
        self.field(name).unwrap_or_default().split(", ").collect()
    }
}

/// Takes a line off; `None` while its end is missing.
fn take_line<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a str>, String> {
    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let line = rest[..end].strip_suffix(b"\r").ok_or("a line ends without CR")?;
    *rest = &rest[end + 1..];
    let is_clean = line.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
    match std::str::from_utf8(line) {
        Ok(line) if is_clean => Ok(Some(line)),
        _ => Err(format!("a line has a stray byte: {}", line.escape_ascii())),
    }
}

type Fields = Vec<(String, String)>;

/// Takes fields off, and the empty line behind them.
fn take_fields(rest: &mut &[u8]) -> Result<Option<Fields>, String> {
    let mut fields = Fields::new();
    while let Some(line) = take_line(rest)? {
        if line.is_empty() {
            return Ok(Some(fields));
        }
        let (name, value) = line.split_once(": ").ok_or(format!("no field: {line:?}"))?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) || value != value.trim() {
            return Err(format!("no proper field: {line:?}"));
        }
        fields.push((name.to_string(), value.to_string()));
    }
    Ok(None)
}

/// Takes chunks off, and the trailers behind them.
fn take_chunks(rest: &mut &[u8], answer: &mut Answer) -> Result<Option<()>, String> {
    while let Some(line) = take_line(rest)? {
        let len = usize::from_str_radix(line, 16).map_err(|_| format!("no chunk: {line:?}"))?;
        if len == 0 {
            let Some(trailers) = take_fields(rest)? else { return Ok(None) };
            answer.trailers = trailers;
            return Ok(Some(()));
        }
        let Some(chunk) = rest.get(..len + 2) else { return Ok(None) };
        let chunk = chunk.strip_suffix(b"\r\n").ok_or("a chunk is longer than its size")?;
        answer.body.extend_from_slice(chunk);
        *rest = &rest[len + 2..];
    }
    Ok(None)
}

/// Parses one response, once it is all there, and says how many bytes it takes.
pub(super) fn parse(
    input: &[u8],
    is_head: bool,
    is_end: bool,
) -> Result<Option<(Answer, usize)>, String> {
    let mut rest = input;
    let Some(line) = take_line(&mut rest)? else { return Ok(None) };
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|line| line.split_once(' '));
    let status = status.filter(|(code, _)| code.len() == 3).and_then(|(code, _)| code.parse().ok());
    let status: u16 = status.ok_or(format!("no status line: {line:?}"))?;
    let Some(fields) = take_fields(&mut rest)? else { return Ok(None) };
    let mut answer = Answer { status, fields, ..Answer::default() };
    let framing = (answer.all("content-length"), answer.all("transfer-encoding"));
    if status >= 200 && answer.all("date").iter().filter(|date| date.len() == 29).count() != 1 {
        return Err("not one Date of the usual form".to_string());
    }
    let has_content = !(is_head || status < 200 || status == 204 || status == 304);
    match framing {
        (lengths, codings)
            if (status < 200 || status == 204) && lengths.len() + codings.len() > 0 =>
        {
            return Err("content is announced where there can be none".to_string());
        }
        (lengths, codings) if lengths.len() + codings.len() > 1 => {
            return Err("the content is framed twice".to_string());
        }
        (_, codings) if codings.iter().any(|&coding| coding != "chunked") => {
            return Err(format!("an unknown coding: {codings:?}"));
        }
        _ if !has_content => {}
        (lengths, _) if !lengths.is_empty() => {
            let len = lengths[0].parse().map_err(|_| "a bad Content-Length")?;
            let Some(body) = rest.get(..len) else { return Ok(None) };
            answer.body = body.to_vec();
            rest = &rest[len..];
        }
        (_, codings) if !codings.is_empty() => {
            if take_chunks(&mut rest, &mut answer)?.is_none() {
                return Ok(None);
            }
        }
        _ if answer.all("connection") != ["close"] => {
            return Err("nothing says where the content ends".to_string());
        }
        _ if !is_end => return Ok(None),
        _ => answer.body = std::mem::take(&mut rest).to_vec(),
    }
    Ok(Some((answer, input.len() - rest.len())))
}
