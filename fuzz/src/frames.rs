//! Frames: decoding in pieces, and plain readers of whole streams to compare with.

use snow::net::{Decode, Decoder, FrameErrorKind};
use std::fmt::Debug;

/// What a stream holds: its messages, and what is wrong behind them.
pub type Outcome<M> = (Vec<M>, Option<FrameErrorKind>);

/// Decodes a stream that comes in pieces of so many bytes, and ends.
pub fn decode<C: Decode>(codec: C, stream: &[u8], step: usize) -> Outcome<C::Message> {
    let mut decoder = Decoder::new(codec);
    let mut messages = Vec::new();
    for piece in stream.chunks(step) {
        decoder.push(piece);
        if let Some(kind) = take_all(&mut decoder, &mut messages) {
            return (messages, Some(kind));
        }
        let held = decoder.capacity();
        assert!(held <= 256 + 4 * stream.len(), "{held} bytes are held of {}", stream.len());
    }
    decoder.end();
    let kind = take_all(&mut decoder, &mut messages);
    assert!(decoder.is_over());
    (messages, kind)
}

fn take_all<C: Decode>(
    decoder: &mut Decoder<C>,
    messages: &mut Vec<C::Message>,
) -> Option<FrameErrorKind> {
    loop {
        match decoder.decode() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return None,
            Err(error) => return Some(error.kind()),
        }
    }
}

/// Decodes a stream whole, byte by byte and in pieces of `cut` bytes, which must make no difference.
pub fn decode_however_cut<C>(codec: C, stream: &[u8], cut: usize) -> Outcome<C::Message>
where
    C: Decode + Copy,
    C::Message: PartialEq + Debug,
{
    let whole = decode(codec, stream, stream.len().max(1));
    assert_eq!(decode(codec, stream, 1), whole, "whole, and byte by byte");
    assert_eq!(decode(codec, stream, cut), whole, "whole, and in pieces of {cut} bytes");
    whole
}

/// Reads lines of up to `max_len` bytes.
pub fn lines(stream: &[u8], max_len: usize) -> Outcome<Vec<u8>> {
    let mut lines = Vec::new();
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        let line = match line {
            [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] | line => line,
        };
        if line.len() > max_len {
            return (lines, Some(FrameErrorKind::TooLong));
        }
        lines.push(line.to_vec());
    }
    (lines, None)
}

/// How a length is written in front of a message.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    /// Bytes of it.
    pub width: usize,
    /// Whether the least significant comes first.
    pub is_little: bool,
    /// Whether it counts itself.
    pub counts_itself: bool,
}

/// Reads messages of up to `max_len` bytes behind their length.
pub fn length_prefixed(mut stream: &[u8], prefix: Prefix, max_len: usize) -> Outcome<Vec<u8>> {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        if stream.len() < prefix.width {
            return (messages, Some(FrameErrorKind::Truncated));
        }
        let (told, rest) = stream.split_at(prefix.width);
        let mut padded = [0; 8];
        padded[..told.len()].copy_from_slice(told);
        if !prefix.is_little {
            padded[..told.len()].reverse();
        }
        let told = i128::from(u64::from_le_bytes(padded));
        let len = if prefix.counts_itself { told - prefix.width as i128 } else { told };
        match usize::try_from(len) {
            Err(_) if len < 0 => return (messages, Some(FrameErrorKind::Malformed)),
            Ok(len) if len <= max_len && len <= rest.len() => {
                messages.push(rest[..len].to_vec());
                stream = &rest[len..];
            }
            Ok(len) if len <= max_len => return (messages, Some(FrameErrorKind::Truncated)),
            _ => return (messages, Some(FrameErrorKind::TooLong)),
        }
    }
    (messages, None)
}
