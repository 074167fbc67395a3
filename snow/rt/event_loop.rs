//! One loop: wait, wake, fire timers, poll woken tasks within a budget, again.

use super::{
    reactor::Reactor,
    task::{Inbox, Task, Tasks},
    timer::{Clock, Time},
    timers::Timers,
};
use async_task::Runnable;
use std::{
    cell::{Cell, RefCell, RefMut},
    future::{Future, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, SystemTime},
};

/// How many tasks are polled in a round, and how many rounds there are before the loop looks at its
/// sockets and timers again.
///
/// A task that wakes itself for ever has its next turn in the next round, behind everybody else. The
/// second round is for what the first has begun: what was spawned or woken has its turn at once.
const TASKS_PER_ROUND: usize = 512;
const ROUNDS_PER_TICK: usize = 2;

/// How late a timer may be before the process is taken to have stood still: stopped by a signal, or without
/// a processor.
const STANDSTILL: Duration = Duration::from_millis(50);

/// How many ticks in a row a busy loop with a virtual clock puts off what is due: a task that wakes itself
/// for ever is not all that there is.
const TICKS_PUT_OFF: u32 = 10_000;

/// How long a loop with a virtual clock waits for other threads before it looks again.
const VIRTUAL_PATIENCE: Duration = Duration::from_millis(1);

/// How often timers have their turn on a virtual clock before the future that the loop was asked to run may look
/// at a real one.
const TURNS_UNSEEN: u32 = 1_000;

thread_local! {
    static CURRENT: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// Everything a loop consists of; shared by its sockets, timers and tasks, all on one thread.
struct Inner {
    reactor: Reactor,
    timers: RefCell<Timers>,
    tasks: Tasks,
    clock: Clock,
    now: Cell<Time>,
}

/// A reference to a loop, for what lives on it.
#[derive(Clone)]
pub(crate) struct Handle(Rc<Inner>);

impl Handle {
    /// Returns the loop that runs on this thread.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub(crate) fn current() -> Handle {
        Handle::try_current().expect(
            "this needs a running loop: call it from a handler, or inside snow::block_on(async { … })",
        )
    }

    pub(crate) fn try_current() -> Option<Handle> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Checks that this is the loop that runs on this thread.
    ///
    /// # Panics
    ///
    /// When it is not: whoever waits for an event of it would wait for ever.
    #[track_caller]
    pub(super) fn assert_current(&self) {
        let is_current = CURRENT.with_borrow(|current| {
            current.as_ref().is_some_and(|current| Rc::ptr_eq(&current.0, &self.0))
        });
        assert!(
            is_current,
            "a socket or a sleep is used on another loop than the one it was made on"
        );
    }

    /// Queues a woken task without locks, if its loop is the one that runs on this thread.
    pub(super) fn push_at_home(inbox: &Inbox, runnable: Runnable) -> Result<(), Runnable> {
        let mut runnable = Some(runnable);
        Handle::at_home(inbox, |tasks| tasks.push(runnable.take().expect("taken once")));
        runnable.map_or(Ok(()), Err)
    }

    /// Does something if the loop of `inbox` is the one that runs on this thread, and returns whether it
    /// is.
    fn at_home(inbox: &Inbox, work: impl FnOnce(&Tasks)) -> bool {
        // A thread that ends has no loop any more.
        let is_home = CURRENT.try_with(|current| match &*current.borrow() {
            Some(Handle(inner)) if std::ptr::eq(Arc::as_ptr(inner.tasks.inbox()), inbox) => {
                work(&inner.tasks);
                true
            }
            _ => false,
        });
        is_home.unwrap_or(false)
    }

    pub(crate) fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_unpin(Box::pin(future))
    }

    /// Spawns a future that can be moved, in one allocation.
    pub(crate) fn spawn_unpin<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Unpin + 'static,
        F::Output: 'static,
    {
        self.0.tasks.spawn(self.clone(), future)
    }

    /// As [`spawn_unpin`](Handle::spawn_unpin), but the task's first turn is at once, in that of the task
    /// which spawns it.
    pub(crate) fn spawn_begun<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Unpin + 'static,
        F::Output: 'static,
    {
        self.0.tasks.spawn_begun(self.clone(), future)
    }

    /// Returns the time of this tick.
    pub(crate) fn now(&self) -> Time {
        self.0.now.get()
    }

    /// Returns the time right now, for measurements finer than a tick.
    pub(crate) fn precise_now(&self) -> Time {
        self.0.clock.now()
    }

    /// Returns the date.
    pub(crate) fn wall(&self) -> SystemTime {
        self.0.clock.wall()
    }

    /// Wakes every task of the loop.
    pub(crate) fn wake_all(&self) {
        self.0.tasks.wake_all();
    }

    /// Waits for a descriptor to be freed on this loop: false when one was since
    /// [`forget_freed_descriptor`](Handle::forget_freed_descriptor).
    pub(crate) fn wait_for_descriptor(&self, cx: &Context<'_>) -> bool {
        self.0.reactor.wait_for_descriptor(cx.waker())
    }

    pub(crate) fn forget_freed_descriptor(&self) {
        self.0.reactor.forget_freed_descriptor();
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            tasks: self.0.tasks.len(),
            timers: self.0.timers.borrow().len(),
            sockets: self.0.reactor.len(),
        }
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn reactor(&self) -> &Reactor {
        &self.0.reactor
    }

    pub(super) fn timers(&self) -> RefMut<'_, Timers> {
        self.0.timers.borrow_mut()
    }
}

/// A loop and the right to run it.
pub(crate) struct EventLoop {
    handle: Handle,
    /// Wakes the future that the loop was asked to run.
    root: Arc<Root>,
    /// For how many ticks in a row what is due on a virtual clock has been put off.
    put_off: Cell<u32>,
    /// How often timers have had their turn on a virtual clock since that future was polled.
    unseen: Cell<u32>,
}

impl EventLoop {
    /// Makes a loop that asks `clock` for the time.
    ///
    /// # Errors
    ///
    /// When the machine has no descriptors left for a poll and its bell.
    pub(crate) fn new(clock: Clock) -> io::Result<EventLoop> {
        let reactor = Reactor::new()?;
        let inbox = Arc::new(Inbox::new(reactor.bell()?));
        let now = Cell::new(clock.now());
        let root = Arc::new(Root { woken: AtomicBool::new(true), inbox: Arc::clone(&inbox) });
        let inner =
            Inner { reactor, timers: Timers::new().into(), tasks: Tasks::new(inbox), clock, now };
        Ok(EventLoop {
            handle: Handle(Rc::new(inner)),
            root,
            put_off: Cell::new(0),
            unseen: Cell::new(0),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs the loop until `future` is ready.
    ///
    /// # Errors
    ///
    /// When the poll fails, which ends the loop.
    pub(crate) fn run<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let _entered = self.enter();
        let mut future = pin!(future);
        let waker = Waker::from(Arc::clone(&self.root));
        self.root.woken.store(true, Ordering::SeqCst);
        self.read_clock();
        loop {
            let is_woken = self.root.woken.swap(false, Ordering::SeqCst);
            // The future may want to give up, in real time, on something that never comes, while on a virtual
            // clock something else is done again and again.
            if is_woken || self.unseen.get() >= TURNS_UNSEEN {
                self.unseen.set(0);
                self.handle.0.tasks.begin_turn();
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return Ok(output);
                }
            }
            self.tick()?;
        }
    }

    /// Makes this the loop of the thread until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered { before: replace_current(Some(self.handle.clone())) }
    }

    /// Runs what is woken, then waits for more.
    fn tick(&self) -> io::Result<()> {
        let inner = &*self.handle.0;
        inner.tasks.take_woken();
        let is_busy = (0..ROUNDS_PER_TICK).all(|_| inner.tasks.run(TASKS_PER_ROUND));
        if is_busy || self.root.is_woken() {
            inner.reactor.wait(Some(Duration::ZERO))?;
        } else {
            // Announced first and checked after: either the loop sees what another thread has
            // woken, or that thread sees the loop asleep and rings.
            inner.tasks.inbox().fall_asleep();
            let outcome = if inner.tasks.inbox().has_woken() || self.root.is_woken() {
                inner.reactor.wait(Some(Duration::ZERO))
            } else {
                self.sleep()
            };
            inner.tasks.inbox().wake_up();
            outcome?;
        }
        self.fire_timers()
    }

    /// Waits for an event, the bell or the nearest deadline, whichever comes first.
    fn sleep(&self) -> io::Result<()> {
        let inner = &*self.handle.0;
        let next = inner.timers.borrow().next();
        if let Clock::System { .. } = inner.clock {
            let now = inner.clock.now();
            return inner.reactor.wait(next.map(|deadline| deadline.since(now)));
        }
        // Virtual time stands still while blocking work is queued or running, and until events are handled.
        let may_come =
            |deadline: &Time| *deadline <= inner.clock.now() || !inner.tasks.inbox().has_errands();
        let Some(deadline) = next.filter(may_come) else {
            inner.reactor.wait(Some(VIRTUAL_PATIENCE))?;
            // It may want to give up here, too.
            self.root.woken.store(true, Ordering::SeqCst);
            return Ok(());
        };
        inner.reactor.wait(Some(Duration::ZERO))?;
        if !self.is_busy() {
            inner.clock.advance_to(deadline);
        }
        Ok(())
    }

    /// Returns whether there is something to do without waiting.
    fn is_busy(&self) -> bool {
        let tasks = &self.handle.0.tasks;
        tasks.has_woken() || tasks.inbox().has_woken() || self.root.is_woken()
    }

    fn fire_timers(&self) -> io::Result<()> {
        let inner = &*self.handle.0;
        let put_off = self.put_off.take();
        let is_virtual = matches!(inner.clock, Clock::Virtual { .. });
        if is_virtual && put_off < TICKS_PUT_OFF && self.is_busy() {
            // Time stands still, and what is due now has its turn when all else is done.
            self.put_off.set(put_off + 1);
            return Ok(());
        }
        if is_virtual {
            let turns = if put_off == TICKS_PUT_OFF { TURNS_UNSEEN } else { 1 };
            self.unseen.set(self.unseen.get() + turns);
        }
        let now = self.read_clock();
        let next = inner.timers.borrow().next();
        if next.is_some_and(|deadline| now.since(deadline) > STANDSTILL) {
            // Events that were fetched before the standstill say nothing of what came during it.
            inner.reactor.wait(Some(Duration::ZERO))?;
        }
        loop {
            let due = inner.timers.borrow_mut().pop_due(now);
            match due {
                Some(waker) => waker.wake(),
                None => return Ok(()),
            }
        }
    }
}

impl EventLoop {
    /// Sets the time of the tick.
    fn read_clock(&self) -> Time {
        let now = self.handle.0.clock.now();
        self.handle.0.now.set(now);
        now
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        let _entered = self.enter();
        self.handle.0.tasks.end_all();
    }
}

/// Restores which loop the thread is on.
pub(crate) struct Entered {
    before: Option<Handle>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        replace_current(self.before.take());
    }
}

fn replace_current(handle: Option<Handle>) -> Option<Handle> {
    // A thread that ends, with a loop among its own variables, has no current one any more.
    CURRENT.try_with(|current| current.replace(handle)).unwrap_or_default()
}

/// The future given to [`EventLoop::run`], as a task that is not in the queues.
struct Root {
    woken: AtomicBool,
    inbox: Arc<Inbox>,
}

impl Root {
    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }
}

impl Wake for Root {
    fn wake(self: Arc<Root>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Root>) {
        self.woken.store(true, Ordering::SeqCst);
        // On its own thread the loop is awake, and looks before it sleeps.
        if !Handle::at_home(&self.inbox, |_| {}) {
            self.inbox.ring();
        }
    }
}

/// Runs `future` on a loop of its own, on this thread, until it is ready; tasks that it spawned and
/// that are not finished by then are dropped.
///
/// # Panics
///
/// When called from inside a loop (a handler, another `block_on`), which it would stop; and when the
/// machine has no descriptors left for a loop.
///
/// # Examples
///
/// ```
/// let answer = snow::block_on(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    assert!(
        Handle::try_current().is_none(),
        "block_on inside a loop would stop that loop: `.await` instead, or use `snow::unblock`"
    );
    let event_loop = EventLoop::new(Clock::system()).expect("a loop needs two descriptors");
    event_loop.run(future).expect("polling a poll that was made here does not fail")
}

/// Runs `future` as a task on this thread's loop, from which it never moves; it need not be `Send`.
///
/// # Panics
///
/// When there is no loop on this thread. A panic *of the task* is caught, logged, and reaches
/// whoever awaits the [`Task`].
///
/// # Examples
///
/// ```
/// snow::block_on(async {
///     snow::spawn(async { println!("beside") }).await;
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Handle::current().spawn(future)
}

/// As [`spawn`], in one allocation, for a future that can be moved.
pub(crate) fn spawn_unpin<F>(future: F) -> Task<F::Output>
where
    F: Future + Unpin + 'static,
    F::Output: 'static,
{
    Handle::current().spawn_unpin(future)
}

/// How much lives on a loop: what a test for leaks compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Timers that are armed.
    pub timers: usize,
    /// Sockets that are open.
    pub sockets: usize,
}

/// Returns how much lives on this thread's loop.
///
/// # Panics
///
/// When there is no loop on this thread.
///
/// # Examples
///
/// ```
/// snow::block_on(async {
///     let task = snow::spawn(std::future::pending::<()>());
///     assert_eq!(snow::rt::counts().tasks, 1);
///     task.cancel();
/// });
/// ```
#[track_caller]
pub fn counts() -> Counts {
    Handle::current().counts()
}

/// Gives the other tasks of the loop that are woken a turn, and the loop one to look at its sockets and timers,
/// at the second time in a row at the latest.
///
/// For a task that may go on for long without having to wait: one whose peer sends as fast as it reads.
///
/// # Examples
///
/// ```
/// snow::block_on(async {
///     let other = snow::spawn(async {});
///     while !other.is_finished() {
///         snow::rt::yield_now().await;
///     }
/// });
/// ```
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::sleep;

    /// Runs a future that gives up when it is polled for the fourth time, beside a task that takes so many
    /// `rounds` if it is let; false when it was.
    fn gives_up_beside(task: impl Future<Output = ()> + 'static, rounds: &Cell<u32>) -> bool {
        let event_loop = EventLoop::new(Clock::stopped()).unwrap();
        event_loop.handle().spawn(task).detach();
        let mut polls = 0;
        let gives_up = poll_fn(|_| {
            polls += 1;
            if polls > 3 { Poll::Ready(()) } else { Poll::Pending }
        });
        event_loop.run(gives_up).unwrap();
        rounds.get() < ROUNDS
    }

    const ROUNDS: u32 = 1_000_000;

    #[test]
    fn what_is_done_again_and_again_on_a_virtual_clock_keeps_nobody_from_giving_up() {
        for duration in [Some(Duration::from_secs(1)), Some(Duration::ZERO), None] {
            let rounds = Rc::new(Cell::new(0));
            let counted = Rc::clone(&rounds);
            let task = async move {
                while counted.get() < ROUNDS {
                    match duration {
                        Some(duration) => sleep(duration).await,
                        None => yield_now().await,
                    }
                    counted.set(counted.get() + 1);
                }
            };
            assert!(gives_up_beside(task, &rounds), "{duration:?}");
        }
    }
}
