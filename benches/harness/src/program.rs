//! How a program begins and ends.

use std::{
    env::{self, Args},
    fmt::Display,
    iter::Skip,
    process::{ExitCode, Termination},
};

/// Runs `work` with the options that `parse` makes of the command line, and returns how the program
/// ends: with 2 and a message when that cannot be understood, with 1 and an error when the work fails.
pub fn run<O, T: Termination, E: Display>(
    name: &str,
    parse: impl FnOnce(Skip<Args>) -> Result<O, String>,
    work: impl FnOnce(O) -> Result<T, E>,
) -> ExitCode {
    let options = match parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match work(options) {
        Ok(done) => done.report(),
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
