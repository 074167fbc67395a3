//! One loop per core: start them, tell them to stop, wait for them.

use super::{event_loop::EventLoop, timer::Clock};
use slab::Slab;
use std::{
    future::{Future, poll_fn},
    io, panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
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
    /// Wakers of pending waits; each wait removes its own when it completes or is dropped.
    waiting: Slab<Waker>,
}

impl StopSignal {
    /// Asks for a stop; what was asked before is never taken back.
    pub(crate) fn stop(&self, how: Stopping) {
        let mut signal = self.lock();
        signal.stopping = signal.stopping.max(how);
        let waiting: Vec<_> = signal.waiting.iter().map(|(_, waker)| waker.clone()).collect();
        drop(signal);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until a stop is asked for that is at least as urgent as `how`.
    pub(crate) async fn wait(&self, how: Stopping) {
        let mut waiter = Waiter { signal: self, ticket: None };
        poll_fn(|cx| waiter.poll(how, cx)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Signal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait for a stop, whose waker is taken off the list when it is dropped.
struct Waiter<'a> {
    signal: &'a StopSignal,
    /// The key of its waker in the list.
    ticket: Option<usize>,
}

impl Waiter<'_> {
    fn poll(&mut self, how: Stopping, cx: &Context<'_>) -> Poll<()> {
        let mut signal = self.signal.lock();
        if signal.stopping >= how {
            return Poll::Ready(());
        }
        let Some(ticket) = self.ticket else {
            self.ticket = Some(signal.waiting.insert(cx.waker().clone()));
            return Poll::Pending;
        };
        let known = &mut signal.waiting[ticket];
        if !known.will_wake(cx.waker()) {
            let replaced = std::mem::replace(known, cx.waker().clone());
            // After the lock: dropping a waker may drop a task, which may itself wait for a stop.
            drop(signal);
            drop(replaced);
        }
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = self.signal.lock().waiting.remove(ticket);
            drop(waker);
        }
    }
}

/// Stops the other workers when one panics; otherwise `run_workers` would wait for them for ever.
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
/// A worker that cannot start or whose loop fails stops the others; one whose `main` fails has them finish
/// what they are at.
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
        let ended = EventLoop::new(Clock::system()).and_then(|it| it.run(main(index)));
        match &ended {
            Ok(Ok(())) => {}
            // The others finish what they are at.
            Ok(Err(_)) => stop.stop(Stopping::Gracefully),
            Err(_) => stop.stop(Stopping::Now),
        }
        ended?
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
                    break;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::timeout;
    use std::{
        pin::pin,
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    #[test]
    fn a_worker_that_fails_lets_the_others_finish() {
        let signal = StopSignal::default();
        let has_finished = AtomicBool::new(false);
        let outcome = run_workers(2, &signal, async |index| {
            if index == 0 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            signal.wait(Stopping::Gracefully).await;
            let rest = timeout(Duration::from_millis(100), signal.wait(Stopping::Now)).await;
            has_finished.store(rest.is_err(), Ordering::SeqCst);
            Ok(())
        });
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(has_finished.load(Ordering::SeqCst), "it was cut");
    }

    #[test]
    fn who_waits_no_longer_is_forgotten() {
        let signal = StopSignal::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut urged = pin!(signal.wait(Stopping::Now));
        assert!(urged.as_mut().poll(&mut cx).is_pending());
        for _ in 0..10 {
            let mut stopped = pin!(signal.wait(Stopping::Gracefully));
            for _ in 0..10 {
                assert!(stopped.as_mut().poll(&mut cx).is_pending());
            }
            assert_eq!(signal.lock().waiting.len(), 2);
        }
        signal.stop(Stopping::Gracefully);
        assert!(pin!(signal.wait(Stopping::Gracefully)).poll(&mut cx).is_ready());
        assert!(urged.as_mut().poll(&mut cx).is_pending());
        signal.stop(Stopping::Now);
        assert!(urged.poll(&mut cx).is_ready());
    }
}
