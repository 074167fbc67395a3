//! What the fields of a head say about the content and the connection (RFC 9112, sections 6 and 9).
//!
//! Facts are gathered first and judged together, so that contradictions are found whatever their order.

use super::{
    bad,
    parse::{Field, Head, Span},
    request::Version,
    target::{self, Port},
};
use crate::{Error, ErrorKind, Result};

/// How the content of a request is delimited (RFC 9112, section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ContentFraming {
    /// There is none.
    #[default]
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the fields say about framing and the connection, gathered before it is judged.
#[derive(Default)]
struct Facts {
    content_length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
}

/// Keeps the fields and heeds those that are about the connection.
pub(super) fn take_fields(
    input: &[u8],
    fields: &[httparse::Header<'_>],
    head: &mut Head,
) -> Result<()> {
    head.fields.clear();
    head.fields.reserve_exact(fields.len());
    head.host = None;
    head.expects_continue = false;
    let mut facts = Facts::default();
    // Before anything is heeded, so that a fault is the same however the head is cut.
    for field in fields {
        check_line_end(input, Span::of(field.name.as_bytes(), input).start.into())?;
    }
    check_line_end(input, input.len() - 2)?;
    check_line_end(input, input.len())?;
    for field in fields {
        let (name, value) = (Span::of(field.name.as_bytes(), input), Span::of(field.value, input));
        head.fields.push(Field { name, value });
        heed(field.name, field.value, value, &mut facts, head)?;
    }
    judge(&facts, head)
}

/// Checks that the line before `at` ends with CR LF: `httparse` takes a bare LF too.
fn check_line_end(input: &[u8], at: usize) -> Result<()> {
    match input[at - 2] {
        b'\r' => Ok(()),
        _ => Err(bare_line_feed(at - 1)),
    }
}

/// Heeds one field, if it is one that the server itself reads.
fn heed(name: &str, value: &[u8], span: Span, facts: &mut Facts, head: &mut Head) -> Result<()> {
    // Most fields are none of these, and their length alone says so.
    match name.len() {
        // As it is mostly written: one comparison.
        4 if name == "Host" || name.eq_ignore_ascii_case("host") => {
            if head.host.replace(span).is_some() {
                return Err(bad("the Host field is there twice"));
            }
            if !value.is_empty() {
                target::check_authority(value, Port::Optional)?;
            }
        }
        6 if name.eq_ignore_ascii_case("expect") && head.version == Version::Http11 => {
            let expectations = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            for expectation in expectations.filter(|one| !one.is_empty()) {
                if !expectation.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Error::new(
                        ErrorKind::ExpectationFailed,
                        "the only expectation this server meets is 100-continue",
                    ));
                }
                head.expects_continue = true;
            }
        }
        10 if name.eq_ignore_ascii_case("connection") => {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                facts.closes |= option.eq_ignore_ascii_case(b"close");
                facts.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        14 if name.eq_ignore_ascii_case("content-length") => {
            let length = parse_length(value)?;
            if facts.content_length.replace(length).is_some() {
                return Err(bad("the Content-Length field is there twice"));
            }
        }
        17 if name.eq_ignore_ascii_case("transfer-encoding") => {
            if facts.is_chunked {
                return Err(bad("the Transfer-Encoding field is there twice"));
            }
            check_coding(value)?;
            facts.is_chunked = true;
        }
        _ => {}
    }
    Ok(())
}

/// Parses `1*DIGIT`, and nothing else: no sign, no list, no blank.
fn parse_length(value: &[u8]) -> Result<u64> {
    if value.is_empty() {
        return Err(bad("the Content-Length field is empty"));
    }
    value
        .iter()
        .try_fold(0_u64, |length, &digit| {
            let digit = digit.is_ascii_digit().then_some(u64::from(digit.wrapping_sub(b'0')))?;
            length.checked_mul(10)?.checked_add(digit)
        })
        .ok_or_else(|| bad("the Content-Length field is not a number of bytes"))
}

/// Takes `chunked` and nothing else (RFC 9112, section 6.1).
fn check_coding(value: &[u8]) -> Result<()> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    if codings.any(|coding| coding.is_empty() || !coding.iter().all(|&b| target::is_token(b))) {
        return Err(bad("the Transfer-Encoding field is malformed"));
    }
    // Without chunked at the end nobody knows where the content ends (RFC 9112, section 6.3).
    let codings = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let chunked = codings.map(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    match (chunked.clone().next_back(), chunked.filter(|is_chunked| *is_chunked).count()) {
        (Some(true), 1) => {
            Err(Error::new(ErrorKind::NotImplemented, "the only transfer coding is chunked"))
        }
        (Some(true), _) => Err(bad("the content is chunked more than once")),
        _ => Err(bad("the last transfer coding is not chunked")),
    }
}

/// Decides what the fields together mean, or that they contradict each other.
fn judge(facts: &Facts, head: &mut Head) -> Result<()> {
    let is_http11 = head.version == Version::Http11;
    if is_http11 && head.host.is_none() {
        return Err(bad("the Host field is missing"));
    }
    if facts.is_chunked && !is_http11 {
        return Err(bad("a transfer coding has no place in HTTP/1.0"));
    }
    head.content = match (facts.is_chunked, facts.content_length) {
        (true, Some(_)) => return Err(bad("Content-Length and Transfer-Encoding contradict")),
        (true, None) => ContentFraming::Chunked,
        (false, Some(0) | None) => ContentFraming::None,
        (false, Some(length)) => ContentFraming::Length(length),
    };
    head.expects_continue &= head.content != ContentFraming::None;
    head.is_keep_alive = !facts.closes && (is_http11 || facts.keeps_alive);
    Ok(())
}

pub(super) fn bare_line_feed(at: usize) -> Error {
    bad(format!("byte {at} is a line feed without a carriage return"))
}
