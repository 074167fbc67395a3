//! The blocking pool: for what must block, beside the loops.
//!
//! Threads are started when work waits and none is free, up to a bound, and end when they have had
//! nothing to do for a while. What waits for one waits in the order in which it came. It is in the queue for
//! as long as its future is there, so the queue is no longer than those who wait are many, and nobody has to be
//! polled for others to go on.

use super::{
    event_loop::Handle,
    task::{Contained, Inbox, Outcome},
};
use crate::config::BLOCKING_THREADS;
use async_task::{Runnable, Task};
use std::{
    collections::BTreeMap,
    future::Future,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

/// How long a thread with nothing to do stays.
const IDLE: Duration = Duration::from_secs(10);

static POOL: Pool = Pool {
    state: Mutex::new(State { queue: BTreeMap::new(), tickets: 0, threads: 0, free: 0 }),
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
    /// The last ticket that was given.
    tickets: u64,
    threads: usize,
    /// Threads that wait for work.
    free: usize,
}

/// Runs `work` on a thread of the blocking pool.
///
/// The pool has at most [`BLOCKING_THREADS`] threads; when all are busy the work waits for one, in the order
/// in which the futures were first polled, and the loop goes on. Dropping the future before the work has started
/// takes it back, with all that it owns; work that has started goes on to its end. It may be awaited on any
/// thread.
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
    /// Under this ticket the work is in the queue, until a thread takes it.
    Queued(Task<Outcome<T>, Home>, u64),
    Ended,
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
        self.0 = match mem::replace(&mut self.0, Stage::Ended) {
            Stage::New(work) => POOL.enqueue(work),
            stage => stage,
        };
        let Stage::Queued(task, _) = &mut self.0 else {
            panic!("blocking work is awaited again after it has ended");
        };
        let outcome = ready!(Pin::new(task).poll(cx)).into_inner();
        self.0 = Stage::Ended;
        Poll::Ready(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<F, T> Drop for Unblock<F, T> {
    fn drop(&mut self) {
        if let Stage::Queued(_, ticket) = self.0 {
            let job = POOL.state().take_back(ticket);
            // After the lock: what the work owns may lead back here.
            drop(job);
        }
    }
}

impl State {
    /// Queues a job and returns its ticket.
    fn push(&mut self, job: Runnable<Home>) -> u64 {
        if let Some(home) = job.metadata() {
            home.begin_errand();
        }
        self.tickets += 1;
        self.queue.insert(self.tickets, job);
        self.tickets
    }

    /// Takes a job out of the queue, if no thread has it.
    fn take_back(&mut self, ticket: u64) -> Option<Runnable<Home>> {
        let job = self.queue.remove(&ticket)?;
        if let Some(home) = job.metadata() {
            home.end_errand();
        }
        Some(job)
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues work, and sees to it that a thread takes it.
    fn enqueue<F, T>(&'static self, work: F) -> Stage<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let home = Handle::try_current().map(|handle| Arc::clone(handle.tasks().inbox()));
        // When nobody awaits the result, the pool drops work or output: a panic of that must not end
        // its thread.
        let work = Contained::new(work);
        let (job, task) = async_task::Builder::new().metadata(home).spawn(
            move |_| async {
                Contained::new(catch_unwind(AssertUnwindSafe(|| work.into_inner()())))
            },
            |_| unreachable!("a job waits for nothing, so it is queued once, here"),
        );
        let mut state = self.state();
        let ticket = state.push(job);
        match self.staff(&mut state) {
            Ok(may_wake) => {
                drop(state);
                // After the lock: a thread that is woken takes it first.
                if may_wake {
                    self.work.notify_one();
                }
            }
            Err(error) => {
                let job = state.take_back(ticket);
                drop(state);
                drop(job);
                panic!("no thread for blocking work: {error}");
            }
        }
        Stage::Queued(task, ticket)
    }

    /// Starts a thread for what is queued, or returns true when one of those there are is to be woken.
    ///
    /// # Errors
    ///
    /// When there is none, and the machine refuses it.
    fn staff(&'static self, state: &mut State) -> io::Result<bool> {
        if state.free >= state.queue.len() || state.threads >= BLOCKING_THREADS {
            return Ok(true);
        }
        let thread = thread::Builder::new().name("snow-blocking".to_string());
        match thread.spawn(move || self.work()) {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads > 0 => log::warn!("no thread for blocking work: {error}"),
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// What a thread of the pool does.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some((_, job)) = state.queue.pop_first() {
                drop(state);
                let home = job.metadata().clone();
                job.run();
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
    fn more_work_than_threads_is_all_done() {
        let sum = block_on(async {
            let jobs = (0..20 * BLOCKING_THREADS).map(|n| spawn(unblock(move || n)));
            let mut sum = 0;
            for job in jobs.collect::<Vec<_>>() {
                sum += job.await;
            }
            sum
        });
        assert_eq!(sum, (0..20 * BLOCKING_THREADS).sum::<usize>());
    }

    struct Fragile;

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_in_a_drop_that_nobody_awaits_costs_the_pool_nothing() {
        for n in 0..2 * BLOCKING_THREADS {
            let (begin, begun) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel();
            block_on(async {
                let result = spawn(unblock(move || {
                    begin.send(()).unwrap();
                    ended.recv().unwrap();
                    if n % 2 == 0 {
                        std::panic::panic_any(Fragile);
                    }
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
