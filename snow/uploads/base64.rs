//! Base64 as tus has it in its fields: the standard alphabet, padded, and in one way only.

/// Decodes `text`; `None` for anything but the one encoding of some bytes.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let groups = text.as_bytes().chunks_exact(4);
    if !groups.remainder().is_empty() {
        return None;
    }
    let last = (text.len() / 4).checked_sub(1);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for (number, group) in groups.enumerate() {
        let padding = match group {
            [_, _, b'=', b'='] => 2,
            [_, _, _, b'='] => 1,
            _ => 0,
        };
        if padding > 0 && Some(number) != last {
            return None;
        }
        let digits = &group[..4 - padding];
        let bits = digits.iter().try_fold(0, |bits, &digit| Some(bits << 6 | value(digit)?))?;
        let decoded = (bits << (6 * padding)).to_be_bytes();
        // Bits that belong to no byte are zero, or the same bytes would have several encodings.
        if decoded[4 - padding..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&decoded[1..4 - padding]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_vectors_of_rfc_4648_decode() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
    }

    #[test]
    fn what_is_not_the_one_encoding_is_refused() {
        for text in [
            "Z", "Zg", "Zg=", "Zh==", "Zm9=", "=", "====", "Zg==Zg==", "Zm 8", "Zm9-", "Z===",
            "é==",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
