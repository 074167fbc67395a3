//! Waits of less than a millisecond, which `mio` would round up (feature `fine-timers`).

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{io, os::fd::AsFd, time::Duration};

/// What deadlines are met to: those that are nearer to each other are met together, with one wait.
const SHORTEST: Duration = Duration::from_micros(100);

/// Waits until `source` has something to tell, for `fraction` of a second at the most, and returns whether
/// it may have.
pub(super) fn wait(source: &impl AsFd, fraction: Duration) -> io::Result<bool> {
    let fraction = fraction.max(SHORTEST);
    let timeout = Timespec { tv_sec: 0, tv_nsec: fraction.subsec_nanos().into() };
    match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        // The process may have slept: look.
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
