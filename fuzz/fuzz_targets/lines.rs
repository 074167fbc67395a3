//! Lines: Snow and a plain reader find the same ones, however the bytes are cut; what came out can be
//! sent and comes out again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    frames::{self, decode, decode_however_cut},
    script::Script,
};
use snow::net::{Encode, Line, Lines};

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let max_len = usize::from(script.byte() % 32);
    let cut = usize::from(script.byte()).max(1);
    let codec = Lines::new(max_len);
    let (found, error) = decode_however_cut(codec, script.0, cut);
    let plain: Vec<Vec<u8>> = found.iter().map(|line| line.to_vec()).collect();
    assert_eq!((plain, error), frames::lines(script.0, max_len));
    comes_back(codec, &found);
    comes_back(codec.crlf(), &found);
});

/// Sends and decodes lines; only those that end with a CR cannot be sent.
fn comes_back(codec: Lines, lines: &[Line]) {
    let mut stream = Vec::new();
    let mut sent = lines.to_vec();
    sent.retain(|line| codec.encode(line, &mut stream).is_ok());
    let refused = lines.iter().filter(|line| line.ends_with(b"\r")).count();
    assert_eq!(sent.len() + refused, lines.len());
    assert_eq!(decode(codec, &stream, stream.len().max(1)), (sent, None));
}
