//! Mixed load with faults for a chosen time, and mutated requests; then the books are compared.
//!
//! The server is this program, started again, with few descriptors. Linux only: the books are read in
//! `/proc`.

mod books;
mod client;
mod faults;
mod mutate;
mod random;
mod served;

use std::{env, process::ExitCode};

const USAGE: &str = "usage: soak SECONDS | soak mutate COUNT [SEED]";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let number =
        |text: &str| text.parse::<u64>().map_err(|_| format!("{text}: no number; {USAGE}"));
    let outcome = match arguments[..] {
        ["serve"] => served::serve(),
        ["mutate", count] => number(count).and_then(|count| mutate::run(count, 1)),
        ["mutate", count, seed] => {
            number(count).and_then(|count| mutate::run(count, number(seed)?))
        }
        [seconds] => number(seconds).and_then(faults::run),
        _ => Err(USAGE.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
