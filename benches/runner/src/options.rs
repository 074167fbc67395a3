//! The command line.

use crate::{
    peers::{self, Peer},
    scenarios::{self, Scenario},
};
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: benches/compare [options]
  --peers A,B         which servers (all); the floor is what ratios are taken to
  --scenarios A,B     which scenarios (all)
  --rounds N          how often each is measured, in turns (3)
  --seconds S         how long each measurement lasts (2)
  --threads N         workers of each server (1)
  --no-syscalls       leaves out the separate runs that count system calls
  --out FOLDER        where tables and charts go (benches/results; nowhere when a choice was made)";

pub struct Options {
    /// The folder `benches`.
    pub benches: PathBuf,
    pub peers: Vec<&'static Peer>,
    pub scenarios: Vec<&'static Scenario>,
    pub rounds: usize,
    pub seconds: f64,
    pub threads: usize,
    pub counts_syscalls: bool,
    pub out: Option<PathBuf>,
}

impl Options {
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let benches = PathBuf::from(arguments.next().ok_or(USAGE)?);
        let mut options = Options {
            out: Some(benches.join("results")),
            benches,
            peers: peers::ALL.iter().collect(),
            scenarios: scenarios::ALL.iter().collect(),
            rounds: 3,
            seconds: 2.0,
            threads: 1,
            counts_syscalls: true,
        };
        let mut out = None;
        while let Some(name) = arguments.next() {
            if name == "--no-syscalls" {
                options.counts_syscalls = false;
                continue;
            }
            if matches!(name.as_str(), "-h" | "--help") {
                return Err(usage());
            }
            let value = arguments.next().ok_or_else(usage)?;
            match name.as_str() {
                "--peers" => {
                    options.peers = choose(&value, peers::ALL, |peer| peer.name)?;
                    options.out = None;
                }
                "--scenarios" => {
                    options.scenarios = choose(&value, scenarios::ALL, |scenario| scenario.name)?;
                    options.out = None;
                }
                "--rounds" => options.rounds = number(&value)?,
                "--seconds" => options.seconds = number(&value)?,
                "--threads" => options.threads = number(&value)?,
                "--out" => out = Some(PathBuf::from(value)),
                _ => return Err(format!("unknown option {name}\n{}", usage())),
            }
        }
        options.out = out.or(options.out);
        if options.rounds == 0 || options.threads == 0 || options.seconds <= 0.0 {
            return Err("rounds, seconds and threads are more than nothing".to_owned());
        }
        Ok(options)
    }

    /// The folder whose package is Snow.
    pub fn repository(&self) -> &Path {
        self.benches.parent().unwrap_or(Path::new("."))
    }

    /// Returns `path` as seen from the repository.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(self.repository()).unwrap_or(path).display()
    }
}

fn choose<T>(
    names: &str,
    all: &'static [T],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<Vec<&'static T>, String> {
    names
        .split(',')
        .map(|name| {
            all.iter()
                .find(|item| name_of(item) == name)
                .ok_or_else(|| format!("no {name} here\n{}", usage()))
        })
        .collect()
}

fn usage() -> String {
    let peers: Vec<_> = peers::ALL.iter().map(|peer| peer.name).collect();
    let scenarios: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
    format!("{USAGE}\nservers: {}\nscenarios: {}", peers.join(", "), scenarios.join(", "))
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("not a number that fits: {value}"))
}
