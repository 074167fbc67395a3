//! Names of uploads: 128 bits that nobody can guess, as 32 hexadecimal digits.
//!
//! Whoever knows the name may write and delete, so it comes from the system's generator. It is also
//! the name of a file: nothing but these digits gets as far as the file system.

use std::{fmt, io};

/// The name of one upload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct UploadId(u128);

/// Digits of a name.
const LEN: usize = 32;

impl UploadId {
    /// Makes a name that nobody has had before.
    pub(super) fn random() -> io::Result<UploadId> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(UploadId(u128::from_ne_bytes(bytes)))
    }

    /// Takes exactly what `Display` writes.
    pub(super) fn parse(text: &str) -> Option<UploadId> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != LEN || !text.bytes().all(is_digit) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(UploadId)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
        let id = UploadId::random().unwrap();
        let text = id.to_string();
        assert_eq!(UploadId::parse(&text), Some(id));
        assert_ne!(UploadId::random().unwrap(), id);
        for wrong in ["", "..", "0", &text[1..], &format!("{text}0"), &format!("+{}", &text[1..])] {
            assert_eq!(UploadId::parse(wrong), None, "{wrong}");
        }
        assert_eq!(UploadId::parse("ABCDEF00000000000000000000000000"), None);
    }
}
