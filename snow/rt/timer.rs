//! Deadlines in order, and what stands on them: sleep, timeout, the deadline of a connection.
//!
//! Time is counted in nanoseconds from the start of the loop, so that a key is one word and a test
//! can own the clock. `now` is read once a tick and handed in; nothing here asks the system. A jump
//! of the wall clock moves no deadline, because the wall clock is asked for dates only.

use super::event_loop::Handle;
use std::{
    cell::Cell,
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    error, fmt,
    future::Future,
    io, mem,
    num::NonZeroU32,
    ops::Add,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

/// A point in the loop's time, in nanoseconds since the loop began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Time(u64);

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

/// Timers for which the queue has room before it gives any back.
const LEAST_ROOM: usize = 64;

/// Timers that may have to move out of the queue for one that is armed.
const MOST_MOVED: usize = 16;

/// Orders timers by deadline; the second half tells apart what is due at the same nanosecond.
pub(super) type TimerKey = (Time, NonZeroU32);

/// All armed timers of one loop.
///
/// Sleeps of one length are armed in the order of their deadlines: they stand in a queue, without a search. What
/// is out of order, and the deadlines of connections, which are of many lengths, are sorted.
pub(super) struct Timers {
    /// The earliest first. One that is disarmed stays without its waker, but is never the first.
    queue: VecDeque<(TimerKey, Option<Waker>)>,
    /// How many in the queue are disarmed: half of it at most.
    disarmed: usize,
    /// Those that are not in the queue, the latest first: a search begins at that end, and most new timers are
    /// among the latest.
    sorted: BTreeMap<Reverse<TimerKey>, Waker>,
    /// The second half of the key that was made last.
    last: NonZeroU32,
    /// Whether the numbers have started over, after four billion timers: one may be taken still.
    has_started_over: bool,
}

impl Timers {
    pub(super) fn new() -> Timers {
        Timers {
            queue: VecDeque::new(),
            disarmed: 0,
            sorted: BTreeMap::new(),
            last: NonZeroU32::MIN,
            has_started_over: false,
        }
    }

    /// Arms a timer of any length.
    fn arm(&mut self, deadline: Time, waker: Waker) -> TimerKey {
        let key = self.new_key(deadline);
        self.sorted.insert(Reverse(key), waker);
        key
    }

    /// Arms a timer that probably has the length of those that were armed so before it.
    fn arm_alike(&mut self, deadline: Time, waker: Waker) -> TimerKey {
        let key = self.new_key(deadline);
        let is_last = self.queue.back().is_none_or(|(back, _)| *back < key);
        if is_last || self.sort_from(key) {
            self.queue.push_back((key, Some(waker)));
        } else {
            self.sorted.insert(Reverse(key), waker);
        }
        key
    }

    fn new_key(&mut self, deadline: Time) -> TimerKey {
        loop {
            self.last = self.last.checked_add(1).unwrap_or_else(|| {
                self.has_started_over = true;
                NonZeroU32::MIN
            });
            let key = (deadline, self.last);
            let is_taken =
                || self.place_of(key).is_some() || self.sorted.contains_key(&Reverse(key));
            if !self.has_started_over || !is_taken() {
                return key;
            }
        }
    }

    /// Moves what is later than `key` out of the queue, and returns true, unless it is much.
    // Out of line: it is rare.
    #[inline(never)]
    fn sort_from(&mut self, key: TimerKey) -> bool {
        let from = self.queue.partition_point(|(queued, _)| *queued < key);
        if self.queue.len() - from > MOST_MOVED {
            return false;
        }
        for (key, waker) in self.queue.drain(from..) {
            match waker {
                Some(waker) => {
                    self.sorted.insert(Reverse(key), waker);
                }
                None => self.disarmed -= 1,
            }
        }
        self.tidy();
        true
    }

    /// Disarms a timer that [`arm`](Timers::arm) has armed.
    fn disarm(&mut self, key: TimerKey) -> Option<Waker> {
        debug_assert!(self.place_of(key).is_none(), "it is a sleep's");
        self.sorted.remove(&Reverse(key))
    }

    /// Disarms a timer that [`arm_alike`](Timers::arm_alike) has armed.
    fn disarm_alike(&mut self, key: TimerKey) -> Option<Waker> {
        let Some(place) = self.place_of(key) else { return self.sorted.remove(&Reverse(key)) };
        let waker = self.queue[place].1.take()?;
        self.disarmed += 1;
        self.tidy();
        Some(waker)
    }

    fn place_of(&self, key: TimerKey) -> Option<usize> {
        self.queue.binary_search_by_key(&key, |(queued, _)| *queued).ok()
    }

    /// Drops what is disarmed, if it is the first or most of the queue, and room that is no longer needed.
    fn tidy(&mut self) {
        while let Some((_, None)) = self.queue.front() {
            self.queue.pop_front();
            self.disarmed -= 1;
        }
        if self.disarmed > self.queue.len() / 2 {
            self.queue.retain(|(_, waker)| waker.is_some());
            self.disarmed = 0;
        }
        if self.queue.capacity() > LEAST_ROOM.max(4 * self.queue.len()) {
            self.queue.shrink_to(2 * self.queue.len());
        }
    }

    /// Returns the key of the timer that is due first, and whether it is in the queue.
    fn first(&self) -> Option<(TimerKey, bool)> {
        let queued = self.queue.front().map(|(key, _)| (*key, true));
        let sorted = self.sorted.last_key_value().map(|(Reverse(key), _)| (*key, false));
        queued.into_iter().chain(sorted).min()
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.first().map(|((deadline, _), _)| deadline)
    }

    /// Takes one timer that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Waker> {
        match self.first()? {
            ((deadline, _), _) if deadline > now => None,
            (_, true) => {
                let (_, waker) = self.queue.pop_front()?;
                self.tidy();
                waker
            }
            (_, false) => self.sorted.pop_last().map(|(_, waker)| waker),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() - self.disarmed + self.sorted.len()
    }

    /// Has a timer that [`arm_alike`](Timers::arm_alike) has armed wake `waker`; `None` when it has fired. Returns
    /// the replaced one, if it was another.
    fn set_waker(&mut self, key: TimerKey, waker: &Waker) -> Option<Option<Waker>> {
        let armed = match self.place_of(key) {
            Some(place) => self.queue[place].1.as_mut()?,
            None => self.sorted.get_mut(&Reverse(key))?,
        };
        Some((!armed.will_wake(waker)).then(|| mem::replace(armed, waker.clone())))
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
    use crate::rt::EventLoop;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::Wake,
    };

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
    fn timers_fire_in_the_order_of_their_deadlines() {
        let mut timers = Timers::new();
        let start = Time(0);
        for millis in [30, 10, 20, 10] {
            timers.arm_alike(start + Duration::from_millis(millis), Waker::noop().clone());
        }
        assert_eq!(timers.next(), Some(start + Duration::from_millis(10)));
        assert!(timers.pop_due(start + Duration::from_millis(9)).is_none());
        assert!(timers.pop_due(start + Duration::from_millis(10)).is_some());
        assert!(timers.pop_due(start + Duration::from_millis(10)).is_some());
        assert!(timers.pop_due(start + Duration::from_millis(10)).is_none());
        assert_eq!(timers.len(), 2);
    }

    /// A waker that can be told from others.
    #[derive(Default)]
    struct Alarm(AtomicBool);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn is_same(waker: Option<Waker>, alarm: Option<Arc<Alarm>>) -> bool {
        match (waker, alarm) {
            (Some(waker), Some(alarm)) => {
                waker.wake();
                alarm.0.swap(false, Ordering::Relaxed)
            }
            (waker, alarm) => waker.is_none() && alarm.is_none(),
        }
    }

    #[test]
    fn timers_are_those_of_a_sorted_map_whatever_the_order() {
        for seed in 1..=50_u64 {
            let mut random = seed;
            let mut below = |bound: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % bound
            };
            let (mut timers, mut model, mut now) = (Timers::new(), BTreeMap::new(), Time(0));
            let mut gone = (now, NonZeroU32::MAX);
            for round in 0..5_000 {
                // Now many are armed, and then few.
                let weight = if round % 1_000 < 500 { 6 } else { 3 };
                match below(10) {
                    lot if lot < weight => {
                        let alarm = Arc::new(Alarm::default());
                        let waker = Waker::from(Arc::clone(&alarm));
                        let (nanos, is_alike) = match below(40) {
                            0 => (20, true),
                            1 => (5_000, true),
                            2 => (below(1_000), false),
                            _ => (500, true),
                        };
                        let deadline = now + Duration::from_nanos(nanos);
                        let key = match is_alike {
                            true => timers.arm_alike(deadline, waker),
                            false => timers.arm(deadline, waker),
                        };
                        assert!(model.insert(key, (alarm, is_alike)).is_none());
                    }
                    7 => {
                        let place = below(model.len() as u64 + 1) as usize;
                        let key = model.keys().nth(place).copied().unwrap_or(gone);
                        let (alarm, is_alike) = model.remove(&key).unzip();
                        let disarmed = match is_alike {
                            Some(false) => timers.disarm(key),
                            _ => timers.disarm_alike(key),
                        };
                        assert!(is_same(disarmed, alarm));
                        assert!(timers.disarm_alike(key).is_none());
                        assert!(timers.set_waker(key, Waker::noop()).is_none());
                        gone = key;
                    }
                    8 => {
                        let place = below(model.len() as u64 + 1) as usize;
                        if let Some((key, (alarm, true))) = model.iter_mut().nth(place) {
                            let before = mem::take(alarm);
                            let waker = Waker::from(Arc::clone(alarm));
                            assert!(is_same(timers.set_waker(*key, &waker).unwrap(), Some(before)));
                        }
                    }
                    _ => {
                        now = now + Duration::from_nanos(below(30));
                        while model.first_key_value().is_some_and(|(key, _)| key.0 <= now) {
                            let (_, (alarm, _)) = model.pop_first().unwrap();
                            assert!(is_same(timers.pop_due(now), Some(alarm)));
                        }
                        assert!(timers.pop_due(now).is_none());
                    }
                }
                assert_eq!(timers.len(), model.len());
                assert_eq!(timers.next(), model.keys().next().map(|key| key.0));
            }
        }
    }

    #[test]
    fn timers_that_are_gone_take_no_room() {
        let mut timers = Timers::new();
        timers.arm_alike(Time(0), Waker::noop().clone());
        for n in 1..100_000 {
            let key = timers.arm_alike(Time(n), Waker::noop().clone());
            assert!(timers.disarm_alike(key).is_some());
            assert!(timers.queue.len() <= 2);
        }
        let arm = |_| timers.arm_alike(Time::NEVER, Waker::noop().clone());
        let keys: Vec<_> = (0..10_000).map(arm).collect();
        assert!(timers.sorted.is_empty());
        assert!(keys.into_iter().rev().all(|key| timers.disarm_alike(key).is_some()));
        assert!(timers.queue.capacity() <= LEAST_ROOM);
        assert_eq!(timers.len(), 1);
    }

    #[test]
    fn few_timers_move_for_one_that_is_earlier() {
        let mut timers = Timers::new();
        let mut arm = |time| {
            timers.arm_alike(Time(time), Waker::noop().clone());
            (timers.queue.len(), timers.sorted.len())
        };
        let most = MOST_MOVED as u64;
        assert_eq!((0..=most).map(|n| arm(10 + n)).last(), Some((MOST_MOVED + 1, 0)));
        assert_eq!(arm(9), (MOST_MOVED + 1, 1), "it is sorted itself");
        assert_eq!(arm(10), (2, MOST_MOVED + 1), "those behind it are");
    }

    /// A waker that looks at the timers when it is dropped, as one does that owns a timer.
    struct Looks;

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Looks {
        fn drop(&mut self) {
            assert!(Handle::current().timers().len() <= 1);
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_own_a_timer() {
        crate::block_on(async {
            let mut sleep = sleep(Duration::from_secs(3600));
            for _ in 0..3 {
                let waker = Waker::from(Arc::new(Looks));
                let outcome = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
                assert!(outcome.is_pending());
            }
        });
    }

    #[test]
    fn a_number_that_is_taken_still_is_passed_over() {
        let mut timers = Timers::new();
        let noop = || Waker::noop().clone();
        let keys = [
            timers.arm(Time::NEVER, noop()),
            timers.arm_alike(Time::NEVER, noop()),
            timers.arm_alike(Time::NEVER, noop()),
        ];
        // The numbers start over, and come to the first that is taken.
        timers.last = NonZeroU32::MAX;
        assert_eq!(timers.arm(Time(0), noop()).1, NonZeroU32::MIN);
        let next = timers.arm_alike(Time::NEVER, noop());
        assert!(keys.iter().all(|key| key.1 < next.1));
        assert_eq!(timers.len(), 5);
    }

    #[test]
    fn a_disarmed_timer_does_not_fire() {
        let mut timers = Timers::new();
        let key = timers.arm(Time(5), Waker::noop().clone());
        assert!(timers.disarm(key).is_some());
        assert!(timers.pop_due(Time::NEVER).is_none());
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
