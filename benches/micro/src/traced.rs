//! A server under a tracer, from its start to its end.

use crate::{Result, programs::Programs, scenarios::Scenario};
use harness::{Server, free_port};
use std::process::Command;

/// A tool that writes a report on a process when that has ended.
pub struct Tracer {
    /// The command, but for the traced program and its arguments.
    pub command: Vec<String>,
}

impl Tracer {
    /// Has the server answer `requests` requests, and end.
    pub fn run(&self, programs: &Programs, scenario: &Scenario, requests: u64) -> Result<()> {
        let port = free_port();
        // The kernel ends the server should this process die.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).args(&self.command);
        command.arg(&programs.bench).args([&port.to_string(), "1"]).env("RUST_LOG", "off");
        command.env("BENCH_FILE", &programs.file).env("BENCH_ROUTES", scenario.routes.to_string());
        let server = Server::start(&mut command, port)?;
        let output = Command::new(&programs.load)
            .args(scenario.load)
            .args(["--warm", "0", "--port", &port.to_string()])
            .args(["--requests", &requests.to_string()])
            .output()?;
        let report = String::from_utf8(output.stdout)?;
        if !report.contains(&format!("\"requests\":{requests},\"errors\":0,")) {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}{errors}", scenario.name, report.trim()).into());
        }
        Ok(server.stop()?)
    }
}

/// Why `tool` cannot be used here, if it cannot: `probe` are arguments with which it succeeds.
pub fn reason_against(tool: &str, probe: &[&str]) -> Option<String> {
    match Command::new(tool).args(probe).output() {
        Err(_) => Some(format!("{tool} is not installed")),
        Ok(output) if !output.status.success() => Some(format!("{tool} is not allowed here")),
        Ok(_) => None,
    }
}
