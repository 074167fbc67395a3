//! What has been encoded and not been written.

use super::{codec::Encode, error::FrameError, queue::ByteQueue};
use crate::rt::Stepper;
use futures_io::AsyncWrite;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Frames on their way to a stream.
#[derive(Default)]
pub(super) struct Outgoing {
    unsent: ByteQueue,
    /// Whether the stream has failed. A part of a frame may have been written: nothing can follow.
    has_failed: bool,
    writes: Stepper,
}

impl Outgoing {
    /// Encodes a message behind the others, or adds nothing.
    pub(super) fn push<C: Encode<M>, M: ?Sized>(
        &mut self,
        codec: &C,
        message: &M,
    ) -> Result<(), FrameError> {
        self.unsent.push_with(|output| codec.encode(message, output))
    }

    /// Writes until no more than `most` bytes are left.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FrameError>> {
        while self.unsent.len() > most {
            self.check()?;
            let unsent = self.unsent.as_slice();
            let step = ready!(self.writes.poll_step(cx));
            let outcome = ready!(step.end(Pin::new(&mut *stream).poll_write(cx, unsent)));
            let count = self.note(outcome.and_then(not_zero))?;
            self.unsent.take(count);
        }
        Poll::Ready(self.check())
    }

    /// Remembers whether the stream has failed.
    pub(super) fn note<T>(&mut self, outcome: io::Result<T>) -> Result<T, FrameError> {
        self.has_failed |= outcome.is_err();
        Ok(outcome?)
    }

    fn check(&self) -> Result<(), FrameError> {
        if self.has_failed {
            let message = "the stream has failed before";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, message).into());
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.unsent.len()
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        self.unsent.into_vec()
    }
}

/// A stream that takes nothing will never take the rest.
fn not_zero(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}
