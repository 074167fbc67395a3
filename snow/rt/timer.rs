//! Time, and what stands on timers: sleep, timeout, the deadline of a connection.
//!
//! Time is counted in nanoseconds from the start of the loop, so that a key is one word and a test
//! can own the clock. `now` is read once a tick and handed in; nothing here asks the system. A jump
//! of the wall clock moves no deadline, because the wall clock is asked for dates only.

use super::{event_loop::Handle, timers::TimerKey};
use std::{
    cell::Cell,
    error, fmt,
    future::Future,
    io,
    num::NonZeroU32,
    ops::Add,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

/// A point in the loop's time, in nanoseconds since the loop began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Time(pub(super) u64);

impl Time {
    /// The point that is never reached: 584 years after the start.
    pub(crate) const NEVER: Time = Time(u64::MAX);

    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// A duration too long to count ends in [`Time::NEVER`].
    fn add(self, duration: Duration) -> Time {
        Time(
            u64::try_from(duration.as_nanos())
                .map_or(u64::MAX, |nanos| self.0.saturating_add(nanos)),
        )
    }
}

/// What the loop asks for the time.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The monotonic clock of the machine.
    System { start: Instant },
    /// A clock that stands still until the loop has nothing left to do, and then jumps to the next
    /// deadline: a suite of timeouts runs in milliseconds and never flakes.
    Virtual { wall: SystemTime, elapsed: Cell<u64> },
}

impl Clock {
    pub(crate) fn system() -> Clock {
        Clock::System { start: Instant::now() }
    }

    pub(crate) fn stopped() -> Clock {
        Clock::Virtual { wall: SystemTime::now(), elapsed: Cell::new(0) }
    }

    pub(crate) fn now(&self) -> Time {
        match self {
            Clock::System { start } => Time(0) + start.elapsed(),
            Clock::Virtual { elapsed, .. } => Time(elapsed.get()),
        }
    }

    /// Moves a virtual clock forward; a real one moves by itself.
    pub(crate) fn advance_to(&self, time: Time) {
        if let Clock::Virtual { elapsed, .. } = self {
            elapsed.set(elapsed.get().max(time.0));
        }
    }

    /// The date, which may jump.
    pub(crate) fn wall(&self) -> SystemTime {
        match self {
            Clock::System { .. } => SystemTime::now(),
            Clock::Virtual { wall, elapsed } => *wall + Duration::from_nanos(elapsed.get()),
        }
    }
}

/// How long before its deadline a timer may fire for nothing: long enough that a busy connection seldom
/// moves its timer, short enough that an idle one is not woken far ahead.
const TOO_EARLY: Duration = Duration::from_secs(10);

/// One deadline that is moved often and reached seldom, as a connection's is.
///
/// Moving it later is a store: the timer that is armed fires early, finds the deadline moved, and is armed
/// again; one that would fire much too early is armed anew at once. It wakes the task that polled it when
/// the timer was armed, so the same task must poll it for its whole life.
///
/// It holds no handle of its loop, since each connection has one already: its owner passes that one each
/// time, and disarms the deadline in the end.
pub(crate) struct Deadline {
    when: Time,
    armed: Option<TimerKey>,
}

impl Deadline {
    pub(crate) fn new(when: Time) -> Deadline {
        Deadline { when, armed: None }
    }

    pub(crate) fn set(&mut self, when: Time) {
        self.when = when;
    }

    pub(crate) fn when(&self) -> Time {
        self.when
    }

    /// Returns whether the armed timer will do: then the deadline need not be polled again.
    pub(crate) fn is_watched(&self, handle: &Handle) -> bool {
        let now = handle.now();
        self.armed.is_some_and(|key| now < key.0 && self.is_early_enough(key))
    }

    /// Returns whether a timer fires before the deadline, and not much too early.
    fn is_early_enough(&self, key: TimerKey) -> bool {
        // `NEVER` is usually temporary (while a handler runs), so the timer stays armed: one that fires for
        // nothing costs less than disarming it and arming another.
        let is_late_enough = self.when == Time::NEVER || self.when <= key.0 + TOO_EARLY;
        key.0 <= self.when && is_late_enough
    }

    /// Is ready once the deadline has passed, and stays so until it is set anew.
    pub(crate) fn poll_passed(&mut self, handle: &Handle, cx: &mut Context<'_>) -> Poll<()> {
        let now = handle.now();
        if self.when <= now {
            return Poll::Ready(());
        }
        if let Some(key) = self.armed {
            // What is due has fired: the loop fires timers with the same `now`.
            if key.0 <= now {
                self.armed = None;
            } else if !self.is_early_enough(key) {
                self.disarm(handle);
            }
        }
        if self.armed.is_none() && self.when < Time::NEVER {
            self.armed = Some(handle.timers().arm(self.when, cx.waker().clone()));
        }
        Poll::Pending
    }

    /// Takes the timer away, if one is armed.
    pub(crate) fn disarm(&mut self, handle: &Handle) {
        if let Some(key) = self.armed.take() {
            // After the borrow: dropping a waker may drop a task, which may own a timer.
            let waker = handle.timers().disarm(key);
            drop(waker);
        }
    }
}

/// Waits for `duration` from when it is first polled: never less, however long the loop has been busy, and
/// up to a millisecond more on Linux, where the feature `fine-timers` makes that a tenth of one.
///
/// # Panics
///
/// When it is first polled outside [`block_on`](crate::block_on) and the server's loops, and when it is
/// polled on another loop after that, where nobody would wake it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// snow::block_on(snow::sleep(Duration::from_millis(1)));
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep(SleepState::New(duration))
}

/// The future that [`sleep`] returns.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep(SleepState);

enum SleepState {
    New(Duration),
    /// The two halves of the key, not the pair: behind them there is room for the tag of the enum.
    Armed(Handle, Time, NonZeroU32),
    Done,
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            SleepState::New(duration) => {
                let handle = Handle::current();
                // The time of the tick may be long ago.
                let until = handle.precise_now() + *duration;
                let (deadline, number) = handle.timers().arm_alike(until, cx.waker().clone());
                self.0 = SleepState::Armed(handle, deadline, number);
                Poll::Pending
            }
            &SleepState::Armed(ref handle, deadline, number) => {
                if deadline > handle.now() {
                    // What is replaced is dropped after the borrow, as in `disarm`.
                    let replaced = handle.timers().set_waker((deadline, number), cx.waker());
                    if replaced.is_some() {
                        handle.assert_current();
                        return Poll::Pending;
                    }
                }
                self.0 = SleepState::Done;
                Poll::Ready(())
            }
            SleepState::Done => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let &SleepState::Armed(ref handle, deadline, number) = &self.0 {
            let waker = handle.timers().disarm_alike((deadline, number));
            drop(waker);
        }
    }
}

/// Runs `future` for at most `duration`; when the time is over the answer is [`Elapsed`]. The future is
/// polled first: one that is ready is never too late.
///
/// In a handler that returns a [`snow::Result`](crate::Result), `?` makes a 504 of `Elapsed`.
///
/// # Panics
///
/// As [`sleep`] does, unless `future` is ready when it is first polled.
///
/// # Examples
///
/// ```
/// use std::{future::pending, time::Duration};
///
/// let late = snow::timeout(Duration::from_millis(1), pending::<()>());
/// assert!(snow::block_on(late).is_err());
/// ```
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future: Box::pin(future), sleep: sleep(duration) }
}

/// The future that [`timeout`] returns.
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F> {
    // Boxed because pinning a field in place takes `unsafe`.
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// The error of [`timeout`]: the time was over first. As a [`snow::Error`](crate::Error) it is
/// [`HandlerTimeout`](crate::ErrorKind::HandlerTimeout), a 504 in a handler; as an `io::Error` it is
/// `TimedOut`, and such an error is a 500 there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over first")
    }
}

impl error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(error: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

impl From<Elapsed> for crate::Error {
    fn from(error: Elapsed) -> crate::Error {
        crate::Error::new(crate::ErrorKind::HandlerTimeout, "a timeout ran out").caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{EventLoop, testing::waker_with_last_act};
    use std::task::Waker;

    #[test]
    fn a_deadline_that_is_never_for_a_while_moves_no_timer() {
        let event_loop = EventLoop::new(Clock::stopped()).unwrap();
        let handle = event_loop.handle();
        let mut deadline = Deadline::new(Time::NEVER);
        let mut poll = |when| {
            deadline.set(when);
            let outcome = deadline.poll_passed(handle, &mut Context::from_waker(Waker::noop()));
            (outcome.is_pending(), handle.timers().next())
        };
        let soon = handle.now() + Duration::from_secs(50);
        assert_eq!(poll(Time::NEVER), (true, None));
        assert_eq!(poll(soon), (true, Some(soon)));
        assert_eq!(poll(Time::NEVER), (true, Some(soon)));
        assert_eq!(poll(soon + TOO_EARLY), (true, Some(soon)));
        // But what would fire much too early, or too late, is moved.
        for moved in [soon + TOO_EARLY * 2, handle.now() + TOO_EARLY] {
            assert_eq!(poll(moved), (true, Some(moved)));
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_own_a_timer() {
        crate::block_on(async {
            let mut sleep = sleep(Duration::from_secs(3600));
            for _ in 0..3 {
                let waker = waker_with_last_act(|| assert!(Handle::current().timers().len() <= 1));
                let outcome = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
                assert!(outcome.is_pending());
            }
        });
    }

    #[test]
    fn a_timeout_that_ran_out_is_an_io_error_too() {
        let error = io::Error::from(Elapsed(()));
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the time was over first");
    }

    #[test]
    fn a_deadline_past_counting_is_never() {
        assert_eq!(Time(7) + Duration::MAX, Time::NEVER);
    }
}
