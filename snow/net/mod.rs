//! Sockets as async streams: bytes, and no message format but lines and a length prefix.
//!
//! A socket lives on the loop of the thread that made it and never moves. The streams implement the
//! `futures-io` traits, so the runtime-free half of the async ecosystem works on them.

mod buffer;
mod framed;
mod pipe;
mod stream;
mod tcp;

pub use framed::{
    Decode, Decoded, Decoder, Encode, FrameError, FrameErrorKind, Framed, FramedParts,
    LengthPrefixed, Line, Lines,
};
pub use tcp::{ListenOptions, TcpListener, TcpStream};

pub(crate) use buffer::Scratch;
pub(crate) use pipe::{Pipe, pipe};
pub(crate) use stream::Stream;
pub(crate) use tcp::HAS_REUSE_PORT;
