//! System calls per request, counted in a short run from which nothing else is taken.

use crate::{
    Result,
    accounting::family,
    load::{Amount, Load, Phase},
    options::Options,
    scenarios::Scenario,
    server::Program,
};
use harness::strace;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const REQUESTS: u64 = 8_000;
/// How long a counter may take to attach to all threads.
const ATTACH: Duration = Duration::from_millis(400);

/// Returns system calls per request, or nothing where they cannot be counted.
pub fn per_request(options: &Options, scenario: &Scenario, program: &Program) -> Option<f64> {
    [Counter::Perf, Counter::Strace]
        .into_iter()
        .find_map(|counter| count(options, scenario, program, counter).ok())
}

#[derive(Clone, Copy)]
enum Counter {
    /// Counts in the kernel: the server runs as fast as ever.
    Perf,
    /// Stops the server at each call, so that it finds more to do at each turn of its loop.
    Strace,
}

fn count(
    options: &Options,
    scenario: &Scenario,
    program: &Program,
    counter: Counter,
) -> Result<f64> {
    let server = program.start(options.threads)?;
    let mut load = Load::start(options, scenario, server.port(), Amount::Requests(REQUESTS))?;
    let mut attached = None;
    let outcome = loop {
        match load.next_phase()? {
            Phase::Done(outcome) => break outcome,
            phase if phase == scenario.cpu_from => attached = Some(counter.attach(server.pid())?),
            Phase::Start | Phase::Ready | Phase::Held => {}
        }
    };
    let calls = counter.detach(attached.ok_or("the load generator left out a phase")?)?;
    Ok(calls / outcome.requests as f64)
}

impl Counter {
    fn attach(self, pid: u32) -> Result<Child> {
        let pids: Vec<_> = family(pid).iter().map(u32::to_string).collect();
        let mut command = match self {
            Counter::Perf => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p"]);
                perf.arg(pids.join(","));
                perf
            }
            Counter::Strace => {
                let mut strace = Command::new("strace");
                strace.args(["-c", "-f", "-q"]);
                pids.iter().for_each(|pid| {
                    strace.args(["-p", pid]);
                });
                strace
            }
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        thread::sleep(ATTACH);
        Ok(child)
    }

    fn detach(self, child: Child) -> Result<f64> {
        let pid = Pid::from_raw(child.id() as i32).ok_or("no process")?;
        kill_process(pid, Signal::INT)?;
        let report = String::from_utf8(child.wait_with_output()?.stderr)?;
        let calls = match self {
            Counter::Perf => calls_in_perf(&report),
            Counter::Strace => strace::total_calls(&report).map(|calls| calls as f64),
        };
        calls.ok_or_else(|| "no count in the report".into())
    }
}

/// The first field of the one line that names the event.
fn calls_in_perf(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_a_report_of_perf() {
        let perf = "\n4711,,raw_syscalls:sys_enter,1000,100.00,,\n";
        assert_eq!(calls_in_perf(perf), Some(4711.0));
    }
}
