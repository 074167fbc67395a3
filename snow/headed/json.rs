//! JSON as the Python tutorial's programs write it: a blank behind each comma and colon, and characters
//! beyond ASCII as they are.

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};
use std::io;

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        is_first: bool,
    ) -> io::Result<()> {
        begin(writer, is_first)
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        is_first: bool,
    ) -> io::Result<()> {
        begin(writer, is_first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

fn begin<W: io::Write + ?Sized>(writer: &mut W, is_first: bool) -> io::Result<()> {
    if is_first { Ok(()) } else { writer.write_all(b", ") }
}

/// Writes a value whose keys are text.
pub(super) fn to_string<T: Serialize>(value: &T) -> String {
    let mut json = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut json, Spaced))
        .expect("a vector takes all, and keys that are text can be written");
    String::from_utf8(json).expect("JSON is UTF-8")
}
