//! The same work many times over, so that several servers can take turns quicker than a noisy
//! machine changes its mood.

use crate::{
    options::{Budget, Options},
    outcome::Outcome,
};
use std::{io, time::Duration};

/// What a server had cached for its last turn is gone: each slice begins with a little that does
/// not count.
const REWARM: Duration = Duration::from_millis(10);

/// Opens, warms up, works and reports, slice by slice.
///
/// Each slice has connections of its own: between two turns a server may close those that idle.
pub fn work<Worker>(
    options: &Options,
    mut open: impl FnMut() -> io::Result<Worker>,
    mut work: impl FnMut(&mut Worker, Budget) -> io::Result<Outcome>,
) -> io::Result<()> {
    for slice in 0..options.slices {
        let mut worker = open()?;
        let warm = if slice == 0 { options.warm } else { REWARM };
        work(&mut worker, Budget::Time(warm))?;
        options.step.reached("ready");
        options.step.report(&work(&mut worker, options.budget)?);
    }
    Ok(())
}
