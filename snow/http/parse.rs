//! Bytes to a request head, with the limits applied (RFC 9112, sections 2 to 6).
//!
//! The request line is taken apart here, from left to right, so that the same fault is found
//! whatever pieces the bytes arrive in; `fields` has what is behind it. A head that is not all there is
//! examined as far as it goes at each line's end and each time it has doubled: garbage is refused at
//! once, and a head that comes byte by byte costs little more than one that comes whole.

use super::{
    bad,
    fields::Fields,
    request::Version,
    target::{self, Extent, Target},
};
use crate::{Config, Error, ErrorKind, Result};
use http::Method;
use std::ops::Range;

/// Bytes of the longest method; the longest registered one has 17.
const MAX_METHOD_BYTES: usize = 32;

/// The usual version, as long as every other one.
const VERSION: &[u8] = b"HTTP/1.1";

/// What most request lines end with.
const USUAL_END: &[u8] = b"HTTP/1.1\r\n";

/// Bytes of a request line besides its method and target.
const LINE_BYTES: usize = "  HTTP/1.1\r\n".len();

/// A place in the text of a head, which is shorter than 64 KiB.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(super) start: u16,
    end: u16,
}

impl Span {
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Span {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Span::from(start..start + part.len())
    }

    pub(crate) fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span { start: range.start as u16, end: range.end as u16 }
    }
}

/// The head of a request. Its storage is used again for the next one.
#[derive(Default, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// As it was sent.
    target: Vec<u8>,
    /// What the target names, as places within it.
    named: Target,
    /// The path, when it has escapes; UTF-8.
    decoded_path: Option<Vec<u8>>,
    pub(crate) fields: Fields,
}

impl Head {
    pub(crate) fn target(&self) -> &[u8] {
        &self.target
    }

    /// Returns whether this is `OPTIONS *` or `CONNECT`: about no path.
    pub(crate) fn is_pathless(&self) -> bool {
        self.named.path.is_none()
    }

    /// Returns the path, decoded; UTF-8.
    pub(crate) fn path(&self) -> &[u8] {
        match (&self.decoded_path, self.named.path) {
            (Some(path), _) => path,
            // Behind an authority (RFC 9110, section 4.2.3).
            (None, Some(path)) if path.is_empty() => b"/",
            (None, Some(path)) => &self.target[path.range()],
            (None, None) => &[],
        }
    }

    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.named.query.map(|query| &self.target[query.range()])
    }

    /// Returns the authority of the target, else the value of `Host` (RFC 9112, section 3.2.2).
    pub(crate) fn host(&self) -> Option<&[u8]> {
        match self.named.authority {
            Some(authority) => Some(&self.target[authority.range()]),
            None => self.fields.host(),
        }
    }

    /// Returns how many bytes it takes to keep this for the next head.
    pub(super) fn capacity(&self) -> usize {
        self.target.capacity() + self.fields.capacity()
    }
}

/// How far the search for the end of a head has come.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Bytes in which the end has been searched for.
    searched: u32,
    /// Bytes that were there when they were last examined.
    examined: u32,
}

/// Parses the head that `input` begins with into `head`, and returns how many bytes it took, in which
/// case `scan` is ready for the next; `None` when its end has not come yet.
///
/// # Errors
///
/// What the client is told, as the kind; the input is of no further use.
pub(crate) fn parse_head(
    input: &[u8],
    scan: &mut Scan,
    config: &Config,
    head: &mut Head,
) -> Result<Option<usize>> {
    // One empty line before the request line is forgiven (RFC 9112, section 2.2).
    let lead = match input {
        [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let input = &input[lead..];
    let max = config.max_head_bytes.min(usize::from(u16::MAX));
    let visible = &input[..input.len().min(max)];
    // Most heads come whole, which parsing finds out; only what does not is searched for its end.
    let is_first_look = *scan == Scan::default();
    let is_last_look = input.len() > max;
    if is_first_look || is_last_look || wants_look(visible, scan) {
        scan.examined = visible.len() as u32;
        if let Some(len) = parse_whole(visible, config, head)? {
            *scan = Scan::default();
            return Ok(Some(lead + len));
        }
    }
    if is_last_look {
        return Err(Error::new(ErrorKind::HeadTooLarge, "the head of the request is too large"));
    }
    Ok(None)
}

/// Returns whether enough has come since the last look for another: the end of the head, or of a line,
/// or twice as much.
// Apart, as the rest below: most heads come whole and are as most are.
#[inline(never)]
fn wants_look(input: &[u8], scan: &mut Scan) -> bool {
    let examined = scan.examined as usize;
    // Lines are few, as fields are.
    has_end(input, scan)
        || input.len() >= 2 * examined
        || memchr::memchr(b'\n', &input[examined..]).is_some()
}

/// Returns whether the empty line after the fields has come, searching from where the last search
/// ended.
fn has_end(input: &[u8], scan: &mut Scan) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    let from = (scan.searched as usize).saturating_sub(END.len() - 1);
    let found = memchr::memmem::find(&input[from..], END).is_some();
    scan.searched = input.len() as u32;
    found
}

/// Takes the request line (RFC 9112, section 3) apart, as far as it is there, and returns its length;
/// `None` when that is not all.
fn parse_line(input: &[u8], config: &Config, head: &mut Head) -> Result<Option<usize>> {
    let Some(method_len) = parse_method(input, &mut head.method)? else { return Ok(None) };
    let rest = &input[method_len + 1..];
    let extent = target::measure(rest);
    if extent.len() > config.max_target_bytes {
        return Err(Error::new(ErrorKind::TargetTooLong, "the request target is too long"));
    }
    let (target, rest) = match rest.split_at(extent.len()) {
        (_, []) => return Ok(None),
        (target, [b' ', rest @ ..]) if extent.len() > 0 => (target, rest),
        (target, [byte, ..]) => return Err(no_target(target.len(), *byte)),
    };
    head.version = match rest.starts_with(USUAL_END) {
        true => Version::Http11,
        false => match parse_line_end(rest)? {
            Some(version) => version,
            None => return Ok(None),
        },
    };
    take_target(target, extent, head)?;
    Ok(Some(method_len + extent.len() + LINE_BYTES))
}

#[cold]
fn no_target(len: usize, byte: u8) -> Error {
    match byte {
        b' ' | b'\r' | b'\n' => bad("the request line is not a method, a target and a version"),
        _ => bad(format!("byte {len} of the target, 0x{byte:02x}, cannot stand there")),
    }
}

/// Reads the method and the space behind it, and returns how long it is; `None` when that is not all
/// there.
fn parse_method(input: &[u8], method: &mut Method) -> Result<Option<usize>> {
    // What most requests begin with, the one before on this storage too.
    if input.starts_with(b"GET ") {
        if *method != Method::GET {
            *method = Method::GET;
        }
        return Ok(Some(3));
    }
    parse_other_method(input, method)
}

#[inline(never)]
fn parse_other_method(input: &[u8], method: &mut Method) -> Result<Option<usize>> {
    let len = target::token_len(input);
    if len > MAX_METHOD_BYTES {
        return Err(Error::new(ErrorKind::NotImplemented, "the method is too long"));
    }
    match input.get(len) {
        None => Ok(None),
        Some(b' ') if len > 0 => {
            *method =
                Method::from_bytes(&input[..len]).map_err(|_| bad("the method is not a token"))?;
            Ok(Some(len))
        }
        Some(byte) => Err(bad(format!("byte {len}, 0x{byte:02x}, cannot stand in a method"))),
    }
}

/// Reads the version and the line's end; `None` when they have not come in full.
#[inline(never)]
fn parse_line_end(rest: &[u8]) -> Result<Option<Version>> {
    let Some(version) = parse_version(rest)? else { return Ok(None) };
    match &rest[VERSION.len()..] {
        [b'\r', b'\n', ..] => Ok(Some(version)),
        [] | [b'\r'] => Ok(None),
        _ => Err(bad("the request line does not end after the version")),
    }
}

/// Reads the version; `None` when it has not come in full.
fn parse_version(rest: &[u8]) -> Result<Option<Version>> {
    match rest {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', ..] => Ok(Some(Version::Http10)),
        // A later minor version is served as the highest one that is known (RFC 9110, section 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9', ..] => Ok(Some(Version::Http11)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', ..] => Err(Error::new(
            ErrorKind::UnsupportedVersion,
            "this server speaks HTTP/1.1 and HTTP/1.0",
        )),
        _ => {
            let fits = |(at, byte): (usize, &u8)| match at {
                5 | 7 => byte.is_ascii_digit(),
                _ => VERSION[at] == *byte,
            };
            if rest.len() < VERSION.len() && rest.iter().enumerate().all(fits) {
                return Ok(None);
            }
            Err(bad("the request line does not end with a version"))
        }
    }
}

/// Parses a head into `head` and returns its length; `None` when it is not all there.
fn parse_whole(input: &[u8], config: &Config, head: &mut Head) -> Result<Option<usize>> {
    let Some(line_len) = parse_line(input, config, head)? else { return Ok(None) };
    let Some(fields_len) = head.fields.receive(input, line_len, head.version, config)? else {
        return Ok(None);
    };
    if head.named.authority.is_some() && head.fields.host().is_some_and(<[u8]>::is_empty) {
        return Err(bad("the Host field is empty and the target has an authority"));
    }
    Ok(Some(line_len + fields_len))
}

/// Keeps the target and finds what it names: a path, a query, an authority.
fn take_target(target: &[u8], extent: Extent, head: &mut Head) -> Result<()> {
    head.target.clear();
    head.target.extend_from_slice(target);
    if let Some(named) = target::plain_path(target, extent, &head.method) {
        head.named = named;
        head.decoded_path = None;
        return Ok(());
    }
    take_other_target(target, extent, head)
}

#[inline(never)]
fn take_other_target(target: &[u8], extent: Extent, head: &mut Head) -> Result<()> {
    head.named = target::parse_target(target, extent, &head.method)?;
    head.decoded_path = match head.named {
        Target { path: Some(path), has_escapes: true, .. } => {
            Some(target::decode_path(&target[path.range()])?)
        }
        _ => None,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &[u8]) -> Result<Option<usize>, ErrorKind> {
        let (mut scan, mut head) = (Scan::default(), Head::default());
        parse_head(input, &mut scan, &Config::default(), &mut head).map_err(|error| error.kind())
    }

    /// Parses what arrives byte by byte.
    fn drip(input: &[u8]) -> Result<Option<usize>, ErrorKind> {
        let (mut scan, mut head) = (Scan::default(), Head::default());
        let config = Config::default();
        for end in 1..=input.len() {
            match parse_head(&input[..end], &mut scan, &config, &mut head) {
                Ok(None) => {}
                outcome => return outcome.map_err(|error| error.kind()),
            }
        }
        Ok(None)
    }

    #[track_caller]
    fn expect(input: impl AsRef<[u8]>, expected: Result<Option<usize>, ErrorKind>) {
        let input = input.as_ref();
        let text = String::from_utf8_lossy(&input[..input.len().min(100)]).into_owned();
        assert_eq!(parse(input), expected, "whole: {text:?}");
        // A fault may be found before the input is all there, and is the same fault.
        assert_eq!(drip(input), expected, "byte by byte: {text:?}");
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        expect(get, Ok(Some(get.len())));
        expect(&get[..get.len() - 1], Ok(None));
        expect(format!("\r\n{get}"), Ok(Some(get.len() + 2)));
        assert_eq!(parse(format!("{get}GET").as_bytes()), Ok(Some(get.len())));
    }

    #[test]
    fn malformed_heads_are_refused_wherever_they_are_cut() {
        use ErrorKind::{
            BadRequest, ExpectationFailed, HeadTooLarge, NotImplemented, TargetTooLong,
            UnsupportedVersion,
        };
        let host = "Host: a\r\n\r\n";
        let cases = [
            (format!("\r\n\r\nGET / HTTP/1.1\r\n{host}"), BadRequest),
            (format!(" GET / HTTP/1.1\r\n{host}"), BadRequest),
            (format!("GET  / HTTP/1.1\r\n{host}"), BadRequest),
            (format!("GET /  HTTP/1.1\r\n{host}"), BadRequest),
            (format!("GET / HTTP/1.1 \r\n{host}"), BadRequest),
            (format!("GET\t/ HTTP/1.1\r\n{host}"), BadRequest),
            (format!("GET /\r\n{host}"), BadRequest),
            (format!("G@T / HTTP/1.1\r\n{host}"), BadRequest),
            (format!("GET / http/1.1\r\n{host}"), BadRequest),
            (format!("GET / HTTP/11\r\n{host}"), BadRequest),
            (format!("GET / HTTP/1\r\n{host}"), BadRequest),
            (format!("GET / HTTP/2.0\r\n{host}"), UnsupportedVersion),
            (format!("GET / HTTP/0.9\r\n{host}"), UnsupportedVersion),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string(), UnsupportedVersion),
            (format!("{} / HTTP/1.1\r\n{host}", "M".repeat(33)), NotImplemented),
            (format!("GET /{} HTTP/1.1\r\n{host}", "a".repeat(8192)), TargetTooLong),
            ("GET / HTTP/1.1\nHost: a\n\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\rHost: a\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_string(), BadRequest),
            ("GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n".to_string(), BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_string(), ExpectationFailed),
            (format!("GET / HTTP/1.1\r\n{}{host}", "X: y\r\n".repeat(100)), HeadTooLarge),
            (format!("GET / HTTP/1.1\r\nX: {}\r\n{host}", "y".repeat(40_000)), HeadTooLarge),
        ];
        for (input, kind) in cases {
            expect(input, Err(kind));
        }
    }

    #[test]
    fn contradicting_framing_is_refused() {
        use ErrorKind::{BadRequest, NotImplemented};
        let cases = [
            ("Content-Length: 1\r\nContent-Length: 1", BadRequest),
            ("Content-Length: 1, 1", BadRequest),
            ("Content-Length: +1", BadRequest),
            ("Content-Length: -1", BadRequest),
            ("Content-Length: 0x1", BadRequest),
            ("Content-Length: 1 1", BadRequest),
            ("Content-Length:", BadRequest),
            ("Content-Length: 18446744073709551616", BadRequest),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", BadRequest),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BadRequest),
            ("Transfer-Encoding: chunked, chunked", BadRequest),
            ("Transfer-Encoding: gzip, chunked", NotImplemented),
            ("Transfer-Encoding: gzip;q=1, chunked", BadRequest),
            ("Transfer-Encoding: chunked, gzip", BadRequest),
            ("Transfer-Encoding: identity", BadRequest),
            ("Transfer-Encoding: xchunked", BadRequest),
            ("Transfer-Encoding: chunked;a=b", BadRequest),
            ("Transfer-Encoding:", BadRequest),
            ("Transfer-Encoding: ,chunked", BadRequest),
        ];
        for (fields, kind) in cases {
            expect(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), Err(kind));
        }
        let in_10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        expect(in_10, Err(BadRequest));
    }

    #[test]
    fn keep_alive_is_the_default_of_11_and_an_option_of_10() {
        let cases = [
            ("HTTP/1.1", "", true),
            ("HTTP/1.1", "Connection: close\r\n", false),
            ("HTTP/1.1", "Connection: foo , CLOSE\r\n", false),
            ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
            ("HTTP/1.7", "", true),
            ("HTTP/1.0", "", false),
            ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ];
        for (version, field, expected) in cases {
            let input = format!("GET / {version}\r\nHost: a\r\n{field}\r\n");
            let (mut scan, mut head) = (Scan::default(), Head::default());
            parse_head(input.as_bytes(), &mut scan, &Config::default(), &mut head).unwrap();
            assert_eq!(head.fields.is_keep_alive(), expected, "{input:?}");
        }
    }

    /// Parses into storage that may have been used before; what comes of it, in words.
    fn parse_into(head: &mut Head, input: &str) -> String {
        let outcome = parse_head(input.as_bytes(), &mut Scan::default(), &Config::default(), head);
        let Ok(Some(len)) = outcome else {
            return format!("{:?}", outcome.map_err(|error| error.kind()));
        };
        let fields: Vec<_> = head.fields.iter().collect();
        let said = (head.fields.content(), head.fields.expects_continue(), head.host());
        let target = (head.target(), head.path(), head.query(), head.is_pathless());
        let is_keep_alive = head.fields.is_keep_alive();
        format!(
            "{len} {} {} {target:?} {fields:?} {said:?} {is_keep_alive}",
            head.method, head.version
        )
    }

    #[test]
    fn what_a_head_says_does_not_depend_on_the_one_before() {
        let lines = [
            "GET / HTTP/1.1",
            "GET / HTTP/1.0",
            "POST /long/path/%41?query HTTP/1.1",
            "GET http://h/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET /\0 HTTP/1.1",
        ];
        let fields = [
            "",
            "Host: a\r\n",
            "Host: b\r\n",
            "Host:\r\n",
            "Host: a\r\nConnection: close\r\n",
            "Host: a\r\nConnection: keep-alive\r\n",
            "Host: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nAuthorization: Basic YQ==\r\n",
            "Host: a\r\nCookie: a=b\r\n",
            "Host: a\r\nHost: a\r\n",
            "Host: a\nX: y\r\n",
            "Host : a\r\n",
        ];
        let heads = lines.map(|line| fields.map(|fields| format!("{line}\r\n{fields}\r\n")));
        let heads: Vec<_> = heads.iter().flatten().collect();
        for before in &heads {
            for after in &heads {
                let mut used = Head::default();
                parse_into(&mut used, before);
                let expected = parse_into(&mut Head::default(), after);
                assert_eq!(parse_into(&mut used, after), expected, "{before:?}, {after:?}");
            }
        }
    }

    #[test]
    fn fields_are_known_again_unless_they_are_nobody_elses_business() {
        let is_known = |fields: &str, line: &str| {
            let mut head = Head::default();
            parse_into(&mut head, &format!("GET / HTTP/1.1\r\n{fields}\r\n"));
            let next = format!("{line}\r\n{fields}\r\n");
            let mut next_head = Head::default();
            let line_len = parse_line(next.as_bytes(), &Config::default(), &mut next_head);
            let rest = &next[line_len.unwrap().unwrap()..];
            head.fields.repeated_len(rest.as_bytes(), next_head.version) == Some(rest.len())
        };
        assert!(is_known("Host: a\r\n", "GET / HTTP/1.1"));
        assert!(is_known("Host: a\r\nX: y\r\n", "POST /other?b HTTP/1.1"));
        assert!(!is_known("Host: a\r\n", "GET / HTTP/1.0"));
        for name in ["Authorization", "COOKIE", "Proxy-authorization"] {
            assert!(!is_known(&format!("Host: a\r\n{name}: b\r\n"), "GET / HTTP/1.1"), "{name}");
        }
        let mut head = Head::default();
        parse_into(&mut head, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        head.fields.forget();
        assert_eq!(head.fields.repeated_len(b"Host: a\r\n\r\n", Version::Http11), None);
    }
}
