//! One loop per core: start them, tell them to stop, wait for them.

use super::{event_loop::EventLoop, timer::Clock};
use std::{
    future::{Future, poll_fn},
    io, panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
};

/// How urgently the workers are asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Stopping {
    /// Not at all.
    #[default]
    No,
    /// Finish what is in flight.
    Gracefully,
    /// Drop everything.
    Now,
}

/// Tells every worker, from any thread, that it is to stop.
#[derive(Clone, Default)]
pub(crate) struct StopSignal(Arc<Mutex<Signal>>);

#[derive(Default)]
struct Signal {
    stopping: Stopping,
    waiting: Vec<Waker>,
}

impl StopSignal {
    /// Asks for a stop; what was asked before is never taken back.
    pub(crate) fn stop(&self, how: Stopping) {
        let mut signal = self.lock();
        signal.stopping = signal.stopping.max(how);
        let waiting = std::mem::take(&mut signal.waiting);
        drop(signal);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until a stop is asked for that is at least as urgent as `how`.
    pub(crate) async fn wait(&self, how: Stopping) {
        poll_fn(|cx| {
            let mut signal = self.lock();
            if signal.stopping >= how {
                return Poll::Ready(());
            }
            if !signal.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                signal.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Signal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the other workers when one of them panics, which would be waited for else.
struct StopOnPanic<'a>(&'a StopSignal);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop(Stopping::Now);
        }
    }
}

/// Runs `main(n)` for each `n` below `count` on a loop and a thread of its own, the first on this
/// thread, until all have returned.
///
/// A worker that cannot start or whose loop fails stops the others.
///
/// # Errors
///
/// The first failure of a worker.
///
/// # Panics
///
/// When a worker panicked.
pub(crate) fn run_workers<M, F>(count: usize, stop: &StopSignal, main: M) -> io::Result<()>
where
    M: Fn(usize) -> F + Sync,
    F: Future<Output = io::Result<()>>,
{
    let run_one = |index: usize| {
        let _guard = StopOnPanic(stop);
        let outcome = EventLoop::new(Clock::system()).and_then(|it| it.run(main(index))?);
        if outcome.is_err() {
            stop.stop(Stopping::Now);
        }
        outcome
    };
    thread::scope(|scope| {
        let mut outcome = Ok(());
        let mut others = Vec::new();
        for index in 1..count {
            let thread = thread::Builder::new().name(format!("snow-{index}"));
            match thread.spawn_scoped(scope, move || run_one(index)) {
                Ok(other) => others.push(other),
                Err(error) => {
                    stop.stop(Stopping::Now);
                    outcome = Err(error);
                }
            }
        }
        outcome = outcome.and(run_one(0));
        for other in others {
            let its = other.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            outcome = outcome.and(its);
        }
        outcome
    })
}
