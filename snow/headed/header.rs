//! The header: JSON with four keys that must be there, and any others.

use super::{JSON, encoding::Encoding, json, malformed, quoted};
use crate::net::FrameError;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, error::Category};
use std::fmt;

const BYTE_ORDER: &str = "byteorder";
const CONTENT_TYPE: &str = "content-type";
const CONTENT_ENCODING: &str = "content-encoding";
const CONTENT_LENGTH: &str = "content-length";

/// What a header says, but for the content's length, which the content tells.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Header {
    pub(super) byte_order: ByteOrder,
    pub(super) content_type: String,
    pub(super) content_encoding: String,
    /// The keys beside the four, as they came.
    pub(super) others: Vec<(String, Value)>,
}

/// The order of bytes on the sender's machine, for content in which it matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ByteOrder {
    /// The least significant byte comes first.
    Little,
    /// The most significant byte comes first.
    Big,
}

impl ByteOrder {
    /// The order of bytes on this machine.
    pub const NATIVE: ByteOrder =
        if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
}

impl ByteOrder {
    fn name(self) -> &'static str {
        match self {
            ByteOrder::Little => "little",
            ByteOrder::Big => "big",
        }
    }

    fn named(name: &str) -> Result<ByteOrder, FrameError> {
        [ByteOrder::Little, ByteOrder::Big]
            .into_iter()
            .find(|order| order.name() == name)
            .ok_or_else(|| {
                let name = quoted(name);
                malformed(format!("`{BYTE_ORDER}` is {name}, and neither \"little\" nor \"big\""))
            })
    }
}

impl Header {
    /// Reads a header, and the length of the content behind it.
    pub(super) fn parse(text: &[u8]) -> Result<(Header, u64), FrameError> {
        let mut fields = Fields::parse(text)?;
        let byte_order = ByteOrder::named(&fields.take_text(BYTE_ORDER)?)?;
        let content_type = fields.take_text(CONTENT_TYPE)?;
        let content_encoding = fields.take_text(CONTENT_ENCODING)?;
        let content_len = fields.take(CONTENT_LENGTH)?.as_u64().ok_or_else(|| {
            malformed(format!("`{CONTENT_LENGTH}` is not a whole number of bytes"))
        })?;
        Ok((Header { byte_order, content_type, content_encoding, others: fields.0 }, content_len))
    }

    /// Writes a header for so many bytes of content.
    pub(super) fn to_json(&self, content_len: usize) -> Result<String, FrameError> {
        let mut fields = vec![
            (BYTE_ORDER.to_owned(), self.byte_order.name().into()),
            (CONTENT_TYPE.to_owned(), self.content_type.as_str().into()),
            (CONTENT_ENCODING.to_owned(), self.content_encoding.as_str().into()),
            (CONTENT_LENGTH.to_owned(), content_len.into()),
        ];
        fields.extend_from_slice(&self.others);
        let fields = Fields(fields);
        fields.check_unique()?;
        Ok(json::to_string(&fields))
    }

    /// Returns how the content is encoded if it is JSON.
    pub(super) fn json_encoding(&self) -> Result<Option<Encoding>, FrameError> {
        if self.content_type != JSON {
            return Ok(None);
        }
        Encoding::named(&self.content_encoding).map(Some)
    }
}

/// An object's keys and values in order. A map of serde_json would drop all but the last of a key.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn parse(text: &[u8]) -> Result<Fields, FrameError> {
        let fields: Fields =
            serde_json::from_slice(text).map_err(|error| match error.classify() {
                // Its words would quote all of what the peer has sent.
                Category::Data => malformed("the header is not a JSON object"),
                Category::Syntax | Category::Eof | Category::Io => {
                    malformed("the header is not JSON").caused_by(error)
                }
            })?;
        fields.check_unique()?;
        Ok(fields)
    }

    fn check_unique(&self) -> Result<(), FrameError> {
        let mut keys: Vec<&str> = self.0.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(malformed(format!("the header has {} twice", quoted(pair[0])))),
            None => Ok(()),
        }
    }

    fn take(&mut self, key: &str) -> Result<Value, FrameError> {
        match self.0.iter().position(|(name, _)| name == key) {
            Some(at) => Ok(self.0.remove(at).1),
            None => Err(malformed(format!("the header has no `{key}`"))),
        }
    }

    fn take_text(&mut self, key: &str) -> Result<String, FrameError> {
        match self.take(key)? {
            Value::String(text) => Ok(text),
            _ => Err(malformed(format!("`{key}` is not text"))),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}
