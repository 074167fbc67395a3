//! What unit tests here and above use.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

struct LastAct<F: Fn()>(F);

impl<F: Fn() + Send + Sync> Wake for LastAct<F> {
    fn wake(self: Arc<Self>) {}
}

impl<F: Fn()> Drop for LastAct<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Returns a waker that wakes nobody, and calls `act` when it is dropped: a waker may own anything, whose drop
/// may do anything.
pub(crate) fn waker_with_last_act(act: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(LastAct(act)))
}
