//! The loop: readiness, time and tasks. It has never heard of bytes.
//!
//! One thread runs one loop. A tick waits for readiness until the nearest deadline, turns
//! events into woken tasks, fires what is due, and polls woken tasks until none is left or the
//! tick's budget is spent. Nothing is scanned: ten thousand parked tasks cost nothing until one of
//! them is woken.

mod blocking;
mod event_loop;
#[cfg(all(feature = "fine-timers", target_os = "linux"))]
mod fraction;
mod race;
mod reactor;
mod signals;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod timer;
mod timers;
mod turn;
mod worker;

pub use blocking::{Unblock, unblock};
pub use race::race;
pub use task::Task;
pub(crate) use task::{Contained, panic_message};
pub use timer::{Elapsed, Sleep, Timeout, sleep, timeout};

pub use event_loop::{Counts, block_on, counts, spawn, yield_now};

pub(crate) use event_loop::{EventLoop, Handle, spawn_unpin};
pub(crate) use reactor::{Direction, Hangup, Source};
pub(crate) use signals::Signals;
pub(crate) use timer::{Clock, Deadline, Time};
pub(crate) use turn::Stepper;
pub(crate) use worker::{StopSignal, Stopping, run_workers};
