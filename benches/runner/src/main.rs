//! Runs Snow and its peers interleaved, scenario by scenario, and says what a request costs each.
//!
//! Started by `benches/compare` with the folder `benches` as its first argument. Builds the chosen
//! servers, checks their answers, measures them in turns (A B C A B C), and writes tables and
//! charts.

mod accounting;
mod chart;
mod check;
mod compile;
mod http;
mod load;
mod machine;
mod measure;
mod nginx;
mod options;
mod peers;
mod report;
mod run;
mod scenarios;
mod server;
mod statistics;
mod summary;
mod syscalls;

use options::Options;
use std::{error::Error, process::ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    harness::run("compare", Options::from_arguments, |runs| {
        harness::raise_descriptor_limit();
        runs.iter().try_for_each(run)
    })
}

fn run(options: &Options) -> Result<()> {
    let ready = compile::all(options)?;
    let checked = check::all(options, ready)?;
    let tables = measure::all(options, &checked);
    report::print(options, &tables, &checked);
    if let Some(folder) = &options.out {
        report::write(options, &tables, &checked, folder)?;
        println!("written to {}", options.shown(folder));
    }
    Ok(())
}
