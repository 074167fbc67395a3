//! Waits of less than a millisecond, which `mio` would round up (feature `fine-timers`).

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{io, os::fd::AsFd, time::Duration};

/// The resolution, and the shortest wait: deadlines closer together than this share one.
const SHORTEST: Duration = Duration::from_micros(100);

/// The resolution of `mio`, in nanoseconds.
const MILLISECOND: u32 = 1_000_000;

/// Waits for `source` if `timeout` is less than a millisecond, and not zero: returns `None` when nothing
/// has come by then, else a timeout of zero, with which to fetch what has.
///
/// Of a longer `timeout` it returns the whole milliseconds, without waiting; the fraction is left for the
/// wait after that one.
pub(super) fn wait(source: &impl AsFd, timeout: Duration) -> io::Result<Option<Duration>> {
    let fraction = Duration::from_nanos((timeout.subsec_nanos() % MILLISECOND).into());
    if fraction < timeout || timeout.is_zero() {
        return Ok(Some(timeout - fraction));
    }
    let fraction = fraction.max(SHORTEST);
    let timeout = Timespec { tv_sec: 0, tv_nsec: fraction.subsec_nanos().into() };
    match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => Ok(None),
        // The process may have been stopped when it was interrupted.
        Ok(_) | Err(Errno::INTR) => Ok(Some(Duration::ZERO)),
        Err(error) => Err(error.into()),
    }
}
