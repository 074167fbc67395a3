//! System calls per request, counted in a short run from which nothing else is taken.
//!
//! Those that wait, and accepts that find nobody, are counted by themselves too: a server that always has work
//! makes them once for many requests, and one that is quicker than its load once for each.

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

/// What connections are accepted with.
const ACCEPTS: [&str; 2] = ["accept", "accept4"];

/// System calls, of a run or per request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Calls {
    pub all: f64,
    /// Those of them that wait, or accept nobody.
    pub waits: f64,
}

/// Returns system calls per request, or nothing where they cannot be counted.
pub fn per_request(options: &Options, scenario: &Scenario, program: &Program) -> Option<Calls> {
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
) -> Result<Calls> {
    let server = program.start(options.threads, scenario.routes)?;
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
    let requests = outcome.requests as f64;
    Ok(Calls { all: calls.all / requests, waits: calls.waits / requests })
}

impl Counter {
    fn attach(self, pid: u32) -> Result<Child> {
        let pids: Vec<_> = family(pid).iter().map(u32::to_string).collect();
        let mut command = match self {
            Counter::Perf => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter"]);
                for wait in strace::WAITS {
                    perf.args(["-e", &format!("{ENTERED}{wait}")]);
                }
                for accept in ACCEPTS {
                    let found_nobody = ["--filter", "ret == -11"]; // EAGAIN
                    perf.args(["-e", &format!("{RETURNED}{accept}")]).args(found_nobody);
                }
                perf.args(["-p", &pids.join(",")]);
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

    fn detach(self, child: Child) -> Result<Calls> {
        let pid = Pid::from_raw(child.id() as i32).ok_or("no process")?;
        kill_process(pid, Signal::INT)?;
        let report = String::from_utf8(child.wait_with_output()?.stderr)?;
        let calls = match self {
            Counter::Perf => calls_in_perf(&report),
            Counter::Strace => calls_in_strace(&report),
        };
        calls.ok_or_else(|| "no count in the report".into())
    }
}

/// What perf calls the event that a system call is entered, and that it returns.
const ENTERED: &str = "syscalls:sys_enter_";
const RETURNED: &str = "syscalls:sys_exit_";

/// Reads lines of a count, nothing, and the event's name.
fn calls_in_perf(report: &str) -> Option<Calls> {
    let mut all = None;
    let mut waits = 0.0;
    for line in report.lines() {
        let mut fields = line.split(',');
        let (Some(count), Some(event)) = (fields.next(), fields.nth(1)) else { continue };
        if event == "raw_syscalls:sys_enter" {
            all = Some(count.parse().ok()?);
        } else if event.starts_with(ENTERED) || event.starts_with(RETURNED) {
            waits += count.parse::<f64>().ok()?;
        }
    }
    Some(Calls { all: all?, waits })
}

fn calls_in_strace(report: &str) -> Option<Calls> {
    let all = strace::total_calls(report)? as f64;
    // Whoever has gone by then counts as nobody, too.
    let accepts = ACCEPTS.iter().map(|name| strace::errors_of(report, name)).sum::<u64>();
    Some(Calls { all, waits: (strace::waits(report) + accepts) as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_a_report_of_perf() {
        let perf = "\n4711,,raw_syscalls:sys_enter,1000,100.00,,\n\
            40,,syscalls:sys_enter_epoll_wait,1000,100.00,,\n\
            2,,syscalls:sys_exit_accept4,1000,100.00,,\n";
        assert_eq!(calls_in_perf(perf), Some(Calls { all: 4711.0, waits: 42.0 }));
        assert_eq!(calls_in_perf("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
    }

    #[test]
    fn the_count_is_found_in_a_report_of_strace() {
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
            60.12    0.256626          79      4162         3 accept4\n\
            39.88    0.156000          79      1000           epoll_wait\n\
            100.00    0.412626          79      5162         3 total\n";
        assert_eq!(calls_in_strace(strace), Some(Calls { all: 5162.0, waits: 1003.0 }));
    }
}
