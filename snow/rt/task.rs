//! Tasks and their run queues.
//!
//! A task is an `async-task`: its waker may be used from any thread. A wake on the loop's own thread
//! pushes on a local queue and makes no system call; a wake from another thread pushes on a shared
//! queue and rings the bell only when the loop is asleep.

use super::{event_loop::Handle, turn::Turn};
use async_task::{FallibleTask, Runnable};
use slab::Slab;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

/// The side of a loop that other threads see: where they leave woken tasks, and the bell.
pub(super) struct Inbox {
    woken: Mutex<VecDeque<Runnable>>,
    asleep: AtomicBool,
    bell: mio::Waker,
    /// Jobs of this loop on the blocking pool.
    errands: AtomicUsize,
}

impl Inbox {
    pub(super) fn new(bell: mio::Waker) -> Inbox {
        Inbox {
            woken: Mutex::default(),
            asleep: AtomicBool::new(false),
            bell,
            errands: AtomicUsize::new(0),
        }
    }

    /// Queues a woken task, on whichever thread this is.
    fn push(&self, runnable: Runnable) {
        if let Err(runnable) = Handle::push_at_home(self, runnable) {
            self.woken().push_back(runnable);
            self.ring();
        }
    }

    /// Wakes the loop if it sleeps.
    pub(super) fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            if let Err(error) = self.bell.wake() {
                log::error!("a loop cannot be woken from another thread: {error}");
            }
        }
    }

    /// Announces that the loop goes to sleep: from here on a push rings.
    pub(super) fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Returns whether another thread has woken a task.
    pub(super) fn has_woken(&self) -> bool {
        !self.woken().is_empty()
    }

    pub(super) fn begin_errand(&self) {
        self.errands.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn end_errand(&self) {
        self.errands.fetch_sub(1, Ordering::SeqCst);
    }

    /// Returns whether a job of this loop is queued or runs on the blocking pool.
    pub(super) fn has_errands(&self) -> bool {
        self.errands.load(Ordering::SeqCst) > 0
    }

    pub(super) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn woken(&self) -> MutexGuard<'_, VecDeque<Runnable>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every task of one loop, and those of them that are woken.
pub(super) struct Tasks {
    inbox: Arc<Inbox>,
    /// What was woken on this thread.
    local: RefCell<VecDeque<Runnable>>,
    /// One waker for each task that has not ended: to wake all, and to end all.
    alive: RefCell<Slab<Waker>>,
    turn: Cell<Turn>,
}

impl Tasks {
    pub(super) fn new(inbox: Arc<Inbox>) -> Tasks {
        Tasks { inbox, local: RefCell::default(), alive: RefCell::default(), turn: Cell::default() }
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(super) fn spawn<F>(&self, handle: Handle, future: F) -> Task<F::Output>
    where
        F: Future + Unpin + 'static,
        F::Output: 'static,
    {
        let (runnable, task) = self.make(handle, future);
        runnable.schedule();
        task
    }

    /// Spawns a task whose first turn is at once, in that of the task which spawns it.
    pub(super) fn spawn_begun<F>(&self, handle: Handle, future: F) -> Task<F::Output>
    where
        F: Future + Unpin + 'static,
        F::Output: 'static,
    {
        let (runnable, task) = self.make(handle, future);
        let turn = self.turn();
        self.begin_turn();
        runnable.run();
        self.set_turn(turn);
        task
    }

    fn make<F>(&self, handle: Handle, future: F) -> (Runnable, Task<F::Output>)
    where
        F: Future + Unpin + 'static,
        F::Output: 'static,
    {
        let mut alive = self.alive.borrow_mut();
        let entry = alive.vacant_entry();
        let guarded = Guarded {
            future: Contained::new(future),
            _alive: Alive { handle, key: entry.key() as u32 },
        };
        let inbox = Arc::clone(&self.inbox);
        let (runnable, task) = async_task::Builder::new()
            .spawn_local(move |()| guarded, move |runnable| inbox.push(runnable));
        entry.insert(runnable.waker());
        (runnable, Task { task: Some(task.fallible()) })
    }

    /// Polls up to `budget` of the tasks that are woken now, and not those that they wake; true when
    /// there are more.
    pub(super) fn run(&self, budget: usize) -> bool {
        let count = self.local.borrow().len().min(budget);
        for _ in 0..count {
            let Some(runnable) = self.pop() else { break };
            self.begin_turn();
            runnable.run();
        }
        self.has_woken()
    }

    /// Begins the turn of the task that is polled next.
    pub(super) fn begin_turn(&self) {
        self.set_turn(self.turn().next());
    }

    /// Returns the turn of the task that is being polled.
    pub(super) fn turn(&self) -> Turn {
        self.turn.get()
    }

    pub(super) fn set_turn(&self, turn: Turn) {
        self.turn.set(turn);
    }

    /// Queues a task that was woken on the loop's own thread.
    pub(super) fn push(&self, runnable: Runnable) {
        self.local.borrow_mut().push_back(runnable);
    }

    fn pop(&self) -> Option<Runnable> {
        self.local.borrow_mut().pop_front()
    }

    pub(super) fn has_woken(&self) -> bool {
        !self.local.borrow().is_empty()
    }

    /// Moves the tasks that other threads have woken to the local queue.
    pub(super) fn take_woken(&self) {
        self.local.borrow_mut().append(&mut self.inbox.woken());
    }

    /// Wakes every task, to announce a change that concerns all of them.
    pub(super) fn wake_all(&self) {
        // Waking by reference queues and drops nothing, so the borrow is safe.
        for (_, waker) in self.alive.borrow().iter() {
            waker.wake_by_ref();
        }
    }

    /// Drops the future of every task, and of the tasks that are spawned meanwhile.
    pub(super) fn end_all(&self) {
        while !self.alive.borrow().is_empty() {
            self.wake_all();
            self.take_woken();
            while let Some(runnable) = self.pop() {
                drop(runnable);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.alive.borrow().len()
    }
}

/// Takes a task off the list of the living when its future is dropped, however that comes about.
struct Alive {
    handle: Handle,
    key: u32,
}

impl Drop for Alive {
    fn drop(&mut self) {
        let waker = self.handle.tasks().alive.borrow_mut().try_remove(self.key as usize);
        drop(waker);
    }
}

/// A task's future, whose panic is contained.
///
/// It is a type and not an `async` block, which would keep `future` twice: where it was captured, and
/// where it was moved to be pinned.
struct Guarded<F> {
    // Dropped before the task is taken off the list.
    future: Contained<F>,
    _alive: Alive,
}

/// A value of the program's whose drop may panic: the panic is caught and logged, where it could end the
/// process.
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(inner: T) -> Contained<T> {
        Contained(Some(inner))
    }

    pub(crate) fn get(&mut self) -> &mut T {
        self.0.as_mut().expect("there until dropped")
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect("there until dropped")
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(inner))) {
            log::error!("a drop panicked: {}", panic_message(&*panic));
        }
    }
}

/// What a task leaves behind: its output, or what it panicked with. Either may be dropped by the loop,
/// when nobody awaits it.
pub(super) type Outcome<T> = Contained<Result<T, Box<dyn Any + Send>>>;

impl<F: Future + Unpin> Future for Guarded<F> {
    type Output = Outcome<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<F::Output>> {
        let future = Pin::new(self.future.get());
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll.map(|output| Contained::new(Ok(output))),
            Err(panic) => {
                log::error!("a task panicked: {}", panic_message(&*panic));
                Poll::Ready(Contained::new(Err(panic)))
            }
        }
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

/// A task on the loop of the thread that spawned it.
///
/// Dropping it detaches: the task goes on. [`cancel`](Task::cancel) drops the task's future.
/// Awaiting it gives its output, and panics with the task's panic if it panicked (the panic has been
/// logged by then).
///
/// # Panics
///
/// Awaiting it does when its loop has ended before it, which drops the task; and when it has given its
/// output already.
///
/// # Examples
///
/// ```
/// let sum = snow::block_on(async {
///     let task = snow::spawn(async { 1 + 2 });
///     task.await
/// });
/// assert_eq!(sum, 3);
/// ```
#[must_use = "dropping a task detaches it: say so with `.detach()`"]
pub struct Task<T> {
    /// Taken by those who consume the handle, and with the output.
    task: Option<FallibleTask<Outcome<T>>>,
}

impl<T> Task<T> {
    /// Lets the task run on by itself.
    pub fn detach(self) {
        drop(self);
    }

    /// Has the loop drop the task's future the next time it comes to the task.
    pub fn cancel(mut self) {
        drop(self.task.take());
    }

    /// Returns whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(FallibleTask::is_finished)
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(task) = &mut self.task else {
            panic!("a task is awaited again after it has ended");
        };
        let outcome = ready!(Pin::new(task).poll(cx));
        self.task = None;
        match outcome.map(Contained::into_inner) {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => resume_unwind(panic),
            None => panic!("a task is awaited whose loop has ended, and the task with it"),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rt::{Handle, block_on, yield_now};
    use std::{cell::Cell, rc::Rc};

    #[test]
    fn a_task_that_is_spawned_begun_has_had_its_first_turn() {
        block_on(async {
            let turns = Rc::new(Cell::new(0));
            let counted = Rc::clone(&turns);
            let task = Handle::current().spawn_begun(Box::pin(async move {
                counted.set(1);
                yield_now().await;
                counted.set(2);
                "done"
            }));
            assert_eq!(turns.get(), 1);
            assert_eq!(task.await, "done");
            assert_eq!(turns.get(), 2);
        });
    }

    #[test]
    fn a_panic_of_a_task_that_is_spawned_begun_is_its_own() {
        block_on(async {
            let task = Handle::current().spawn_begun(Box::pin(async { panic!("on purpose") }));
            assert!(task.is_finished());
        });
    }
}
