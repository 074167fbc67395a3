//! The load generator, run step by step: it stops at each phase so that the books can be read.

use crate::{Result, options::Options, scenarios::Scenario, server};
use serde::Deserialize;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Where a run has got to.
#[derive(Clone, Copy, PartialEq)]
pub enum Phase {
    /// No connection that will be held is open.
    Start,
    /// Warm; what counts begins now.
    Ready,
    /// All connections that will be held are.
    Held,
    /// A slice is over, its connections still open.
    Done(Outcome),
}

/// What the load generator found.
#[derive(Clone, Copy, PartialEq, Deserialize)]
pub struct Outcome {
    pub requests: u64,
    pub errors: u64,
    pub seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// How much load.
#[derive(Clone, Copy)]
pub enum Amount {
    Slices { count: usize, seconds: f64 },
    Requests(u64),
}

pub struct Load {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Whether it waits to be told to go on.
    stands: bool,
}

impl Load {
    pub fn start(
        options: &Options,
        scenario: &Scenario,
        port: u16,
        amount: Amount,
    ) -> Result<Load> {
        // The core after the servers', or the last when there is none left.
        let core = options.threads.min(server::cores() - 1).to_string();
        let mut command = Command::new("taskset");
        command
            .args(["-c", &core, "setpriv", "--pdeathsig", "TERM"])
            .arg(options.benches.join("peers/target/release/load"))
            .args(scenario.load)
            .args(["--step", "--port", &port.to_string()]);
        match amount {
            Amount::Slices { count, seconds } => {
                command.args(["--slices", &count.to_string(), "--seconds", &seconds.to_string()])
            }
            Amount::Requests(count) => command.args(["--requests", &count.to_string()]),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Load { child, input, output, stands: false })
    }

    /// Goes on to the next phase, and stands still there.
    pub fn next_phase(&mut self) -> Result<Phase> {
        if self.stands {
            writeln!(self.input)?;
        }
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        self.stands = true;
        Ok(match line.trim() {
            "start" => Phase::Start,
            "ready" => Phase::Ready,
            "held" => Phase::Held,
            "" => return Err("the load generator gave up".into()),
            json => Phase::Done(serde_json::from_str(json)?),
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
