//! Frames in every way in which their bytes can be cut, and chance that repeats itself.

use snow::net::{Decode, Decoder, FrameErrorKind};
use std::fmt::Debug;

/// Chance that is the same in every run (xorshift64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Chance {
        Chance(0x9e37_79b9_7f4a_7c15)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Returns so many bytes, each one of `alphabet`.
    pub(crate) fn bytes(&mut self, len: usize, alphabet: &[u8]) -> Vec<u8> {
        (0..len).map(|_| self.pick(alphabet)).collect()
    }
}

/// What a stream decodes to: its messages, and what was wrong in the end.
pub(crate) type Outcome<M> = (Vec<M>, Option<(FrameErrorKind, String)>);

/// Decodes a stream that comes in these pieces and ends.
pub(crate) fn decode<'a, C: Decode>(
    codec: C,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome<C::Message> {
    let mut decoder = Decoder::new(codec);
    let mut messages = Vec::new();
    let mut take = |decoder: &mut Decoder<C>| loop {
        match decoder.decode() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return None,
            Err(error) => return Some((error.kind(), error.to_string())),
        }
    };
    let mut error = None;
    for piece in pieces {
        decoder.push(piece);
        error = error.or(take(&mut decoder));
    }
    decoder.end();
    error = error.or(take(&mut decoder));
    assert!(decoder.is_over() && decoder.decode().is_ok_and(|message| message.is_none()));
    (messages, error)
}

/// Decodes a stream in one piece; byte by byte; and in two, cut everywhere: it must make no difference.
#[track_caller]
pub(crate) fn decode_however_cut<C>(codec: C, stream: &[u8]) -> Outcome<C::Message>
where
    C: Decode + Clone,
    C::Message: PartialEq + Debug,
{
    let whole = decode(codec.clone(), [stream]);
    assert_eq!(decode(codec.clone(), stream.chunks(1)), whole, "byte by byte");
    for at in 0..stream.len() {
        let (one, two) = stream.split_at(at);
        assert_eq!(decode(codec.clone(), [one, two]), whole, "cut at {at}");
    }
    whole
}
