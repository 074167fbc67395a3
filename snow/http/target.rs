//! The request target (RFC 9112, section 3.2) and the `Host` field (RFC 9110, section 7.2).
//!
//! Targets are taken as RFC 3986 writes them, with one exception: a query may contain what browsers
//! leave unescaped there (`[ ] { } | ^` and the backtick). Escapes are decoded once, strictly.

use super::{bad, head::Span};
use crate::{Error, Result};
use http::Method;
use std::{borrow::Cow, net::Ipv6Addr, str};

/// May stand in a path.
const PATH: u8 = 1;
/// May stand in a query.
const QUERY: u8 = 2;
/// May stand in a registered name.
const NAME: u8 = 4;
/// May stand in a method or a field name.
const TOKEN: u8 = 8;
/// May stand in a path, and stands for itself.
const PLAIN: u8 = 16;

/// What each byte may be part of.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            classes[byte] = PATH | QUERY | NAME;
        }
        if matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        {
            classes[byte] = PATH | QUERY | NAME;
        }
        if matches!(b, b':' | b'@' | b'/' | b'%') {
            classes[byte] = PATH | QUERY;
        }
        if matches!(b, b'?' | b'[' | b']' | b'{' | b'}' | b'|' | b'^' | b'`') {
            classes[byte] = QUERY;
        }
        if b.is_ascii_alphanumeric()
            || matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(b, b'^' | b'_' | b'`' | b'|' | b'~')
        {
            classes[byte] |= TOKEN;
        }
        if classes[byte] & PATH != 0 && b != b'%' {
            classes[byte] |= PLAIN;
        }
        byte += 1;
    }
    classes
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Returns how many bytes at the start of `bytes` are of `class`, which is one class.
fn run_len(bytes: &[u8], class: u8) -> usize {
    let mut len = 0;
    // Four at a time: half the instructions of one at a time.
    for four in bytes.chunks_exact(4) {
        if four.iter().fold(class, |all, &byte| all & CLASSES[byte as usize]) == 0 {
            break;
        }
        len += 4;
    }
    len + bytes[len..].iter().take_while(|&&byte| is(byte, class)).count()
}

/// Returns how many bytes at the start of `bytes` may stand in a method or field name.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    run_len(bytes, TOKEN)
}

/// Returns whether `byte` may stand in a method or field name (RFC 9110, section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// How far the target reaches in the bytes that begin with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Bytes that can belong to a target of some form.
    len: u16,
    /// Those of them before the first that cannot stand in a path.
    path_len: u16,
    /// Whether there is a percent sign among those.
    has_escapes: bool,
}

impl Extent {
    fn new(len: usize, path_len: usize, has_escapes: bool) -> Extent {
        debug_assert!(len <= u16::MAX.into(), "a head is shorter than 64 KiB");
        Extent { len: len as u16, path_len: path_len as u16, has_escapes }
    }

    pub(crate) fn len(self) -> usize {
        self.len.into()
    }

    fn path_len(self) -> usize {
        self.path_len.into()
    }
}

/// Finds the end of the target that `start`, shorter than 64 KiB, begins with.
pub(crate) fn measure(start: &[u8]) -> Extent {
    let len = run_len(start, PLAIN);
    match start.get(len) {
        // Most targets are nothing but a path.
        None | Some(b' ') => Extent::new(len, len, false),
        Some(byte) => measure_beyond(start, len, *byte == b'%'),
    }
}

/// Goes on behind the bytes of a path that stand for themselves.
// Out of line: other targets then save no registers for it.
#[inline(never)]
fn measure_beyond(start: &[u8], plain_len: usize, has_escapes: bool) -> Extent {
    let path_len = plain_len + run_len(&start[plain_len..], PATH);
    // What may stand in a path may stand in a query.
    let len = path_len + run_len(&start[path_len..], QUERY);
    Extent::new(len, path_len, has_escapes)
}

/// What a request target names, as places within it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// That of `http://authority/path?query`, or `host:port`, of `CONNECT`.
    pub(crate) authority: Option<Span>,
    /// `None` for `CONNECT`, and for the `*` of `OPTIONS`; behind an authority it may be empty, which
    /// stands for `/`.
    pub(crate) path: Option<Span>,
    /// Whether there is a percent sign in the path.
    pub(crate) has_escapes: bool,
    pub(crate) query: Option<Span>,
}

/// Takes the usual target: a path that stands for itself, and nothing else.
pub(crate) fn plain_path(target: &[u8], extent: Extent, method: &Method) -> Option<Target> {
    let is_path = target.first() == Some(&b'/') && extent.path_len == extent.len;
    let path = Some(Span::from(0..target.len()));
    (is_path && !extent.has_escapes && method != Method::CONNECT).then_some(Target {
        authority: None,
        path,
        has_escapes: false,
        query: None,
    })
}

/// Takes a whole target apart, which has been measured.
///
/// # Errors
///
/// `BadRequest` when it is of no form that `method` allows, or has a byte that does not belong.
pub(crate) fn parse_target(target: &[u8], extent: Extent, method: &Method) -> Result<Target> {
    if method == Method::CONNECT {
        return match check_authority(target, Port::Required) {
            Ok(()) => Ok(Target { authority: Some((0..target.len()).into()), ..Target::default() }),
            Err(_) => Err(bad("the target of CONNECT must be host:port")),
        };
    }
    match target {
        [b'/', ..] => {
            let query = query_behind(target, extent.path_len())?;
            let path = Some((0..extent.path_len()).into());
            Ok(Target { authority: None, path, has_escapes: extent.has_escapes, query })
        }
        b"*" if method == Method::OPTIONS => Ok(Target::default()),
        _ => parse_absolute(target),
    }
}

fn parse_absolute(target: &[u8]) -> Result<Target> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else {
        return Err(bad("the target is neither a path nor an http URI"));
    };
    let rest = &target[scheme.len()..];
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    if len == 0 {
        return Err(bad("the target's authority is empty"));
    }
    check_authority(&rest[..len], Port::Optional)?;
    let authority = scheme.len()..scheme.len() + len;
    let extent = measure(&rest[len..]);
    let path = authority.end..authority.end + extent.path_len();
    let query = query_behind(target, path.end)?;
    Ok(Target {
        authority: Some(authority.into()),
        path: Some(path.into()),
        has_escapes: extent.has_escapes,
        query,
    })
}

/// Takes what is behind the path of `target`: nothing, or a query.
fn query_behind(target: &[u8], path_end: usize) -> Result<Option<Span>> {
    match target.get(path_end) {
        None => Ok(None),
        Some(b'?') => match target[path_end..].iter().position(|&byte| !is(byte, QUERY)) {
            None => Ok(Some((path_end + 1..target.len()).into())),
            Some(wrong) => Err(wrong_byte(target, path_end + wrong)),
        },
        Some(_) => Err(wrong_byte(target, path_end)),
    }
}

fn wrong_byte(target: &[u8], at: usize) -> Error {
    bad(format!("byte {at} of the target, 0x{:02x}, cannot stand there unescaped", target[at]))
}

/// Decodes the percent escapes of a path.
///
/// # Errors
///
/// `BadRequest` for a malformed escape, for NUL, and for what is not UTF-8.
pub(crate) fn decode_path(raw: &[u8]) -> Result<Vec<u8>> {
    let (decoded, is_well_formed) = decode(raw);
    if !is_well_formed {
        return Err(bad("the path has an invalid percent escape"));
    }
    if decoded.contains(&0) {
        return Err(bad("the path contains NUL"));
    }
    str::from_utf8(&decoded).map_err(|_| bad("the path is not UTF-8"))?;
    Ok(decoded)
}

/// Decodes percent escapes; a percent sign that two hexadecimal digits do not follow stays, and then this is
/// false.
fn decode(raw: &[u8]) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut is_well_formed = true;
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        if let (Some(high), Some(low)) = (digit(0), digit(1)) {
            decoded.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            decoded.push(b'%');
            is_well_formed = false;
        }
    }
    (decoded, is_well_formed)
}

/// Decodes one name or value of a query: `+` is a space, escapes are percent escapes.
///
/// A malformed escape stays as it is, beside others that are decoded, and what is not UTF-8 becomes the replacement character: a query is
/// for the application to judge, and no part of routing.
pub(crate) fn decode_form(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['+', '%']) {
        return Cow::Borrowed(raw);
    }
    let (decoded, _) = decode(raw.replace('+', " ").as_bytes());
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Whether an authority must name a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Optional,
    Required,
}

/// Checks `host [":" port]` (RFC 3986, section 3.2, without the userinfo that http forbids).
///
/// # Errors
///
/// `BadRequest` with what is wrong.
pub(crate) fn check_authority(authority: &[u8], port: Port) -> Result<()> {
    let (host, rest) = match authority {
        [b'[', inner @ ..] => {
            let Some(end) = memchr::memchr(b']', inner) else {
                return Err(bad("the host has a bracket that is not closed"));
            };
            let address = str::from_utf8(&inner[..end]).ok();
            if address.is_none_or(|text| text.parse::<Ipv6Addr>().is_err()) {
                return Err(bad("the host in brackets is not an IPv6 address"));
            }
            (&inner[..end], &inner[end + 1..])
        }
        _ => authority.split_at(name_len(authority)?),
    };
    match rest {
        [] if port == Port::Optional => Ok(()),
        [b':', digits @ ..]
            if !(host.is_empty() || digits.is_empty() && port == Port::Required) =>
        {
            check_port(digits)
        }
        [b':', ..] if host.is_empty() => Err(bad("there is no host before the port")),
        _ => Err(bad("the host is not followed by a port")),
    }
}

/// Returns how many bytes the name at the start of an authority has.
fn name_len(authority: &[u8]) -> Result<usize> {
    let mut len = 0;
    loop {
        len += run_len(&authority[len..], NAME);
        len += match &authority[len..] {
            [] | [b':', ..] => return Ok(len),
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
            wrong => return Err(bad(format!("byte 0x{:02x} cannot stand in a host", wrong[0]))),
        };
    }
}

fn check_port(digits: &[u8]) -> Result<()> {
    let mut port = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(bad("the port is not a number"));
        }
        port = port.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    }
    if port > u32::from(u16::MAX) {
        return Err(bad("the port is out of range"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        let good = [
            "",
            "a",
            "example.org",
            "example.org:80",
            "a:",
            "127.0.0.1:65535",
            "[::1]",
            "[::1]:8080",
            "a_b",
            "%41",
            "xn--bcher-kva.example",
        ];
        for host in good {
            assert!(check_authority(host.as_bytes(), Port::Optional).is_ok(), "{host:?}");
        }
        let bad = [
            "a b",
            "u@h",
            "a:b",
            "a:1:2",
            "a:-1",
            "a:65536",
            "a:99999999999999999999",
            "[::1",
            "::1",
            "[::1]x",
            "[1.2.3.4]",
            "[]",
            "a/b",
            "a?b",
            "a#b",
            "a%4",
            "a%zz",
            ":80",
            "a\\b",
            "[::1]]",
            "a\u{e9}",
            "a:+1",
            "a: 1",
        ];
        for host in bad {
            assert!(check_authority(host.as_bytes(), Port::Optional).is_err(), "{host:?}");
        }
    }

    #[test]
    fn each_form_is_allowed_where_it_belongs() {
        let cases = [
            ("/", "GET", true),
            ("/a/b?c=d", "GET", true),
            ("/?a[b]=c", "GET", true),
            ("*", "OPTIONS", true),
            ("*", "GET", false),
            ("http://h/p", "GET", true),
            ("HTTP://h", "GET", true),
            ("https://h:1/p?q", "POST", true),
            ("http:///p", "GET", false),
            ("http://u@h/p", "GET", false),
            ("ftp://h/p", "GET", false),
            ("a/b", "GET", false),
            ("", "GET", false),
            ("h:80", "CONNECT", true),
            ("h", "CONNECT", false),
            ("/", "CONNECT", false),
            ("/a#b", "GET", false),
            ("/a<b", "GET", false),
            ("/a?b\\c", "GET", false),
            ("/\u{e9}", "GET", false),
        ];
        for (target, method, allowed) in cases {
            let (method, extent) = (method.parse().unwrap(), measure(target.as_bytes()));
            assert_eq!(
                parse_target(target.as_bytes(), extent, &method).is_ok(),
                allowed,
                "{target:?}"
            );
        }
    }

    #[test]
    fn paths_are_decoded_once_and_strictly() {
        for (raw, decoded) in [
            ("/a%20b", Some("/a b")),
            ("/%C3%A9", Some("/é")),
            ("/%2541", Some("/%41")),
            ("/a+b", Some("/a+b")),
            ("/%zz", None),
            ("/%4", None),
            ("/%", None),
            ("/%00", None),
            ("/%ff", None),
            ("/%C3", None),
        ] {
            let outcome = decode_path(raw.as_bytes()).ok();
            assert_eq!(outcome.as_deref(), decoded.map(str::as_bytes), "{raw}");
        }
    }

    #[test]
    fn forms_decode_plus_and_escapes() {
        assert_eq!(decode_form("a+b%20c%2B"), "a b c+");
        assert_eq!(decode_form("100%"), "100%");
        assert_eq!(decode_form("x%20y%"), "x y%");
        assert_eq!(decode_form("100%25+sure%zz%4"), "100% sure%zz%4");
        assert_eq!(decode_form("%%41%c3%a9%"), "%Aé%");
        assert_eq!(decode_form("%ff"), "\u{fffd}");
    }
}
