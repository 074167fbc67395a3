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
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    harness::raise_descriptor_limit();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
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
