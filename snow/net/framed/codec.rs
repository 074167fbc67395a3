//! Codecs without a stream: bytes in, messages out, and back again.
//!
//! A codec describes a format and holds no state: what is known of a message that is still incomplete
//! belongs to the [`Decoder`], which starts anew for every message. So no codec can be used with what
//! it has learnt from another stream.

use super::{error::FrameError, queue::ByteQueue};
use std::fmt;

/// A format that messages are read in.
///
/// # Examples
///
/// Messages of three bytes:
///
/// ```
/// use snow::net::{Decode, Decoded, Decoder, FrameError};
///
/// struct Triples;
///
/// impl Decode for Triples {
///     type Message = [u8; 3];
///     type Progress = ();
///
///     fn decode(&self, _: &mut (), input: &[u8]) -> Result<Decoded<[u8; 3]>, FrameError> {
///         Ok(match input.first_chunk() {
///             Some(triple) => Decoded::Message(*triple, 3),
///             None => Decoded::Partial(3 - input.len() as u64),
///         })
///     }
/// }
///
/// let mut decoder = Decoder::new(Triples);
/// decoder.push(b"abcd");
/// assert_eq!(decoder.decode()?, Some(*b"abc"));
/// assert_eq!(decoder.decode()?, None);
/// # Ok::<(), FrameError>(())
/// ```
pub trait Decode {
    /// What comes out.
    type Message;

    /// What is known of a message of which a part is there, such as how far its end has been looked
    /// for, so that no byte is looked at again each time a few are added.
    type Progress: Default;

    /// Looks for a message at the start of `input`.
    ///
    /// After [`Decoded::Partial`] it is called again with the same `progress`, and with the same
    /// bytes and more behind them. The answer must not depend on how the bytes were cut.
    ///
    /// # Errors
    ///
    /// What can never become a message, however it goes on. The stream is over then, since nobody
    /// can say where the next message starts.
    fn decode(
        &self,
        progress: &mut Self::Progress,
        input: &[u8],
    ) -> Result<Decoded<Self::Message>, FrameError>;

    /// Decides about `input`, which is a part of a message and not empty, when no more will come.
    ///
    /// # Errors
    ///
    /// [`Truncated`](super::FrameErrorKind::Truncated), unless the format says otherwise.
    fn decode_end(
        &self,
        progress: &mut Self::Progress,
        input: &[u8],
    ) -> Result<Self::Message, FrameError> {
        match self.decode(progress, input)? {
            Decoded::Message(message, _) => Ok(message),
            Decoded::Partial(missing) => Err(FrameError::truncated(missing)),
        }
    }
}

/// What [`Decode::decode`] makes of its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded<M> {
    /// A message, and how many bytes at the start of the input it took: at least one.
    Message(M, usize),
    /// A part of a message, of which at least so many bytes are still missing.
    Partial(u64),
}

/// A format that messages of type `M` are written in.
pub trait Encode<M: ?Sized> {
    /// Writes a message at the end of `output`.
    ///
    /// # Errors
    ///
    /// A message that this format, or the codec's limit, has no room for. Nothing is written then.
    fn encode(&self, message: &M, output: &mut Vec<u8>) -> Result<(), FrameError>;
}

/// Turns bytes, which may come in any pieces, into messages; it needs no stream and no loop.
///
/// It holds what it was given and has not handed out: with a codec that has a limit, and a caller who
/// pushes when [`decode`](Decoder::decode) has nothing more to give, one frame and one push at most. Its
/// memory grows with what has come, as a `Vec` does, to no more than twice that.
///
/// # Examples
///
/// ```
/// use snow::net::{Decoder, Lines};
///
/// let mut decoder = Decoder::new(Lines::new(80));
/// decoder.push(b"one\r\ntw");
/// assert_eq!(decoder.decode()?.unwrap().text()?, "one");
/// assert!(decoder.decode()?.is_none());
/// decoder.push(b"o");
/// decoder.end();
/// assert_eq!(decoder.decode()?.unwrap().text()?, "two");
/// assert!(decoder.is_over());
/// # Ok::<(), snow::net::FrameError>(())
/// ```
pub struct Decoder<C: Decode> {
    codec: C,
    progress: C::Progress,
    input: ByteQueue,
    state: State,
}

/// How far the stream has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// More may come.
    Open,
    /// No more will come; what came may still hold messages.
    Ended,
    /// Something was wrong: there are no messages any more.
    Failed,
}

impl<C: Decode> Decoder<C> {
    /// Makes the decoder of a new stream.
    pub fn new(codec: C) -> Decoder<C> {
        let input = ByteQueue::default();
        Decoder { codec, progress: C::Progress::default(), input, state: State::Open }
    }

    /// Adds bytes that have come. Behind the [end](Decoder::end) or an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.state == State::Open {
            self.input.push(bytes);
        }
    }

    /// Says that no more bytes will come.
    pub fn end(&mut self) {
        if self.state == State::Open {
            self.state = State::Ended;
        }
    }

    /// Takes the next message off what has come; `None` when it is not there in full, and for ever
    /// when the stream [is over](Decoder::is_over).
    ///
    /// # Errors
    ///
    /// As the codec finds, and [`Truncated`](super::FrameErrorKind::Truncated) when the stream ended
    /// within a frame. The stream is over then.
    ///
    /// # Panics
    ///
    /// When the codec takes nothing for a message, or more than there is.
    pub fn decode(&mut self) -> Result<Option<C::Message>, FrameError> {
        if self.is_over() {
            return Ok(None);
        }
        let outcome = self.try_decode();
        if outcome.is_err() {
            self.fail();
        }
        outcome
    }

    fn try_decode(&mut self) -> Result<Option<C::Message>, FrameError> {
        let input = self.input.as_slice();
        match self.codec.decode(&mut self.progress, input)? {
            Decoded::Message(message, len) => {
                assert!((1..=input.len()).contains(&len), "a codec took {len} of {}", input.len());
                self.take(len);
                Ok(Some(message))
            }
            Decoded::Partial(_) if self.state == State::Ended => {
                let message = self.codec.decode_end(&mut self.progress, input)?;
                self.take(input.len());
                Ok(Some(message))
            }
            Decoded::Partial(_) => {
                self.input.compact();
                Ok(None)
            }
        }
    }

    fn take(&mut self, len: usize) {
        self.input.take(len);
        self.progress = C::Progress::default();
    }

    /// Gives up: what it holds is no message.
    pub(super) fn fail(&mut self) {
        self.state = State::Failed;
    }

    /// Returns whether there will never be another message.
    pub fn is_over(&self) -> bool {
        match self.state {
            State::Open => false,
            State::Ended => self.input.len() == 0,
            State::Failed => true,
        }
    }

    /// Returns the bytes that have come and have not become messages.
    pub fn rest(&self) -> &[u8] {
        self.input.as_slice()
    }

    /// Returns how many bytes of memory are set aside for the rest.
    pub fn capacity(&self) -> usize {
        self.input.capacity()
    }

    /// Returns the codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Reads what is left, and what comes, in another format. A stream that is over stays so.
    pub fn with_codec<D: Decode>(self, codec: D) -> Decoder<D> {
        let progress = D::Progress::default();
        Decoder { codec, progress, input: self.input, state: self.state }
    }

    /// Takes the decoder apart: the codec, and the bytes that have not become messages.
    pub fn into_parts(self) -> (C, Vec<u8>) {
        (self.codec, self.input.into_vec())
    }
}

impl<C: Decode + fmt::Debug> fmt::Debug for Decoder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("codec", &self.codec)
            .field("rest", &self.input.len())
            .field("state", &self.state)
            .finish()
    }
}
