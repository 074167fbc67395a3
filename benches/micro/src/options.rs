//! The command line.

use crate::scenarios::{self, Scenario};
use harness::Arguments;
use std::path::PathBuf;

const USAGE: &str =
    "usage: benches/micro/run [scenario…]   a table of instructions per request (all)
       .ci/budget                    checks every count against its bound in benches/budget
       .ci/budget --print            prints what is measured as such a file";

pub struct Options {
    /// The folder `benches`.
    pub benches: PathBuf,
    pub job: Job,
}

pub enum Job {
    Table(Vec<&'static Scenario>),
    Check,
    Print,
}

impl Options {
    pub fn from_arguments(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let names: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
        let usage = format!("{USAGE}\nscenarios: {}", names.join(", "));
        let mut arguments = Arguments::new(words, usage);
        let benches = arguments.value()?;
        let mut chosen = Vec::new();
        let mut job = None;
        while let Some(word) = arguments.word() {
            match word.as_str() {
                "--budget" => job = Some(Job::Check),
                "--print" => job = Some(Job::Print),
                "-h" | "--help" => return Err(arguments.usage()),
                name => {
                    chosen.push(scenarios::find(name).ok_or_else(|| arguments.unknown(name))?);
                }
            }
        }
        if chosen.is_empty() {
            chosen.extend(scenarios::ALL);
        }
        Ok(Options { benches, job: job.unwrap_or(Job::Table(chosen)) })
    }
}
