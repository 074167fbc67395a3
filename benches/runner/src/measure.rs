//! The turns in which everything is measured.
//!
//! A round starts every server afresh. Where nothing is held, all of them run at once and are given
//! work in turns of a tenth of a second, so that a ratio compares neighbours in time; a server that
//! has no work costs the others nothing. Where ten thousand connections are held, one server runs
//! at a time, and all of them several times a round.

use crate::{
    check::Checked,
    load::Amount,
    options::Options,
    peers::Peer,
    run::{Run, Sample},
    scenarios::{Holds, Scenario},
    server::Program,
    syscalls::{self, Calls},
};

const SLICE_SECONDS: f64 = 0.1;

/// How often each server that holds connections is started in a round: two such runs of one server, seconds
/// apart, differ by a tenth and sometimes by a third, so that of few a ratio says nothing.
const STARTS_PER_ROUND: usize = 5;

/// All samples of one server in one scenario: the same number, in the same order, for each server.
pub struct Series<'a> {
    program: &'a Program,
    pub samples: Vec<Sample>,
    pub syscalls: Option<Calls>,
    /// Why it could not be measured to the end.
    failure: Option<String>,
}

/// What came of one scenario.
pub struct Table<'a> {
    pub scenario: &'static Scenario,
    pub series: Vec<Series<'a>>,
    /// Who was not measured, and why.
    pub skipped: Vec<(&'static str, String)>,
}

pub fn all<'a>(options: &Options, checked: &'a Checked) -> Vec<Table<'a>> {
    let scenarios = options.scenarios.iter();
    scenarios.map(|scenario| measure_scenario(options, scenario, checked)).collect()
}

fn measure_scenario<'a>(
    options: &Options,
    scenario: &'static Scenario,
    checked: &'a Checked,
) -> Table<'a> {
    let mut table = Table {
        scenario,
        series: checked.able_to(scenario).map(Series::new).collect(),
        skipped: checked.skipped_in(scenario),
    };
    for round in 1..=options.rounds {
        eprintln!("{}, round {round} of {}", scenario.name, options.rounds);
        match scenario.holds {
            Holds::Nothing => table.take_turns(options),
            Holds::Connections(_) => table.measure_one_by_one(options),
        }
    }
    table.set_failures_aside();
    if options.counts_syscalls {
        eprintln!("{}, system calls", scenario.name);
        for series in &mut table.series {
            series.syscalls = syscalls::per_request(options, scenario, series.program);
        }
    }
    table
}

impl Table<'_> {
    fn take_turns(&mut self, options: &Options) {
        let count = (options.seconds / SLICE_SECONDS).round().max(1.0);
        let seconds = options.seconds / count;
        let count = count as usize;
        let mut runs = Vec::new();
        for series in self.series.iter_mut().filter(|series| series.failure.is_none()) {
            let amount = Amount::Slices { count, seconds };
            match Run::start(options, self.scenario, series.program, amount) {
                Ok(run) => runs.push((series, run)),
                Err(error) => series.failure = Some(error.to_string()),
            }
        }
        for _ in 0..count {
            for (series, run) in &mut runs {
                series.record(|| run.slice());
            }
        }
    }

    fn measure_one_by_one(&mut self, options: &Options) {
        let amount = Amount::Slices { count: 1, seconds: options.seconds };
        for _ in 0..STARTS_PER_ROUND {
            for series in &mut self.series {
                let program = series.program;
                series.record(|| Run::start(options, self.scenario, program, amount)?.slice());
            }
        }
    }

    fn set_failures_aside(&mut self) {
        let skipped = &mut self.skipped;
        self.series.retain_mut(|series| match series.failure.take() {
            None => true,
            Some(reason) => {
                skipped.push((series.peer().name, reason));
                false
            }
        });
    }
}

impl<'a> Series<'a> {
    fn new(program: &'a Program) -> Series<'a> {
        Series { program, samples: Vec::new(), syscalls: None, failure: None }
    }

    pub fn peer(&self) -> &'static Peer {
        self.program.peer
    }

    /// Adds one more sample, unless one is missing already.
    fn record(&mut self, sample: impl FnOnce() -> crate::Result<Sample>) {
        if self.failure.is_none() {
            match sample() {
                Ok(sample) => self.samples.push(sample),
                Err(error) => self.failure = Some(error.to_string()),
            }
        }
    }
}
