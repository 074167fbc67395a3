//! The command line.

use crate::scenarios::{self, Scenario};
use harness::Arguments;
use std::path::PathBuf;

const USAGE: &str =
    "usage: benches/micro/run [scenario…]   tables of instructions per request (all)
       benches/micro/run codec       of what parsing, encoding and routing cost by themselves
       .ci/budget                    checks every count against its bound in benches/budget
       .ci/budget --print            prints what is measured as such a file";

pub struct Options {
    /// The folder `benches`.
    pub benches: PathBuf,
    pub job: Job,
}

pub enum Job {
    Table {
        /// Whether the codec alone is measured, too.
        codec: bool,
        scenarios: Vec<&'static Scenario>,
    },
    Check,
    Print,
}

impl Options {
    pub fn from_arguments(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let names: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
        let usage = format!("{USAGE}\nscenarios: {}", names.join(", "));
        let mut arguments = Arguments::new(words, usage);
        let benches = arguments.value()?;
        let mut scenarios = Vec::new();
        let mut codec = false;
        let mut job = None;
        while let Some(word) = arguments.word() {
            match word.as_str() {
                "--budget" => job = Some(Job::Check),
                "--print" => job = Some(Job::Print),
                "-h" | "--help" => return Err(arguments.usage()),
                "codec" => codec = true,
                name => {
                    scenarios.push(scenarios::find(name).ok_or_else(|| arguments.unknown(name))?);
                }
            }
        }
        if scenarios.is_empty() && !codec {
            scenarios.extend(scenarios::ALL);
            codec = true;
        }
        Ok(Options { benches, job: job.unwrap_or(Job::Table { codec, scenarios }) })
    }
}
