//! A bar on the terminal, for who sits there.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often the bar is drawn at most.
const REDRAW: Duration = Duration::from_millis(100);

const WIDTH: u64 = 40;

/// A bar that grows, if standard error is a terminal.
pub(crate) struct Progress {
    is_shown: bool,
    started: Instant,
    drawn: Option<Instant>,
    /// How much was there when it was first looked at.
    first: Option<u64>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        let is_shown = io::stderr().is_terminal();
        Progress { is_shown, started: Instant::now(), drawn: None, first: None }
    }

    /// Shows how much there is.
    pub(crate) fn show(&mut self, done: u64, size: u64) {
        let now = Instant::now();
        let is_due = self.drawn.is_none_or(|drawn| now - drawn >= REDRAW) || done == size;
        let first = *self.first.get_or_insert(done);
        if !self.is_shown || !is_due {
            return;
        }
        self.drawn = Some(now);
        let full = (done as u128 * WIDTH as u128 / size.max(1) as u128) as usize;
        let rate = (done - first) as f64 / (now - self.started).as_secs_f64() / 1e6;
        let (bar, percent) = ("#".repeat(full), done as u128 * 100 / size.max(1) as u128);
        // A terminal that has gone stops no transfer.
        let _ = write!(io::stderr(), "\r[{bar:<40}] {percent:3} %  {rate:.1} MB/s  ");
    }
}

impl Drop for Progress {
    /// Leaves the line of the bar to what is said next.
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = writeln!(io::stderr());
        }
    }
}
