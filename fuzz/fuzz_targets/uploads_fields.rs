//! Fields of an upload's request, as a plain reader has them: what is taken is what was meant, once, and it
//! survives being written down.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snow::fuzzing::uploads;
use std::collections::HashSet;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    // As a field's value gets that far: ASCII without controls.
    let is_text = rest.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let Some(text) = std::str::from_utf8(rest).ok().filter(|_| is_text) else { return };
    match kind % 4 {
        0 => check_number(text),
        1 => check_metadata(text),
        2 => check_checksum(text),
        _ => check_parts(text),
    }
});

fn check_number(text: &str) {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = text.trim_start_matches('0');
    let expected = match digits.len() {
        _ if !is_number => None,
        0 => Some(0),
        len if len > 19 => None,
        _ => digits.parse::<u64>().ok().filter(|&number| number <= i64::MAX as u64),
    };
    assert_eq!(uploads::number(text), expected);
}

fn check_metadata(text: &str) {
    let Some(pairs) = uploads::metadata(text) else {
        assert!(!text.is_empty());
        return;
    };
    assert_eq!(pairs.is_empty(), text.is_empty());
    let keys: HashSet<_> = pairs.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), pairs.len(), "a key comes twice");
    let written: Vec<_> = if text.is_empty() { Vec::new() } else { text.split(',').collect() };
    assert_eq!(written.len(), pairs.len());
    for (written, (key, value)) in written.into_iter().zip(&pairs) {
        let written = written.strip_prefix(' ').unwrap_or(written);
        let is_bare = value.is_empty() && (written == key || *written == format!("{key} "));
        assert!(is_bare || *written == format!("{key} {}", base64(value)), "{written:?}");
    }
    assert!(uploads::is_kept(text, None, Some(7)));
}

fn check_checksum(text: &str) {
    let Some(fits) = uploads::checksum(text, b"") else { return };
    let (algorithm, digest) = text.split_once(' ').expect("an algorithm and a digest");
    let (len, of_nothing) = match algorithm {
        "sha1" => (28, "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        "sha256" => (44, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        _ => panic!("{algorithm} is not offered"),
    };
    assert_eq!((digest.len(), fits), (len, digest == of_nothing));
}

fn check_parts(text: &str) {
    let Some(parts) = uploads::parts(text) else { return };
    let urls = text.strip_prefix("final;").expect("it is final");
    let expected: Vec<_> =
        urls.split(' ').map(|url| url.rsplit_once('/').expect("a path").1).collect();
    assert_eq!(parts, expected);
    let distinct: HashSet<_> = expected.iter().collect();
    assert_eq!(distinct.len(), expected.len(), "a part comes twice");
    for part in expected {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!(part.len() == 32 && part.bytes().all(is_digit), "{part:?}");
    }
    assert!(uploads::is_kept("", Some(text), None));
}

/// Writes bytes as RFC 4648 has them, section 4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at) & 63) as usize;
            text.push(if at <= group.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    text
}
