//! What the fuzz target of the fields drives, as text; compiled for it alone, under `--cfg fuzzing`.

use super::{
    checksum::Checksum,
    fields,
    info::{Info, Kind},
};

/// Takes an `Upload-Length` or `Upload-Offset`.
pub fn number(text: &str) -> Option<u64> {
    fields::parse_number(text)
}

/// Takes an `Upload-Metadata`.
pub fn metadata(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    fields::parse_metadata(text)
}

/// Takes an `Upload-Checksum`, and returns whether `content` has it.
pub fn checksum(text: &str, content: &[u8]) -> Option<bool> {
    let mut checksum = Checksum::parse(text).ok()?;
    checksum.update(content);
    Some(checksum.verify())
}

/// Takes an `Upload-Concat` of a final upload, and returns the names of its parts.
pub fn parts(text: &str) -> Option<Vec<String>> {
    let ids = fields::parse_parts(text).ok()?;
    Some(ids.iter().map(ToString::to_string).collect())
}

/// Returns whether what is written down of an upload with these fields is read again as it was.
pub fn is_kept(metadata: &str, concat: Option<&str>, length: Option<u64>) -> bool {
    let kind = concat.map_or(Kind::Whole, |concat| Kind::Final(concat.to_string()));
    let info = Info { length, kind, metadata: metadata.to_string(), is_finished: false };
    Info::parse(&info.to_text()) == Some(info)
}
