//! A load generator cheaper than its servers: one thread, precomputed requests, counted responses.
//!
//! The first response to a run is read whole; from then on its length is known, and every further
//! response is checked by its status line and by being exactly as long. Prints a line of JSON.
//! `load --help` lists the modes.

mod answer;
mod fresh;
mod hold;
mod latency;
mod options;
mod outcome;
mod rate;
mod request;
mod slices;
mod socket;
mod step;

use options::{Mode, Options};
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    harness::run("load", Options::from_arguments, |options| {
        harness::raise_descriptor_limit();
        run(&options)
    })
}

fn run(options: &Options) -> io::Result<()> {
    match options.mode {
        Mode::Rate => rate::run(options),
        Mode::Fresh => fresh::run(options),
        Mode::Idle => hold::idle(options),
        Mode::Parked => hold::parked(options),
        Mode::Release => hold::release(options),
    }
}
