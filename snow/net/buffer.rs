//! The worker's buffers.
//!
//! One buffer to read into and one to collect output in serve all connections of a thread, because
//! only one of them is being polled at a time. A connection owns memory only for what is unfinished.

use std::cell::RefCell;

/// Bytes of the read buffer: a pipelined batch or an upload's share of a tick in one system call.
const READ_BUF_BYTES: usize = 64 * 1024;

/// Capacity above which an output buffer is not kept for the next connection.
const KEEP_BYTES: usize = 256 * 1024;

thread_local! {
    // Boxed, so that they are lent and not copied.
    #[allow(clippy::vec_box, reason = "boxes go in and out")]
    static SPARE: RefCell<Vec<Box<Scratch>>> = const { RefCell::new(Vec::new()) };
}

/// A thread's buffers, borrowed for as long as one poll of one connection lasts.
pub(crate) struct Scratch {
    /// Where bytes are read into; its length never changes.
    pub(crate) input: Vec<u8>,
    /// Where output is collected; empty when borrowed.
    pub(crate) output: Vec<u8>,
}

impl Scratch {
    /// Runs `work` with the buffers of this thread.
    pub(crate) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
        // Taken and not borrowed, so that whatever `work` calls may do the same; it does so once.
        let mut scratch = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            Box::new(Scratch { input: vec![0; READ_BUF_BYTES], output: Vec::new() })
        });
        let result = work(&mut scratch);
        scratch.output.clear();
        if scratch.output.capacity() <= KEEP_BYTES {
            SPARE.with_borrow_mut(|spare| spare.push(scratch));
        }
        result
    }
}
