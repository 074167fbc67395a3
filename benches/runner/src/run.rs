//! One server under one load, measured slice by slice.

use crate::{
    Result,
    accounting::{Snapshot, memory_bytes},
    load::{Amount, Load, Outcome, Phase},
    options::Options,
    scenarios::{Holds, Scenario},
    server::Program,
};
use harness::Server;

/// A server that waited for its core more than this share of a slice shared it with somebody, and
/// its figures are doubtful; or it has more threads than cores.
const DISTURBED: f64 = 0.10;

/// What one slice showed.
pub struct Sample {
    pub cpu_ns: f64,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub bytes_per_conn: Option<f64>,
    pub is_disturbed: bool,
}

pub struct Run {
    scenario: &'static Scenario,
    /// Before the server, so that it is dropped first and the server sees its clients go.
    load: Load,
    server: Server,
    /// Before any connection that is held was opened.
    memory_at_start: u64,
    bytes_per_conn: Option<f64>,
}

impl Run {
    pub fn start(
        options: &Options,
        scenario: &'static Scenario,
        program: &Program,
        amount: Amount,
    ) -> Result<Run> {
        let server = program.start(options.threads, scenario.routes)?;
        let load = Load::start(options, scenario, server.port(), amount)?;
        Ok(Run { scenario, load, server, memory_at_start: 0, bytes_per_conn: None })
    }

    /// Lets the load work for one slice.
    pub fn slice(&mut self) -> Result<Sample> {
        let mut from = None;
        loop {
            let phase = self.load.next_phase()?;
            if let Phase::Done(outcome) = phase {
                let done = Snapshot::take(self.server.pid())?;
                let from = from.ok_or("the load generator left out a phase")?;
                return self.sample(outcome, &from, &done);
            }
            self.look_at_memory(phase)?;
            if phase == self.scenario.cpu_from {
                from = Some(Snapshot::take(self.server.pid())?);
            }
        }
    }

    fn look_at_memory(&mut self, phase: Phase) -> Result<()> {
        let Holds::Connections(count) = self.scenario.holds else { return Ok(()) };
        match phase {
            Phase::Start => self.memory_at_start = memory_bytes(self.server.pid())?,
            Phase::Held => {
                let held = memory_bytes(self.server.pid())? as f64;
                self.bytes_per_conn = Some((held - self.memory_at_start as f64) / count as f64);
            }
            Phase::Ready | Phase::Done(_) => {}
        }
        Ok(())
    }

    fn sample(&self, outcome: Outcome, from: &Snapshot, done: &Snapshot) -> Result<Sample> {
        if outcome.errors > 0 || outcome.requests == 0 {
            let Outcome { requests, errors, .. } = outcome;
            return Err(format!("{requests} requests answered, {errors} not").into());
        }
        let requests = outcome.requests as f64;
        let waited_seconds = done.waited_since(from) as f64 / 1e9;
        Ok(Sample {
            cpu_ns: done.run_since(from) as f64 / requests,
            per_second: requests / outcome.seconds,
            p50_us: outcome.p50_us,
            p99_us: outcome.p99_us,
            bytes_per_conn: self.bytes_per_conn,
            is_disturbed: waited_seconds > DISTURBED * outcome.seconds,
        })
    }
}
