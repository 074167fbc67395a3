//! Bytes to a request head, with the limits applied (RFC 9112, sections 2 to 6).
//!
//! The request line is taken apart here, from left to right, so that the same fault is found
//! whatever pieces the bytes arrive in; `fields` has what is behind it. A head that is not all there is
//! examined as far as it goes at each line's end and each time it has doubled: garbage is refused at
//! once, and a head that comes byte by byte costs little more than one that comes whole.

use super::{
    bad,
    head::Head,
    request::Version,
    target::{self, Extent, Target},
};
use crate::{Config, Error, ErrorKind, Result};
use http::Method;

/// Bytes of the longest method; the longest registered one has 17.
const MAX_METHOD_BYTES: usize = 32;

/// The usual version, as long as every other one.
const VERSION: &[u8] = b"HTTP/1.1";

/// What most request lines end with.
const USUAL_END: &[u8] = b"HTTP/1.1\r\n";

/// Bytes of a request line besides its method and target.
const LINE_BYTES: usize = "  HTTP/1.1\r\n".len();

/// How much of a head has been looked at.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Bytes that were there at the last look.
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
    // Most heads come whole, which parsing finds out; only what does not is looked at again.
    let is_first_look = *scan == Scan::default();
    let is_last_look = input.len() > max;
    if is_first_look || is_last_look || wants_look(visible, *scan) {
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

/// Returns whether enough has come since the last look for another: the end of a line, as that of the head
/// is, or twice as much.
// Out of line, as are the rarer cases below: most heads come whole.
#[inline(never)]
fn wants_look(input: &[u8], scan: Scan) -> bool {
    let examined = scan.examined as usize;
    // Lines are few, as fields are.
    input.len() >= 2 * examined || memchr::memchr(b'\n', &input[examined..]).is_some()
}

/// Takes the request line (RFC 9112, section 3) apart, as far as it has come, and returns its length;
/// `None` when it is incomplete.
#[inline(never)]
fn parse_line(input: &[u8], config: &Config, head: &mut Head) -> Result<Option<usize>> {
    head.forget_line();
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
    let len = method_len + extent.len() + LINE_BYTES;
    head.keep_line(&input[..len], target);
    Ok(Some(len))
}

#[cold]
fn no_target(len: usize, byte: u8) -> Error {
    match byte {
        b' ' | b'\r' | b'\n' => bad("the request line is not a method, a target and a version"),
        _ => bad(format!("byte {len} of the target, 0x{byte:02x}, cannot stand there")),
    }
}

/// Reads the method and the space behind it, and returns the method's length; `None` when they are
/// incomplete.
fn parse_method(input: &[u8], method: &mut Method) -> Result<Option<usize>> {
    // Most requests begin so, as did most that used this storage before.
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

/// Parses into `head` what differs from the head that is there, and returns the length of the new one;
/// `None` when it is incomplete.
fn parse_whole(input: &[u8], config: &Config, head: &mut Head) -> Result<Option<usize>> {
    let line_len = match head.repeated_line_len(input) {
        None => parse_line(input, config, head)?,
        known => known,
    };
    let Some(line_len) = line_len else { return Ok(None) };
    let fields_len = match head.fields.repeated_len(&input[line_len..], head.version) {
        None => head.fields.parse(input, line_len, head.version, config)?,
        known => known,
    };
    let Some(fields_len) = fields_len else { return Ok(None) };
    if head.named.authority.is_some() && head.fields.host().is_some_and(<[u8]>::is_empty) {
        return Err(bad("the Host field is empty and the target has an authority"));
    }
    Ok(Some(line_len + fields_len))
}

/// Finds what the target names: a path, a query, an authority.
fn take_target(target: &[u8], extent: Extent, head: &mut Head) -> Result<()> {
    if let Some(named) = target::plain_path(target, extent, &head.method) {
        head.named = named;
        head.decoded_path = None;
        return Ok(());
    }
    take_other_target(target, extent, head)
}

#[inline(never)]
fn take_other_target(target: &[u8], extent: Extent, head: &mut Head) -> Result<()> {
    let named = target::parse_target(target, extent, &head.method)?;
    head.decoded_path = match named {
        Target { path: Some(path), has_escapes: true, .. } => {
            Some(target::decode_path(&target[path.range()])?)
        }
        _ => None,
    };
    head.named = named;
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
}
