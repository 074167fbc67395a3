//! A message and how a program makes one.

use super::{
    JSON,
    header::{ByteOrder, Header},
    malformed,
};
use crate::net::FrameError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message: what its header says, and its content.
///
/// # Examples
///
/// ```
/// use snow::headed::{Content, Message};
///
/// let reply = Message::bytes("binary/custom-client-binary-type", &b"\x00\x01"[..]);
/// assert_eq!(reply.content_encoding(), "binary");
/// assert!(matches!(reply.content(), Content::Bytes(bytes) if bytes.len() == 2));
///
/// let numbers = Message::json(&[1, 2, 3])?.encoded("utf-16-le").with("request-id", 7);
/// assert_eq!(numbers.parse::<Vec<u8>>()?, [1, 2, 3]);
/// assert_eq!(numbers.get("request-id").unwrap(), 7);
/// # Ok::<(), snow::net::FrameError>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub(super) header: Header,
    pub(super) content: Content,
}

/// What a [`Message`] carries.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Content {
    /// Of the content type `text/json`, decoded.
    Json(Value),
    /// Of any other type, as it is.
    Bytes(Bytes),
}

impl Message {
    /// Makes a message of anything that can be JSON: `text/json` in `utf-8`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::net::FrameErrorKind::Malformed) for what cannot, such as a map whose keys are
    /// no text.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Message, FrameError> {
        let value = serde_json::to_value(value)
            .map_err(|error| malformed("the content cannot be JSON").caused_by(error))?;
        Ok(Message::new(JSON.into(), "utf-8", Content::Json(value)))
    }

    /// Makes a message of bytes, whose encoding is `binary` unless it is said otherwise.
    ///
    /// Of the type `text/json` it cannot be sent: see [`Message::json`].
    pub fn bytes(content_type: impl Into<String>, content: impl Into<Bytes>) -> Message {
        Message::new(content_type.into(), "binary", Content::Bytes(content.into()))
    }

    fn new(content_type: String, content_encoding: &str, content: Content) -> Message {
        let content_encoding = content_encoding.into();
        let (byte_order, others) = (ByteOrder::NATIVE, Vec::new());
        Message { header: Header { byte_order, content_type, content_encoding, others }, content }
    }

    /// Changes the encoding, which says how JSON is written (`utf-8`, `utf-16`, `utf-16-le`,
    /// `utf-16-be`, `latin-1`, `ascii`), and for bytes what the receiver makes of it.
    pub fn encoded(mut self, content_encoding: impl Into<String>) -> Message {
        self.header.content_encoding = content_encoding.into();
        self
    }

    /// Changes the order of bytes, which is this machine's.
    pub fn ordered(mut self, byte_order: ByteOrder) -> Message {
        self.header.byte_order = byte_order;
        self
    }

    /// Adds a key of the program's own to the header. The four of the format, and a key that is there
    /// already, are refused when the message is encoded.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Message {
        self.header.others.push((key.into(), value.into()));
        self
    }

    /// Returns the order of bytes.
    pub fn byte_order(&self) -> ByteOrder {
        self.header.byte_order
    }

    /// Returns the content type.
    pub fn content_type(&self) -> &str {
        &self.header.content_type
    }

    /// Returns the content encoding.
    pub fn content_encoding(&self) -> &str {
        &self.header.content_encoding
    }

    /// Returns the value of a key that is not one of the format's four.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.header.others.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns the keys that are not of the format, with their values, in the order they came in.
    pub fn others(&self) -> &[(String, Value)] {
        &self.header.others
    }

    /// Returns the content.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Takes the content out.
    pub fn into_content(self) -> Content {
        self.content
    }

    /// Returns the content if it is JSON.
    pub fn as_json(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Bytes(_) => None,
        }
    }

    /// Turns JSON content into a value of the program's.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::net::FrameErrorKind::Malformed) when the content is of another type or shape. The
    /// stream goes on.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, FrameError> {
        match &self.content {
            Content::Json(value) => T::deserialize(value)
                .map_err(|error| malformed("the content has another shape").caused_by(error)),
            Content::Bytes(_) => Err(malformed("the content is not of the type text/json")),
        }
    }
}
