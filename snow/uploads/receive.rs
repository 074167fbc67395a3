//! Content on its way to disk: a piece at a time, each written on the blocking pool before the next is
//! taken, so that a client sends no faster than the disk writes.
//!
//! It is received by a task of its own. When the client leaves, the task of the connection ends with its
//! handler; this one still writes what has arrived, and then closes the upload, on the blocking pool as well.

use super::{
    checksum::Checksum,
    lease::STALL,
    refusal::Refusal,
    stored::{State, Stored},
};
use crate::{BodyStream, timeout, unblock};
use std::sync::Weak;

/// An upload that content is added to.
pub(super) struct Receiver {
    stored: Stored,
    checksum: Option<Checksum>,
    /// Where the content begins.
    start: u64,
    /// Alive as long as somebody waits to be told the name of an upload that is new.
    creator: Option<Weak<()>>,
}

impl Receiver {
    /// Prepares for content of `len` bytes, if that is known, with `checksum`, if there is one.
    pub(super) fn new(
        stored: Stored,
        len: Option<u64>,
        checksum: Option<Checksum>,
    ) -> Result<Receiver, Refusal> {
        let start = stored.offset();
        if len.unwrap_or(0) > stored.end().saturating_sub(start) {
            return Err(Refusal::too_long());
        }
        Ok(Receiver { stored, checksum, start, creator: None })
    }

    /// Leaves nothing of the upload when it goes wrong, or when `creator` has gone meanwhile and it is
    /// not complete: nobody would know its name.
    pub(super) fn for_creator(self, creator: Weak<()>) -> Receiver {
        Receiver { creator: Some(creator), ..self }
    }

    /// Receives `body` to its end, and as much of it as comes when there is none.
    pub(super) async fn receive(mut self, mut body: BodyStream) -> Result<State, Refusal> {
        let end = loop {
            let written = match timeout(STALL, body.next()).await {
                Ok(Some(Ok(piece))) => {
                    let written;
                    (self, written) = unblock(move || {
                        let written = self.write(&piece);
                        (self, written)
                    })
                    .await;
                    written
                }
                Ok(Some(Err(error))) => Err(Refusal::from(error)),
                Ok(None) => break Ok(()),
                Err(_) if self.stored.lease().is_wanted() => Err(Refusal::locked()),
                Err(_) => Ok(()),
            };
            if let Err(refusal) = written {
                break Err(refusal);
            }
        };
        unblock(move || {
            let outcome = self.close(end).and_then(|()| self.stored.state());
            if self.is_in_vain(&outcome) {
                self.stored.remove()?;
            }
            outcome
        })
        .await
    }

    /// Returns whether nobody will ever go on with the upload.
    fn is_in_vain(&self, outcome: &Result<State, Refusal>) -> bool {
        self.creator.as_ref().is_some_and(|creator| match outcome {
            Ok(_) => creator.strong_count() == 0 && !self.stored.is_complete(),
            Err(_) => true,
        })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if piece.len() as u64 > self.stored.end().saturating_sub(self.stored.offset()) {
            return Err(Refusal::too_long());
        }
        if let Some(checksum) = &mut self.checksum {
            if self.stored.offset() == self.start {
                self.stored.begin_trial()?;
            }
            checksum.update(piece);
        }
        self.stored.write(piece)
    }

    /// Keeps what has come, or gives it up: content on trial that is not whole and right, and
    /// content that is too long to be what was meant.
    fn close(&mut self, end: Result<(), Refusal>) -> Result<(), Refusal> {
        let is_on_trial = self.checksum.is_some();
        let is_right = self.checksum.take().is_none_or(Checksum::verify);
        let end = match end {
            Ok(()) if !is_right => {
                Err(Refusal::new(460, "the checksum is not that of the content"))
            }
            end => end,
        };
        match &end {
            Ok(()) if is_on_trial => self.stored.pass_trial()?,
            Err(refusal) if is_on_trial || refusal.status == 413 => {
                self.stored.roll_back(self.start)?;
            }
            _ => {}
        }
        if end.is_ok() || self.creator.is_none() {
            // A creation that went wrong is nobody's, not even when all bytes are there.
            self.stored.acknowledge()?;
        }
        end
    }
}
