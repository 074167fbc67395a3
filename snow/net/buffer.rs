//! The worker's buffers.
//!
//! One buffer to read into and one to collect output in serve all connections of a thread, because
//! only one of them is being polled at a time. A connection owns memory only for what is unfinished.

use std::cell::Cell;

/// Bytes of the read buffer: a pipelined batch or an upload's share of a tick in one system call.
const READ_BUF_BYTES: usize = 64 * 1024;

/// Capacity above which an output buffer is not kept for the next connection.
const KEEP_BYTES: usize = 256 * 1024;

thread_local! {
    // Boxed, so that they are lent and not copied.
    static SPARE: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A thread's buffers, borrowed for as long as one poll of one connection lasts.
pub(crate) struct Scratch {
    /// Where bytes are read into; its length never changes.
    pub(crate) input: Vec<u8>,
    /// Where output is collected; empty when borrowed.
    pub(crate) output: Vec<u8>,
    /// The next spare, while this one is spare.
    next: Option<Box<Scratch>>,
}

impl Scratch {
    #[cold]
    fn new() -> Box<Scratch> {
        Box::new(Scratch { input: vec![0; READ_BUF_BYTES], output: Vec::new(), next: None })
    }

    /// Runs `work` with the buffers of this thread.
    pub(crate) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
        // Taken and not borrowed: `work` may call this again, and gets other buffers then.
        let spare = SPARE.with(|spare| {
            let mut first = spare.take()?;
            spare.set(first.next.take());
            Some(first)
        });
        let mut scratch = spare.unwrap_or_else(Scratch::new);
        let result = work(&mut scratch);
        scratch.output.clear();
        if scratch.output.capacity() > KEEP_BYTES {
            scratch.output = Vec::new();
        }
        SPARE.with(|spare| {
            scratch.next = spare.take();
            spare.set(Some(scratch));
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_were_lent_together_are_lent_again() {
        let lend = || {
            Scratch::with(|outer| {
                let inner = Scratch::with(|inner| inner.input.as_ptr());
                (outer.input.as_ptr(), inner)
            })
        };
        let first = lend();
        assert_ne!(first.0, first.1);
        assert_eq!(lend(), first);
        assert_eq!(lend(), first);
    }
}
