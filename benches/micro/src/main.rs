//! What a request costs in counts: instructions by where they were written, allocations, system calls.
//!
//! Started by `benches/micro/run`, and by `.ci/budget`, with the folder `benches` as its first argument.
//! Runs the server of `examples/bench.rs` under a tracer twice, with N requests and with 3N, so that
//! what starting and stopping cost falls out of the difference; and the codec alone likewise.

mod addresses;
mod budget;
mod callgrind;
mod codec;
mod options;
mod place;
mod programs;
mod scenarios;
mod syscalls;
mod table;
mod traced;

use options::{Job, Options};
use programs::Programs;
use std::{error::Error, process::ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    harness::run("micro", Options::from_arguments, |options| run(&options))
}

fn run(options: &Options) -> Result<ExitCode> {
    let programs = Programs::build(&options.benches)?;
    match &options.job {
        Job::Table { codec, scenarios } => {
            if *codec {
                codec::print(&programs)?;
            }
            if !scenarios.is_empty() {
                table::print(&programs, scenarios)?;
            }
        }
        Job::Print => budget::print(&programs)?,
        Job::Check => return budget::check(&programs),
    }
    Ok(ExitCode::SUCCESS)
}
