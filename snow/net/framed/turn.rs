//! Turns: a peer that is always ready must not keep the loop from everyone else.

use std::task::{Context, Poll, ready};

/// Steps (a message taken, a read, a write) that may follow one another without a wait. At 64 KiB a
/// step this is 4 MiB at most, about a millisecond; with short messages a turn costs little beside them.
const STEPS: u32 = 64;

/// The steps since this stream was last waited for.
#[derive(Default)]
pub(super) struct Turn {
    steps: u32,
}

impl Turn {
    /// Counts a step; not ready when others have their turn first.
    pub(super) fn poll_step(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.steps == STEPS {
            self.steps = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.steps += 1;
        Poll::Ready(())
    }

    /// Polls an operation as a step; when it has to wait, the turn is over.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        ready!(self.poll_step(cx));
        let outcome = operation(cx);
        if outcome.is_pending() {
            self.steps = 0;
        }
        outcome
    }
}
