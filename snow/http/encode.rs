//! Response to bytes: the status line, fields, and the one function that chooses the framing.

use super::{
    conn::Owed,
    date::{LENGTH, Preface},
    request::Version,
    response::{ContentType, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// How the content of a response is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// There is none to send.
    Nothing,
    /// So many bytes are still to be sent.
    Length(u64),
    /// This last byte of a declared length is still to be sent. It is held back until the content has
    /// ended, so that the response does not look whole when the stream fails or goes on.
    LastByte(u8),
    Chunked,
    /// The close ends it.
    UntilClose,
}

/// What the head says about the framing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Announced {
    Length(u64),
    Chunked,
    UntilClose,
    /// There is no content, and so no type of it.
    NoContent,
}

/// Chooses the framing of a response: what is sent, and what the head says about it.
fn choose(response: &Response, owed: &Owed) -> (Framing, Announced) {
    let declared = match response.body.0.as_bytes() {
        // Only a handler that answers HEAD itself declares a length and gives no content.
        Some([]) if owed.is_head => Some(declared_length(response).unwrap_or(0)),
        Some(bytes) => Some(bytes.len() as u64),
        None => response.body.0.file_len().or_else(|| declared_length(response)),
    };
    let (framing, announced) = match (response.status, declared) {
        (status, _) if has_no_content(status) => match status {
            StatusCode::RESET_CONTENT => (Framing::Nothing, Announced::Length(0)),
            _ => (Framing::Nothing, Announced::NoContent),
        },
        (_, Some(length)) => (Framing::Length(length), Announced::Length(length)),
        (_, None) if owed.version == Version::Http11 => (Framing::Chunked, Announced::Chunked),
        (_, None) => (Framing::UntilClose, Announced::UntilClose),
    };
    (if owed.is_head { Framing::Nothing } else { framing }, announced)
}

/// Returns whether no response with this status has content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
pub(crate) fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Returns the length that the handler promised for its stream.
fn declared_length(response: &Response) -> Option<u64> {
    let mut fields = response.headers.iter();
    let (_, value) = fields.find(|(name, _)| name == header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

/// Writes the head of `response`; `owed` learns whether the connection goes on after it.
pub(crate) fn write_head(
    out: &mut Vec<u8>,
    response: &Response,
    owed: &mut Owed,
    preface: &Preface,
) -> Framing {
    let (framing, announced) = choose(response, owed);
    match (response.status, announced) {
        (StatusCode::OK, Announced::Length(_)) => {
            out.extend_from_slice(preface.of_ok(response.content_type));
        }
        (status, announced) => {
            let content_type = match announced {
                Announced::NoContent => ContentType::Unsaid,
                _ => response.content_type,
            };
            write_status_line(out, status);
            out.extend_from_slice(preface.fields(content_type));
            out.extend_from_slice(match announced {
                Announced::NoContent | Announced::UntilClose => b"",
                Announced::Length(_) => LENGTH,
                Announced::Chunked => b"\r\nTransfer-Encoding: chunked",
            });
        }
    }
    if let Announced::Length(length) = announced {
        // One by one: a wide copy of the digits, just stored in smaller parts, would stall, as their stores
        // cannot be forwarded to it.
        for digit in itoa::Buffer::new().format(length).bytes() {
            out.push(digit);
        }
    }
    let mut names_upgrades = false;
    for (name, value) in &response.headers {
        if is_servers(name) {
            owed.is_keep_alive &= !is_close(name, value);
            continue;
        }
        names_upgrades |= name == header::UPGRADE;
        write_field(out, name, value);
    }
    owed.is_keep_alive &= framing != Framing::UntilClose;
    match (owed.is_keep_alive, owed.version) {
        (false, _) => out.extend_from_slice(b"\r\nConnection: close"),
        (true, Version::Http10) => out.extend_from_slice(b"\r\nConnection: keep-alive"),
        (true, Version::Http11) => {}
    }
    if names_upgrades {
        // The field is for the next hop, and has to say so (RFC 9110, section 7.8).
        let is_alone = owed.is_keep_alive && owed.version == Version::Http11;
        out.extend_from_slice(if is_alone { b"\r\nConnection: upgrade" } else { b", upgrade" });
    }
    out.extend_from_slice(b"\r\n\r\n");
    framing
}

/// Returns whether a field says that the handler wants the connection to end with this response.
fn is_close(name: &HeaderName, value: &HeaderValue) -> bool {
    let mut options = value.as_bytes().split(|byte| *byte == b',');
    name == header::CONNECTION
        && options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Returns whether a field is the server's to set.
fn is_servers(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::DATE]
        .contains(name)
        || name.as_str() == "keep-alive"
}

fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
}

/// Writes a line's end and a field, its name as people write it: each word with a capital.
fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(b"\r\n");
    let start = out.len();
    out.extend_from_slice(name.as_str().as_bytes());
    let mut before = b'-';
    for byte in &mut out[start..] {
        if before == b'-' {
            byte.make_ascii_uppercase();
        }
        before = *byte;
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
}

/// Writes the size line of a chunk.
pub(crate) fn write_chunk_size(out: &mut Vec<u8>, len: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[len >> (4 * digit) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body.
pub(crate) fn write_last_chunk(out: &mut Vec<u8>, trailers: &[(HeaderName, HeaderValue)]) {
    out.push(b'0');
    for (name, value) in trailers {
        if !is_servers(name) {
            write_field(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal_without_leading_zeros() {
        for len in [1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, usize::MAX] {
            let mut out = Vec::new();
            write_chunk_size(&mut out, len);
            assert_eq!(out, format!("{len:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn field_names_have_capitals() {
        let mut out = Vec::new();
        let name = HeaderName::from_static("x-forwarded-for");
        write_field(&mut out, &name, &HeaderValue::from_static("a"));
        assert_eq!(out, b"\r\nX-Forwarded-For: a");
    }
}
