//! System calls per request, by `strace`, but for the loop's waits: how many connections a wait finds
//! ready is the machine's affair. That waits are shared shows in the instructions.

use crate::{Result, programs::Programs, scenarios::Scenario, traced::Tracer};
use harness::strace;
use std::fs;

/// Returns the calls that each further request makes.
pub fn per_request(programs: &Programs, scenario: &Scenario) -> Result<f64> {
    let few = count(programs, scenario, scenario.requests)?;
    let many = count(programs, scenario, 3 * scenario.requests)?;
    Ok((many as f64 - few as f64) / (2 * scenario.requests) as f64)
}

fn count(programs: &Programs, scenario: &Scenario, requests: u64) -> Result<u64> {
    let path = programs.reports.join("strace");
    let words = ["strace", "-c", "-f", "-o"].map(str::to_owned).into_iter();
    let command = words.chain([path.to_string_lossy().into_owned()]).collect();
    Tracer { command }.run(programs, scenario, requests)?;
    let report = fs::read_to_string(path)?;
    let total = strace::total_calls(&report).ok_or("strace counted nothing")?;
    Ok(total - strace::waits(&report))
}
