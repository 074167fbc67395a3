//! Headed messages: a JSON header that says what the content is, and the content. Feature `json`.
//!
//! A message is the length of its header (2 bytes, big-endian), the header, and the content:
//!
//! ```text
//! 00 5c {"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", …} content
//! ```
//!
//! It is the format of a well-known tutorial about sockets in Python, and what is written here is
//! what the programs there write, blanks included, except that the keys of an object in the content are
//! sorted. It runs over any stream, with [`Framed`](crate::net::Framed).

mod encoding;
mod header;
mod json;
mod message;

pub use header::ByteOrder;
pub use message::{Content, Message};

use crate::net::{Decode, Decoded, Encode, FrameError, FrameErrorKind};
use bytes::Bytes;
use encoding::Encoding;
use header::Header;
use std::borrow::Cow;

/// The content type whose content is decoded.
const JSON: &str = "text/json";

/// Bytes that the length in front of a header takes.
const PREFIX: usize = 2;

/// Bytes of a header; the four keys that it must have take some hundred.
const MAX_HEADER_BYTES: usize = 4096;

/// The codec of headed messages.
///
/// # Examples
///
/// ```
/// use snow::{headed::{Headed, Message}, net::{Decoder, Encode}};
/// use std::collections::BTreeMap;
///
/// let headed = Headed::new(64 * 1024);
/// let search = BTreeMap::from([("action", "search"), ("value", "morpheus")]);
/// let mut output = Vec::new();
/// headed.encode(&Message::json(&search)?, &mut output)?;
/// assert!(output.ends_with(br#"{"action": "search", "value": "morpheus"}"#));
///
/// let mut decoder = Decoder::new(headed);
/// decoder.push(&output);
/// let message = decoder.decode()?.unwrap();
/// assert_eq!(message.as_json().unwrap()["value"], "morpheus");
/// assert_eq!(message.content_encoding(), "utf-8");
/// # Ok::<(), snow::net::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Headed {
    max_header: usize,
    max_content: usize,
}

impl Headed {
    /// Takes messages with up to `max_content` bytes of content, inclusive, as they are encoded, and
    /// with headers of up to 4 KiB. What is longer is an error as soon as its length has come.
    ///
    /// JSON takes more memory once it is decoded: up to 130 times its length, if it is made of the
    /// smallest objects.
    pub const fn new(max_content: usize) -> Headed {
        Headed { max_header: MAX_HEADER_BYTES, max_content }
    }

    /// Takes headers of up to so many bytes, inclusive; more than 65,535 cannot be told.
    pub const fn max_header(self, max_header: usize) -> Headed {
        Headed { max_header, ..self }
    }

    fn check_header_len(&self, len: usize) -> Result<(), FrameError> {
        let max = self.max_header.min(usize::from(u16::MAX));
        check("a header", len as u64, max)
    }

    fn check_content_len(&self, len: u64) -> Result<(), FrameError> {
        check("content", len, self.max_content)
    }
}

fn check(what: &str, len: u64, max: usize) -> Result<(), FrameError> {
    if len <= max as u64 {
        return Ok(());
    }
    let message = format!("{what} of {len} bytes is longer than the limit of {max}");
    Err(FrameError::new(FrameErrorKind::TooLong, message))
}

fn malformed(message: impl Into<Cow<'static, str>>) -> FrameError {
    FrameError::new(FrameErrorKind::Malformed, message)
}

/// Shows what a peer chose, in a line of bounded length without control characters.
fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    let shown: String = text.chars().take(MOST).collect();
    format!("{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
}

/// What a [`Decoder`](crate::net::Decoder) knows of a message whose header has come.
#[derive(Debug)]
pub struct Head {
    header: Header,
    /// How the content is JSON, if it is.
    encoding: Option<Encoding>,
    /// Bytes in front of the content.
    start: usize,
    /// Bytes of the content, which are within the limit.
    content_len: u64,
}

impl Headed {
    /// Reads the header, if it has come.
    fn decode_head(&self, input: &[u8]) -> Result<Decoded<Head>, FrameError> {
        let Some((prefix, rest)) = input.split_first_chunk::<PREFIX>() else {
            return Ok(Decoded::Partial((PREFIX - input.len()) as u64));
        };
        let len = usize::from(u16::from_be_bytes(*prefix));
        self.check_header_len(len)?;
        let Some(text) = rest.get(..len) else {
            return Ok(Decoded::Partial((len - rest.len()) as u64));
        };
        let (header, content_len) = Header::parse(text)?;
        self.check_content_len(content_len)?;
        let encoding = header.json_encoding()?;
        let start = PREFIX + len;
        Ok(Decoded::Message(Head { header, encoding, start, content_len }, start))
    }
}

impl Decode for Headed {
    type Message = Message;

    /// What the header says, once it has come.
    type Progress = Option<Head>;

    fn decode(
        &self,
        progress: &mut Option<Head>,
        input: &[u8],
    ) -> Result<Decoded<Message>, FrameError> {
        let head = match progress.take() {
            Some(head) => head,
            None => match self.decode_head(input)? {
                Decoded::Message(head, _) => head,
                Decoded::Partial(missing) => return Ok(Decoded::Partial(missing)),
            },
        };
        let content = input.get(head.start..).unwrap_or_default();
        let missing = head.content_len.saturating_sub(content.len() as u64);
        if missing > 0 {
            *progress = Some(head);
            return Ok(Decoded::Partial(missing));
        }
        // As long as something that is in memory.
        let content = &content[..head.content_len as usize];
        let taken = head.start + content.len();
        Ok(Decoded::Message(head.into_message(content)?, taken))
    }
}

impl Head {
    fn into_message(self, content: &[u8]) -> Result<Message, FrameError> {
        let content = match self.encoding {
            Some(encoding) => {
                let text = encoding.decode(content, self.header.byte_order)?;
                let json = serde_json::from_str(&text)
                    .map_err(|error| malformed("the content is not JSON").caused_by(error))?;
                Content::Json(json)
            }
            None => Content::Bytes(Bytes::copy_from_slice(content)),
        };
        Ok(Message { header: self.header, content })
    }
}

impl Encode<Message> for Headed {
    /// Writes the length of the header, the header and the content.
    ///
    /// # Errors
    ///
    /// [`TooLong`](FrameErrorKind::TooLong) when the header or the content is over the limit;
    /// [`Malformed`](FrameErrorKind::Malformed) when the encoding of JSON is unknown or has no room for
    /// a character, when a key is there twice, and for bytes that pass for `text/json`.
    fn encode(&self, message: &Message, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let header = &message.header;
        let content = match (&message.content, header.json_encoding()?) {
            (Content::Bytes(bytes), None) => Cow::Borrowed(&bytes[..]),
            (Content::Json(json), Some(encoding)) => {
                Cow::Owned(encoding.encode(&json::to_string(json), header.byte_order)?)
            }
            (Content::Bytes(_), Some(_)) | (Content::Json(_), None) => {
                return Err(malformed(
                    "content is JSON if, and only if, it is of the type text/json",
                ));
            }
        };
        self.check_content_len(content.len() as u64)?;
        let header = header.to_json(content.len())?;
        self.check_header_len(header.len())?;
        // Checked to fit: no limit of a header is greater.
        output.extend_from_slice(&(header.len() as u16).to_be_bytes());
        output.extend_from_slice(header.as_bytes());
        output.extend_from_slice(&content);
        Ok(())
    }
}
