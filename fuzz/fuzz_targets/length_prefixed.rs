//! Messages behind their length: Snow and a plain reader find the same ones, however the bytes are cut,
//! and what came out is sent as it came in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    frames::{self, Prefix, decode_however_cut},
    script::Script,
};
use snow::net::{Encode, LengthPrefixed};

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let shape = script.byte();
    let max_len = usize::from(script.byte());
    let cut = usize::from(script.byte()).max(1);
    let prefix =
        Prefix { width: 1 << (shape & 3), is_little: shape & 4 > 0, counts_itself: shape & 8 > 0 };
    let codec = codec(prefix, max_len);
    let (found, error) = decode_however_cut(codec, script.0, cut);
    let plain: Vec<Vec<u8>> = found.iter().map(|message| message.to_vec()).collect();
    assert_eq!((plain, error), frames::length_prefixed(script.0, prefix, max_len));

    let mut stream = Vec::new();
    for message in &found {
        codec.encode(message, &mut stream).expect("what came can be sent");
    }
    assert_eq!(stream, script.0[..stream.len()]);
    assert!(error.is_some() || stream == script.0);
});

fn codec(prefix: Prefix, max_len: usize) -> LengthPrefixed {
    let mut codec = match prefix.width {
        1 => LengthPrefixed::u8(max_len),
        2 => LengthPrefixed::u16(max_len),
        4 => LengthPrefixed::u32(max_len),
        _ => LengthPrefixed::u64(max_len),
    };
    if prefix.is_little {
        codec = codec.little_endian();
    }
    if prefix.counts_itself {
        codec = codec.length_includes_prefix();
    }
    codec
}
