//! Waits of less than a millisecond, which `mio` would round up (feature `fine-timers`).

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{io, os::fd::AsFd, time::Duration};

/// What deadlines are met to: those that are nearer to each other are met together, with one wait.
const SHORTEST: Duration = Duration::from_micros(100);

/// What `mio` counts in, in nanoseconds.
const MILLISECOND: u32 = 1_000_000;

/// Waits until `source` may have something to tell, if `timeout` is but a fraction of a millisecond, and
/// returns for how long to wait then; `None` when nothing has come.
///
/// Of what is longer it returns the whole milliseconds: the fraction is what is left after them.
pub(super) fn wait(source: &impl AsFd, timeout: Duration) -> io::Result<Option<Duration>> {
    let fraction = Duration::from_nanos((timeout.subsec_nanos() % MILLISECOND).into());
    if fraction < timeout || timeout.is_zero() {
        return Ok(Some(timeout - fraction));
    }
    let fraction = fraction.max(SHORTEST);
    let timeout = Timespec { tv_sec: 0, tv_nsec: fraction.subsec_nanos().into() };
    match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => Ok(None),
        // The process may have slept when it was interrupted.
        Ok(_) | Err(Errno::INTR) => Ok(Some(Duration::ZERO)),
        Err(error) => Err(error.into()),
    }
}
