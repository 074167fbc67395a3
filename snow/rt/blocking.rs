//! The blocking pool: for what must block, beside the loops.
//!
//! Threads are started when work waits and none is free, up to a bound, and end when they have had
//! nothing to do for a while. The queue is bounded too: when it is full, whoever wants to add waits. Places
//! go to those who wait in the order in which they came, and work that nobody waits for any more leaves the
//! queue at once.

use super::{
    event_loop::Handle,
    task::{Contained, Inbox},
};
use crate::config::{BLOCKING_QUEUE, BLOCKING_THREADS};
use async_task::{Runnable, Task};
use std::{
    collections::BTreeMap,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    thread,
    time::Duration,
};

/// How long a thread with nothing to do stays.
const IDLE: Duration = Duration::from_secs(10);

static POOL: Pool = Pool {
    state: Mutex::new(State {
        queue: BTreeMap::new(),
        waiting: BTreeMap::new(),
        promised: 0,
        tickets: 0,
        threads: 0,
        free: 0,
    }),
    work: Condvar::new(),
};

struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

/// The loop that waits for a job, if it is a loop.
type Home = Option<Arc<Inbox>>;

struct State {
    /// Jobs by ticket.
    queue: BTreeMap<u64, Runnable<Home>>,
    /// Wakers of those who found the queue full, by ticket.
    waiting: BTreeMap<u64, Waker>,
    /// Places in the queue that are kept for those who were woken. While somebody waits, there are no others.
    promised: usize,
    /// The last ticket that was given.
    tickets: u64,
    threads: usize,
    /// Threads that wait for work.
    free: usize,
}

/// Returns whether a loop has no blocking work queued or running.
pub(super) fn is_idle(home: &Inbox) -> bool {
    // Those who wait for a place may be of any loop.
    !home.has_errands() && POOL.state().waiting.is_empty()
}

/// Runs `work` on a thread of the blocking pool.
///
/// The pool has at most [`BLOCKING_THREADS`] threads and [`BLOCKING_QUEUE`] jobs in its queue; when
/// both are full the future waits for a place, and the loop goes on. Dropping the future before the
/// work has started takes it back, with all that it owns; work that has started goes on to its end. It may be
/// awaited on any thread.
///
/// # Panics
///
/// Awaiting it panics with what `work` panicked with, and when the machine refuses the first thread.
///
/// # Examples
///
/// ```
/// let text = snow::block_on(snow::unblock(|| std::fs::read_to_string("Cargo.toml")));
/// assert!(text.unwrap().contains("[package]"));
/// ```
pub fn unblock<F, T>(work: F) -> Unblock<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Unblock(Stage::New(work))
}

/// The future that [`unblock`] returns.
#[must_use = "the work starts when this is awaited"]
pub struct Unblock<F, T>(Stage<F, T>);

enum Stage<F, T> {
    New(F),
    /// The queue was full; under this ticket a waker is in `State::waiting`, unless a place was promised.
    Waiting(F, u64),
    /// Under this ticket the work is in the queue, until a thread takes it.
    Queued(Task<Contained<T>, Home>, u64),
    Taken,
}

// Nothing is pinned in place: the work is moved to the pool.
impl<F, T> Unpin for Unblock<F, T> {}

impl<F, T> Future for Unblock<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let (work, ticket) = match mem::replace(&mut self.0, Stage::Taken) {
            Stage::New(work) => (Some(work), None),
            Stage::Waiting(work, ticket) => (Some(work), Some(ticket)),
            stage => {
                self.0 = stage;
                (None, None)
            }
        };
        if let Some(work) = work {
            // Declared before the lock, and so dropped after it: wakers may lead back here.
            let _replaced;
            let mut state = POOL.state();
            let (ticket, has_place) = match ticket {
                None => (state.next_ticket(), state.has_place()),
                Some(ticket) => (ticket, state.take_promised(ticket)),
            };
            if !has_place {
                _replaced = state.waiting.insert(ticket, cx.waker().clone());
                self.0 = Stage::Waiting(work, ticket);
                return Poll::Pending;
            }
            let home = Handle::try_current().map(|handle| Arc::clone(handle.tasks().inbox()));
            // When nobody awaits the result, the pool drops work or output: a panic of that must not end
            // its thread.
            let work = Contained::new(work);
            let (runnable, task) =
                async_task::Builder::new().propagate_panic(true).metadata(home).spawn(
                    move |_| async { Contained::new(work.into_inner()()) },
                    |_| unreachable!("a job waits for nothing, so it is queued once, here"),
                );
            state.push(ticket, runnable);
            let may_wake = POOL.staff(&mut state);
            drop(state);
            // After the lock: a thread that is woken takes it first.
            if may_wake {
                POOL.work.notify_one();
            }
            self.0 = Stage::Queued(task, ticket);
        }
        let Stage::Queued(task, _) = &mut self.0 else {
            panic!("blocking work is awaited again after it has ended");
        };
        let output = ready!(Pin::new(task).poll(cx)).into_inner();
        self.0 = Stage::Taken;
        Poll::Ready(output)
    }
}

impl<F, T> Drop for Unblock<F, T> {
    fn drop(&mut self) {
        let (Stage::Waiting(_, ticket) | Stage::Queued(_, ticket)) = self.0 else { return };
        let mut state = POOL.state();
        let waker = state.waiting.remove(&ticket);
        let job = state.take_back(ticket);
        let was_promised = matches!(self.0, Stage::Waiting(..)) && waker.is_none();
        state.promised -= usize::from(was_promised);
        // The place of this one goes to the next.
        let next = if was_promised || job.is_some() { state.promise() } else { None };
        // Wakers are woken, and they and the work are dropped, when the lock is free: they may lead back here.
        drop(state);
        next.into_iter().for_each(Waker::wake);
        drop((waker, job));
    }
}

impl State {
    fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Returns whether there is a place in the queue for somebody who comes now.
    fn has_place(&self) -> bool {
        self.queue.len() + self.promised < BLOCKING_QUEUE
    }

    /// Keeps the place that is free for whoever has waited longest, and returns that one's waker.
    fn promise(&mut self) -> Option<Waker> {
        let (_, waker) = self.waiting.pop_first()?;
        self.promised += 1;
        Some(waker)
    }

    /// Takes the place that was promised to one who waits; false when none was.
    fn take_promised(&mut self, ticket: u64) -> bool {
        let is_promised = !self.waiting.contains_key(&ticket);
        self.promised -= usize::from(is_promised);
        is_promised
    }

    fn push(&mut self, ticket: u64, runnable: Runnable<Home>) {
        if let Some(home) = runnable.metadata() {
            home.begin_errand();
        }
        self.queue.insert(ticket, runnable);
    }

    /// Takes a job out of the queue, if no thread has it.
    fn take_back(&mut self, ticket: u64) -> Option<Runnable<Home>> {
        let runnable = self.queue.remove(&ticket)?;
        if let Some(home) = runnable.metadata() {
            home.end_errand();
        }
        Some(runnable)
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread for what is queued, or returns true when one of those there are is to be woken.
    fn staff(&'static self, state: &mut State) -> bool {
        if state.free >= state.queue.len() || state.threads >= BLOCKING_THREADS {
            return true;
        }
        let thread = thread::Builder::new().name("snow-blocking".to_string());
        match thread.spawn(move || self.work()) {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads > 0 => log::warn!("no thread for blocking work: {error}"),
            Err(error) => panic!("no thread for blocking work: {error}"),
        }
        false
    }

    /// What a thread of the pool does.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some((_, runnable)) = state.queue.pop_first() {
                let next = state.promise();
                drop(state);
                next.into_iter().for_each(Waker::wake);
                let home = runnable.metadata().clone();
                runnable.run();
                // Whoever awaits it is woken by now.
                home.into_iter().for_each(|home| home.end_errand());
                state = self.state();
                continue;
            }
            state.free += 1;
            let (guard, wait) =
                self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.free -= 1;
            if wait.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{block_on, spawn};

    #[test]
    fn more_work_than_threads_and_places_is_all_done() {
        let sum = block_on(async {
            let jobs =
                (0..BLOCKING_QUEUE + 2 * BLOCKING_THREADS).map(|n| spawn(unblock(move || n)));
            let mut sum = 0;
            for job in jobs.collect::<Vec<_>>() {
                sum += job.await;
            }
            sum
        });
        assert_eq!(sum, (0..BLOCKING_QUEUE + 2 * BLOCKING_THREADS).sum::<usize>());
    }

    struct Fragile;

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_in_a_drop_that_nobody_awaits_costs_the_pool_nothing() {
        for _ in 0..2 * BLOCKING_THREADS {
            let (begin, begun) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel();
            block_on(async {
                let result = spawn(unblock(move || {
                    begin.send(()).unwrap();
                    ended.recv().unwrap();
                    Fragile
                }));
                unblock(move || begun.recv().unwrap()).await;
                result.cancel();
            });
            // Nobody is left who could take it.
            end.send(()).unwrap();
        }
        assert_eq!(block_on(unblock(|| 7)), 7);
    }

    #[test]
    #[should_panic(expected = "the work went wrong")]
    fn a_panic_reaches_whoever_awaits() {
        block_on(unblock(|| panic!("the work went wrong")));
    }
}
