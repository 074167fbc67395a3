//! Frames in every way in which their bytes can be cut.

use snow::net::{Decode, Decoder, FrameErrorKind};
use std::fmt::Debug;

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
