//! The command line.

use crate::{
    peers::{self, Peer},
    scenarios::{self, Scenario},
    server::cores,
};
use harness::Arguments;
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: benches/compare [options]
  --peers A,B         which servers (all); the floor is what ratios are taken to
  --scenarios A,B     which scenarios (all)
  --rounds N          how often each is measured, in turns (3)
  --seconds S         how long each measurement lasts (2)
  --threads N,M       workers of each server, a run for each number (1, then as many as there are
                      cores; only 1 when a choice was made)
  --no-syscalls       leaves out the separate runs that count system calls
  --out FOLDER        where tables and charts go (benches/results; nowhere when a choice was made)";

#[derive(Clone)]
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
    /// Whether no server, scenario or folder was chosen: what README shows.
    pub is_everything: bool,
}

impl Options {
    /// Returns the options of each run that is asked for.
    pub fn from_arguments(words: impl Iterator<Item = String>) -> Result<Vec<Options>, String> {
        let mut arguments = Arguments::new(words, usage());
        let benches: PathBuf = arguments.value()?;
        let mut options = Options {
            out: Some(benches.join("results")),
            benches,
            peers: peers::ALL.iter().collect(),
            scenarios: scenarios::ALL.iter().collect(),
            rounds: 3,
            seconds: 2.0,
            threads: 1,
            counts_syscalls: true,
            is_everything: false,
        };
        let mut threads = None;
        let mut out = None;
        while let Some(name) = arguments.word() {
            match name.as_str() {
                "--peers" => {
                    options.peers = choose(&mut arguments, peers::ALL, |peer| peer.name)?;
                    options.out = None;
                }
                "--scenarios" => {
                    let all = scenarios::ALL;
                    options.scenarios = choose(&mut arguments, all, |scenario| scenario.name)?;
                    options.out = None;
                }
                "--rounds" => options.rounds = arguments.value()?,
                "--seconds" => options.seconds = arguments.value()?,
                "--threads" => threads = Some(thread_counts(&arguments.value::<String>()?)?),
                "--no-syscalls" => options.counts_syscalls = false,
                "--out" => out = Some(arguments.value()?),
                "-h" | "--help" => return Err(arguments.usage()),
                _ => return Err(arguments.unknown(&name)),
            }
        }
        let is_unchosen = options.out.is_some();
        options.is_everything = is_unchosen && out.is_none();
        options.out = out.or(options.out);
        if options.rounds == 0 || options.seconds <= 0.0 {
            return Err("rounds and seconds are more than nothing".to_owned());
        }
        let threads = threads.unwrap_or_else(|| default_threads(is_unchosen));
        Ok(threads.into_iter().map(|threads| Options { threads, ..options.clone() }).collect())
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

/// One worker, and all cores.
fn default_threads(is_unchosen: bool) -> Vec<usize> {
    if is_unchosen && cores() > 1 { vec![1, cores()] } else { vec![1] }
}

fn thread_counts(value: &str) -> Result<Vec<usize>, String> {
    let count = |word: &str| word.parse().ok().filter(|count| *count > 0);
    let counts: Option<_> = value.split(',').map(count).collect();
    counts.ok_or_else(|| format!("not numbers of workers: {value}"))
}

fn choose<T>(
    arguments: &mut Arguments,
    all: &'static [T],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<Vec<&'static T>, String> {
    let names: String = arguments.value()?;
    let find = |name: &str| all.iter().find(|item| name_of(item) == name);
    names.split(',').map(|name| find(name).ok_or_else(|| arguments.unknown(name))).collect()
}

fn usage() -> String {
    let peers: Vec<_> = peers::ALL.iter().map(|peer| peer.name).collect();
    let scenarios: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
    format!("{USAGE}\nservers: {}\nscenarios: {}", peers.join(", "), scenarios.join(", "))
}
