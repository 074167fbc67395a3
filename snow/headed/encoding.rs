//! Text encodings: those that a Python program is likely to name.

use super::{header::ByteOrder, malformed, quoted};
use crate::net::FrameError;
use std::{borrow::Cow, str};

/// How text is bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    /// With a byte order mark in front; without one, in the order that the header names.
    Utf16,
    Utf16Ordered(ByteOrder),
}

/// The mark in front of UTF-16 that tells the order of its bytes.
const MARK: u16 = 0xfeff;

impl Encoding {
    /// Finds an encoding by one of its names, in any case, with `-` or `_`.
    pub(super) fn named(name: &str) -> Result<Encoding, FrameError> {
        match &*name.to_ascii_lowercase().replace('_', "-") {
            "utf-8" | "utf8" => Ok(Encoding::Utf8),
            "ascii" | "us-ascii" => Ok(Encoding::Ascii),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Ok(Encoding::Latin1),
            "utf-16" | "utf16" => Ok(Encoding::Utf16),
            "utf-16-le" | "utf-16le" => Ok(Encoding::Utf16Ordered(ByteOrder::Little)),
            "utf-16-be" | "utf-16be" => Ok(Encoding::Utf16Ordered(ByteOrder::Big)),
            _ => Err(malformed(format!("the content encoding {} is unknown", quoted(name)))),
        }
    }

    /// Reads text; `order` is what the header says.
    pub(super) fn decode(self, bytes: &[u8], order: ByteOrder) -> Result<Cow<'_, str>, FrameError> {
        match self {
            Encoding::Utf8 => match str::from_utf8(bytes) {
                Ok(text) => Ok(text.into()),
                Err(error) => Err(bad_byte(bytes, error.valid_up_to(), "UTF-8").caused_by(error)),
            },
            Encoding::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
                Some(at) => Err(bad_byte(bytes, at, "ASCII")),
                None => Ok(widened(bytes)),
            },
            Encoding::Latin1 => Ok(widened(bytes)),
            Encoding::Utf16 => match bytes.split_first_chunk() {
                Some((mark, text)) if u16::from_le_bytes(*mark) == MARK => {
                    decode_utf16(text, ByteOrder::Little)
                }
                Some((mark, text)) if u16::from_be_bytes(*mark) == MARK => {
                    decode_utf16(text, ByteOrder::Big)
                }
                _ => decode_utf16(bytes, order),
            },
            Encoding::Utf16Ordered(order) => decode_utf16(bytes, order),
        }
    }

    /// Writes text; `order` is what the header says.
    pub(super) fn encode(self, text: &str, order: ByteOrder) -> Result<Vec<u8>, FrameError> {
        match self {
            Encoding::Utf8 => Ok(text.into()),
            Encoding::Ascii => encode_narrow(text, 0x7f, "ASCII"),
            Encoding::Latin1 => encode_narrow(text, 0xff, "Latin-1"),
            Encoding::Utf16 => Ok([MARK]
                .into_iter()
                .chain(text.encode_utf16())
                .flat_map(in_order(order))
                .collect()),
            Encoding::Utf16Ordered(order) => {
                Ok(text.encode_utf16().flat_map(in_order(order)).collect())
            }
        }
    }
}

fn bad_byte(bytes: &[u8], at: usize, encoding: &str) -> FrameError {
    malformed(format!("byte {at} of the content, {:#04x}, is not {encoding}", bytes[at]))
}

/// Reads text of which each byte is a character.
fn widened(bytes: &[u8]) -> Cow<'static, str> {
    bytes.iter().copied().map(char::from).collect()
}

fn decode_utf16(bytes: &[u8], order: ByteOrder) -> Result<Cow<'static, str>, FrameError> {
    let (units, rest) = (bytes.chunks_exact(2), bytes.len() % 2);
    if rest > 0 {
        return Err(malformed("the content ends within a unit of UTF-16"));
    }
    let units = units.map(|unit| match order {
        ByteOrder::Little => u16::from_le_bytes([unit[0], unit[1]]),
        ByteOrder::Big => u16::from_be_bytes([unit[0], unit[1]]),
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.map(Cow::Owned).map_err(|error| {
        let unit = error.unpaired_surrogate();
        malformed(format!("the content has {unit:#06x}, half a character of UTF-16"))
            .caused_by(error)
    })
}

fn in_order(order: ByteOrder) -> impl Fn(u16) -> [u8; 2] {
    move |unit| match order {
        ByteOrder::Little => unit.to_le_bytes(),
        ByteOrder::Big => unit.to_be_bytes(),
    }
}

/// Writes text of which each character is a byte.
fn encode_narrow(text: &str, last: u8, encoding: &str) -> Result<Vec<u8>, FrameError> {
    let byte = |char: char| match u8::try_from(char) {
        Ok(byte) if byte <= last => Ok(byte),
        _ => Err(malformed(format!("the content has {char:?}, which is not {encoding}"))),
    };
    text.chars().map(byte).collect()
}
