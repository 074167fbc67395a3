//! Request heads, strictly (RFC 9112, sections 2 to 6; RFC 9110, sections 7.2 and 10.1.1; RFC 3986).
//!
//! Where Snow promises more than the RFCs ask (one `Content-Length`, `chunked` alone, no fields beyond
//! the limits), this refuses as well; where it forgives what browsers send (a query's brackets), so
//! does this.

use crate::syntax::{self, Field, is_name_char, is_token, values};
use snow::Config;

/// What a strict reader makes of the bytes so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is no end of a head yet.
    Partial,
    /// No server should act on this.
    Refused(&'static str),
    /// A request, which took so many bytes.
    Accepted(Box<Head>, usize),
}

/// How the content is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes, which may be none.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// A head that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The method.
    pub method: Vec<u8>,
    /// The target as it was sent.
    pub target: Vec<u8>,
    /// Whether the version is 1.0, and not 1.1 or a later 1.x.
    pub is_http10: bool,
    /// The path, decoded; empty where the target names none.
    pub path: String,
    /// The query as it was sent.
    pub query: Option<Vec<u8>>,
    /// The authority of the target, else `Host`.
    pub host: Option<Vec<u8>>,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// How the content is delimited.
    pub framing: Framing,
    /// Whether the connection may go on.
    pub is_keep_alive: bool,
    /// Whether a 100 is asked for.
    pub expects_continue: bool,
}

/// Reads the head that `input` begins with.
pub fn read(input: &[u8], config: &Config) -> Verdict {
    let lead = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let text = &input[lead..];
    let end = text.windows(4).position(|four| four == b"\r\n\r\n");
    let longest = config.max_head_bytes.min(65_535);
    match end {
        Some(end) if end + 4 > longest => Verdict::Refused("too large"),
        Some(end) => match read_whole(&text[..end + 2], config) {
            Ok(head) => Verdict::Accepted(Box::new(head), lead + end + 4),
            Err(reason) => Verdict::Refused(reason),
        },
        None if text.len() > longest => Verdict::Refused("too large"),
        None => Verdict::Partial,
    }
}

type Refusal = &'static str;

/// Reads a head up to the line end before the empty line.
fn read_whole(text: &[u8], config: &Config) -> Result<Head, Refusal> {
    let lines = syntax::lines(text).ok_or("a bare CR or LF")?;
    let (first, rest) = lines.split_first().ok_or("no request line")?;
    let (method, target, is_http10) = request_line(first, config)?;
    if rest.len() > config.max_headers {
        return Err("too many fields");
    }
    let fields = rest.iter().map(|line| syntax::field(line)).collect::<Option<Vec<_>>>();
    let fields = fields.ok_or("a malformed field")?;
    let host = host_field(&fields, is_http10)?;
    let form = target_form(method, target)?;
    if form.authority.is_some() && host.as_ref().is_some_and(Vec::is_empty) {
        return Err("an empty Host beside an authority");
    }
    let framing = framing(&fields, is_http10)?;
    let asks = expectation(&fields, is_http10)?;
    Ok(Head {
        method: method.to_vec(),
        target: target.to_vec(),
        is_http10,
        path: form.path,
        query: form.query,
        // RFC 9112, section 3.3.
        host: form.authority.or(host),
        framing,
        is_keep_alive: is_keep_alive(&fields, is_http10),
        expects_continue: asks && framing != Framing::Length(0),
        fields,
    })
}

/// `method SP request-target SP HTTP-version`.
fn request_line<'a>(
    line: &'a [u8],
    config: &Config,
) -> Result<(&'a [u8], &'a [u8], bool), Refusal> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = *parts else { return Err("not three words") };
    if !is_token(method) || method.len() > 32 {
        return Err("no method");
    }
    if target.is_empty() || target.len() > config.max_target_bytes {
        return Err("no target, or too long a one");
    }
    match version {
        b"HTTP/1.0" => Ok((method, target, true)),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok((method, target, false)),
        _ => Err("no version that is known"),
    }
}

/// The one `Host`, which only 1.0 may lack.
fn host_field(fields: &[Field], is_http10: bool) -> Result<Option<Vec<u8>>, Refusal> {
    match *values(fields, "host") {
        [] if is_http10 => Ok(None),
        [host] if host.is_empty() || syntax::is_authority(host, false) => Ok(Some(host.to_vec())),
        _ => Err("no Host, two, or a malformed one"),
    }
}

/// What a target names.
struct Form {
    authority: Option<Vec<u8>>,
    path: String,
    query: Option<Vec<u8>>,
}

/// The four forms of a target, each where it is allowed (RFC 9112, section 3.2).
fn target_form(method: &[u8], target: &[u8]) -> Result<Form, Refusal> {
    if method == b"CONNECT" {
        return match syntax::is_authority(target, true) {
            true => Ok(Form { authority: Some(target.to_vec()), path: String::new(), query: None }),
            false => Err("CONNECT to no authority"),
        };
    }
    if method == b"OPTIONS" && target == b"*" {
        return Ok(Form { authority: None, path: String::new(), query: None });
    }
    if target.starts_with(b"/") {
        let (path, query) = path_and_query(target)?;
        return Ok(Form { authority: None, path, query });
    }
    let lower = target.to_ascii_lowercase();
    let scheme = ["http://", "https://"].iter().find(|scheme| lower.starts_with(scheme.as_bytes()));
    let rest = &target[scheme.ok_or("a target of no form")?.len()..];
    let len = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(len);
    if authority.is_empty() || !syntax::is_authority(authority, false) {
        return Err("a malformed authority");
    }
    let (path, query) = path_and_query(rest)?;
    Ok(Form { authority: Some(authority.to_vec()), path, query })
}

/// A path, decoded once, and a query, left as it is.
fn path_and_query(text: &[u8]) -> Result<(String, Option<Vec<u8>>), Refusal> {
    let mark = text.iter().position(|&byte| byte == b'?');
    let (path, query) = match mark {
        Some(mark) => (&text[..mark], Some(&text[mark + 1..])),
        None => (text, None),
    };
    let is_pchar = |byte: u8| is_name_char(byte) || b":@/%".contains(&byte);
    if !path.iter().copied().all(is_pchar) {
        return Err("a byte that cannot stand in a path");
    }
    let is_query = |byte: u8| is_pchar(byte) || b"?[]{}|^`".contains(&byte);
    if !query.unwrap_or_default().iter().copied().all(is_query) {
        return Err("a byte that cannot stand in a query");
    }
    let decoded = syntax::unescape(path).ok_or("a malformed escape")?;
    if decoded.contains(&0) {
        return Err("NUL in the path");
    }
    let decoded = String::from_utf8(decoded).map_err(|_| "a path that is not UTF-8")?;
    let path = if decoded.is_empty() { "/".to_string() } else { decoded };
    Ok((path, query.map(<[u8]>::to_vec)))
}

/// The framing of the content, where two readings of it are none (RFC 9112, section 6.3).
fn framing(fields: &[Field], is_http10: bool) -> Result<Framing, Refusal> {
    match (&*values(fields, "transfer-encoding"), &*values(fields, "content-length")) {
        ([], []) => Ok(Framing::Length(0)),
        ([], [length]) => syntax::number(length).map(Framing::Length).ok_or("no length"),
        ([coding], []) if !is_http10 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        _ => Err("framing that is unknown or read in two ways"),
    }
}

/// Whether a 100 is asked for, which is all that may be (RFC 9110, section 10.1.1).
fn expectation(fields: &[Field], is_http10: bool) -> Result<bool, Refusal> {
    let values = if is_http10 { Vec::new() } else { values(fields, "expect") };
    let members = values.iter().flat_map(|value| value.split(|&byte| byte == b','));
    let mut members = members.map(syntax::trim).filter(|member| !member.is_empty()).peekable();
    let asks = members.peek().is_some();
    match members.all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
        true => Ok(asks),
        false => Err("an unknown expectation"),
    }
}

/// Whether the connection goes on (RFC 9112, section 9.3).
fn is_keep_alive(fields: &[Field], is_http10: bool) -> bool {
    let values = values(fields, "connection");
    let has = |option: &[u8]| {
        let mut options = values.iter().flat_map(|value| value.split(|&byte| byte == b','));
        options.any(|known| syntax::trim(known).eq_ignore_ascii_case(option))
    };
    !has(b"close") && (!is_http10 || has(b"keep-alive"))
}
