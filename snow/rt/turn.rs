//! Turns and steps: how much a task does before others have their turn.

use super::event_loop::Handle;
use std::task::{Context, Poll};

/// Steps (a read, a write, a datagram, a message taken) that a task may take in one turn. At 64 KiB a
/// step this is 4 MiB at most, about a millisecond; with short ones a turn costs little beside them.
const STEPS_PER_TURN: u16 = 64;

/// The turn of the task that is being polled.
#[derive(Clone, Copy, Default)]
pub(super) struct Turn {
    /// Tells it from those shortly before.
    number: u16,
    steps: u16,
}

impl Turn {
    /// Returns the turn after this one.
    pub(super) fn next(self) -> Turn {
        Turn { number: self.number.wrapping_add(1), steps: 0 }
    }

    fn is_over(self) -> bool {
        self.steps >= STEPS_PER_TURN
    }

    fn with_step(self) -> Turn {
        Turn { steps: self.steps.saturating_add(1), ..self }
    }
}

/// One who takes steps in the turns of tasks: a direction of a socket, or what takes messages from a stream.
///
/// A step is an operation that a peer can keep ready for ever. After a number of them a task's turn is over: it
/// is woken again, and others run first. Steps are counted per task, so that a task that reads from several
/// sockets has no more of them. Still, each socket may try once in every turn: one of several that is always
/// ready does not keep the others from theirs.
#[derive(Default)]
pub(crate) struct Stepper {
    /// The number of the turn in which this one tried last. Numbers come again, and then this one waits for the
    /// turn after, at worst.
    tried_in: u16,
}

impl Stepper {
    /// Begins a step: pending when the turn is over, and then the task has another.
    ///
    /// On a thread without a loop there are no turns, and so no end of them.
    pub(crate) fn poll_step(&mut self, cx: &Context<'_>) -> Poll<Step> {
        let handle = Handle::try_current();
        if let Some(handle) = &handle {
            let turn = handle.tasks().turn();
            let tries_again = std::mem::replace(&mut self.tried_in, turn.number) == turn.number;
            if tries_again && turn.is_over() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(Step(handle))
    }
}

/// A step that has begun, on the loop of this thread if there is one.
#[must_use = "a step counts when it ends"]
pub(crate) struct Step(Option<Handle>);

impl Step {
    /// Ends the step with what came of it. It counts only if the operation was ready: a task may wait for any
    /// number.
    pub(crate) fn end<T>(self, outcome: Poll<T>) -> Poll<T> {
        if let (Some(handle), Poll::Ready(_)) = (self.0, &outcome) {
            let tasks = handle.tasks();
            tasks.set_turn(tasks.turn().with_step());
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{block_on, yield_now};
    use std::{future::poll_fn, task::ready};

    /// Takes steps for as long as they are let begin.
    fn take_all(stepper: &mut Stepper, cx: &Context<'_>) -> u16 {
        let mut count = 0;
        while let Poll::Ready(step) = stepper.poll_step(cx) {
            let _ = step.end(Poll::Ready(()));
            count += 1;
        }
        count
    }

    #[test]
    fn a_turn_has_a_bound_and_whoever_had_no_step_in_it_has_one() {
        block_on(async {
            let mut steppers = [Stepper::default(), Stepper::default(), Stepper::default()];
            for _ in 0..3 {
                let counts = poll_fn(|cx| {
                    Poll::Ready(steppers.each_mut().map(|stepper| take_all(stepper, cx)))
                });
                assert_eq!(counts.await, [STEPS_PER_TURN, 1, 1]);
                yield_now().await;
            }
        });
    }

    #[test]
    fn an_operation_that_is_not_ready_is_no_step() {
        block_on(poll_fn(|cx| {
            let mut stepper = Stepper::default();
            for _ in 0..10 * STEPS_PER_TURN {
                let step = ready!(stepper.poll_step(cx));
                assert!(step.end(Poll::<()>::Pending).is_pending());
            }
            Poll::Ready(())
        }));
    }

    #[test]
    fn the_turn_of_a_task_that_is_spawned_begun_is_its_own() {
        block_on(async {
            let steps = |stepper: &mut Stepper| {
                take_all(stepper, &Context::from_waker(std::task::Waker::noop()))
            };
            let mut stepper = Stepper::default();
            assert_eq!(steps(&mut stepper), STEPS_PER_TURN);
            let begun = Handle::current()
                .spawn_begun(Box::pin(async move { steps(&mut Stepper::default()) }));
            assert_eq!(steps(&mut stepper), 0, "this turn is over still");
            assert_eq!(begun.await, STEPS_PER_TURN);
        });
    }
}
