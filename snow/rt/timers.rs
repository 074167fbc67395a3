//! All armed timers of a loop, by their deadlines.

use super::timer::Time;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    mem,
    num::NonZeroU32,
    task::Waker,
};

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
    pub(super) fn arm(&mut self, deadline: Time, waker: Waker) -> TimerKey {
        let key = self.new_key(deadline);
        self.sorted.insert(Reverse(key), waker);
        key
    }

    /// Arms a timer that probably has the length of those that were armed so before it.
    pub(super) fn arm_alike(&mut self, deadline: Time, waker: Waker) -> TimerKey {
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
    pub(super) fn disarm(&mut self, key: TimerKey) -> Option<Waker> {
        debug_assert!(self.place_of(key).is_none(), "it is a sleep's");
        self.sorted.remove(&Reverse(key))
    }

    /// Disarms a timer that [`arm_alike`](Timers::arm_alike) has armed.
    pub(super) fn disarm_alike(&mut self, key: TimerKey) -> Option<Waker> {
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
    pub(super) fn set_waker(&mut self, key: TimerKey, waker: &Waker) -> Option<Option<Waker>> {
        let armed = match self.place_of(key) {
            Some(place) => self.queue[place].1.as_mut()?,
            None => self.sorted.get_mut(&Reverse(key))?,
        };
        Some((!armed.will_wake(waker)).then(|| mem::replace(armed, waker.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::Wake,
        time::Duration,
    };

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
}
