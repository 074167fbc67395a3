//! Responses, strictly (RFC 9112, sections 4 and 6.3): what a client must be able to rely on.

use crate::{
    chunked,
    syntax::{self, Field, number, values},
};
use snow::Config;
use std::sync::LazyLock;

/// What is known of the request that is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Whether the answer has no content for that it was `HEAD`.
    pub is_head: bool,
    /// Whether it was 1.0.
    pub is_http10: bool,
    /// Whether it asked for a 100.
    pub expects_continue: bool,
}

/// A response that was taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// The content, as far as it has come.
    pub content: Vec<u8>,
    /// Whether all of it has.
    pub is_complete: bool,
    /// Whether the connection is to end.
    pub is_last: bool,
    /// Bytes that the response took.
    pub len: usize,
}

/// Takes the response apart that `output` begins with; `None` when its head has not come in full.
///
/// # Panics
///
/// When it is not as it has to be.
pub fn read(output: &[u8], asked: Asked, is_closed: bool) -> Option<Answer> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n")?;
    let lines = syntax::lines(&output[..end + 2]).expect("a bare CR or LF in a head");
    let status = status_line(lines[0]);
    let fields = lines[1..].iter().map(|line| syntax::field(line).expect("a malformed field"));
    let fields: Vec<Field> = fields.collect();
    check_fields(status, &fields, asked);
    let connection = values(&fields, "connection");
    let mut options = connection.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let is_last = options.any(|option| option.trim_ascii() == b"close");
    let rest = &output[end + 4..];
    let (content, len, is_complete) = content(status, &fields, asked, rest, is_closed);
    let len = end + 4 + len;
    Some(Answer { status, fields, content, is_complete, is_last, len })
}

/// `HTTP-version SP status-code SP [ reason-phrase ]`.
fn status_line(line: &[u8]) -> u16 {
    let code = line.strip_prefix(b"HTTP/1.1 ").expect("no version");
    assert!(code.len() >= 4 && code[3] == b' ', "no status: {:?}", line.escape_ascii());
    assert!(code[4..].iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')), "a bad reason");
    let status = number(&code[..3]).expect("a status that is no number");
    assert!((100..1000).contains(&status), "status {status}");
    status as u16
}

fn check_fields(status: u16, fields: &[Field], asked: Asked) {
    let count = |name| values(fields, name).len();
    if status < 200 {
        assert!(status == 100 && fields.is_empty(), "an interim answer other than 100");
        assert!(asked.expects_continue, "a 100 that nobody asked for");
        return;
    }
    assert_eq!(count("date"), 1, "Date");
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1, "framing that may be read in two ways");
    assert!(count("connection") <= 1 && count("content-type") <= 1);
    if codings == 1 {
        assert!(!asked.is_http10, "a transfer coding in an answer to 1.0");
        assert_eq!(*values(fields, "transfer-encoding"), [b"chunked"]);
    }
    if matches!(status, 204 | 304) {
        assert_eq!(lengths + codings, 0, "framing where there is no content");
    }
}

/// Returns the content, how many bytes it took, and whether it is complete.
fn content(
    status: u16,
    fields: &[Field],
    asked: Asked,
    rest: &[u8],
    is_closed: bool,
) -> (Vec<u8>, usize, bool) {
    if status < 200 || matches!(status, 204 | 304) || asked.is_head {
        return (Vec::new(), 0, true);
    }
    if let [length] = *values(fields, "content-length") {
        let length = number(length).expect("a length that is no number") as usize;
        let len = length.min(rest.len());
        return (rest[..len].to_vec(), len, len == length);
    }
    if values(fields, "transfer-encoding").is_empty() {
        assert!(asked.is_http10, "an answer to 1.1 that only the close ends");
        return (rest.to_vec(), rest.len(), is_closed);
    }
    match chunked::read(rest, &GENEROUS) {
        chunked::Verdict::Complete(content, _, len) => (content, len, true),
        chunked::Verdict::Partial => (Vec::new(), rest.len(), false),
        chunked::Verdict::Refused(reason) => panic!("malformed chunks: {reason}"),
    }
}

/// Limits for the reader of what Snow itself has sent.
static GENEROUS: LazyLock<Config> = LazyLock::new(|| {
    let mut config = Config::default();
    config.max_chunk_overhead_bytes = u32::MAX;
    config
});
