//! Before anything is measured: does each server answer right, and what does it leave out?

use crate::{
    Result,
    compile::Ready,
    http::{Answer, Client},
    options::Options,
    peers::Peer,
    scenarios::{Check, Scenario},
    server::Program,
};
use harness::Server;
use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

const ECHO_BYTES: usize = 16 * 1024;
const BIG_BYTES: usize = 1 << 20;
const NAP: Duration = Duration::from_millis(50);

pub struct Checked {
    programs: Vec<Program>,
    skipped: Vec<Skip>,
    /// What is to be said beside each server's figures.
    pub notes: Vec<(&'static Peer, String)>,
}

struct Skip {
    scenario: &'static str,
    peer: &'static str,
    reason: String,
}

/// Whether a server has what was asked for.
enum Verdict {
    Able,
    /// It says that it does not, by any status but 200.
    Lacks(u16),
}

/// Asks every server for every scenario's answer.
///
/// # Errors
///
/// Fails when an answer is wrong: a figure for a wrong answer is worse than none.
pub fn all(options: &Options, ready: Ready) -> Result<Checked> {
    let mut checked = Checked { programs: Vec::new(), skipped: Vec::new(), notes: Vec::new() };
    for (peer, reason) in ready.absent {
        checked.notes.push((peer, format!("left out: {reason}")));
    }
    for program in ready.programs {
        let name = program.peer.name;
        checked.ask(options, program).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(checked)
}

impl Checked {
    fn ask(&mut self, options: &Options, program: Program) -> Result<()> {
        let peer = program.peer;
        let counts: BTreeSet<_> =
            options.scenarios.iter().map(|scenario| scenario.routes).collect();
        let mut note = peer.note.to_owned();
        for routes in counts {
            let server = program.start(options.threads, routes)?;
            for scenario in options.scenarios.iter().filter(|scenario| scenario.routes == routes) {
                let verdict = check(scenario.check, &program, &server)
                    .map_err(|error| format!("{}: {error}", scenario.name))?;
                if let Verdict::Lacks(status) = verdict {
                    let reason = format!("answers {status}");
                    self.skipped.push(Skip { scenario: scenario.name, peer: peer.name, reason });
                }
            }
            let habits = habits(&server, routes)?;
            // Whatever is the number of its routes, but it is found out with each.
            if !note.ends_with(&habits) {
                note.push_str(&habits);
            }
        }
        self.notes.push((peer, note));
        self.programs.push(program);
        Ok(())
    }

    pub fn able_to(&self, scenario: &Scenario) -> impl Iterator<Item = &Program> {
        self.programs.iter().filter(|program| {
            let mut skips = self.skipped.iter();
            !skips.any(|skip| skip.scenario == scenario.name && skip.peer == program.peer.name)
        })
    }

    pub fn skipped_in(&self, scenario: &Scenario) -> Vec<(&'static str, String)> {
        let skips = self.skipped.iter().filter(|skip| skip.scenario == scenario.name);
        skips.map(|skip| (skip.peer, skip.reason.clone())).collect()
    }
}

fn check(check: Check, program: &Program, server: &Server) -> Result<Verdict> {
    let mut client = Client::connect(server.port())?;
    match check {
        Check::Text { path, body } => {
            let answer = client.ask("GET", path, b"")?;
            judge(&answer, answer.body == body.as_bytes() && has_type(&answer, "text/plain"))
        }
        Check::Json => {
            let answer = client.ask("GET", "/json", b"")?;
            let is_right = answer.body == br#"{"message":"Hello, World!"}"#;
            judge(&answer, is_right && has_type(&answer, "application/json"))
        }
        Check::Echo => {
            let body: Vec<u8> = (0..ECHO_BYTES).map(|n| (n % 251) as u8).collect();
            let answer = client.ask("POST", "/echo", &body)?;
            judge(&answer, answer.body == body)
        }
        Check::Big => {
            let answer = client.ask("GET", "/big", b"")?;
            judge(&answer, answer.body.len() == BIG_BYTES)
        }
        Check::File => {
            let answer = client.ask("GET", "/file", b"")?;
            judge(&answer, answer.body == fs::read(&program.file)?)
        }
        Check::Sleep => {
            let asked = Instant::now();
            let answer = client.ask("GET", &format!("/sleep/{}", NAP.as_millis()), b"")?;
            judge(&answer, answer.body == b"done" && asked.elapsed() >= NAP)
        }
        Check::Park => {
            let mut other = Client::connect(server.port())?;
            client.send("GET", "/park", "", b"")?;
            thread::sleep(NAP);
            let released = other.ask("POST", "/release", b"")?;
            let answer = client.answer()?;
            judge(&answer, released.status == 200 && answer.body == b"done")
        }
    }
}

fn judge(answer: &Answer, is_right: bool) -> Result<Verdict> {
    match answer.status {
        200 if is_right => Ok(Verdict::Able),
        200 => Err("a wrong answer".into()),
        status => Ok(Verdict::Lacks(status)),
    }
}

fn has_type(answer: &Answer, wanted: &str) -> bool {
    answer.header("content-type").is_some_and(|value| value.starts_with(wanted))
}

/// Returns what a stranger can find missing in a server that was to have so many routes.
fn habits(server: &Server, routes: usize) -> Result<String> {
    let mut missing = String::new();
    let has_route = |number: usize| -> Result<bool> {
        let answer = Client::connect(server.port())?.ask("GET", &format!("/r{number}/7"), b"")?;
        Ok(matches!(judge(&answer, answer.body == b"7")?, Verdict::Able))
    };
    match [0, routes - 1, routes].map(has_route) {
        [Ok(true), Ok(true), Ok(false)] => {}
        [Ok(false), Ok(false), Ok(false)] => missing.push_str("; has none of the other routes"),
        found => return Err(format!("it was to have {routes} other routes: {found:?}").into()),
    }
    let mut client = Client::connect(server.port())?;
    client.send("GET", "/plaintext", "Connection: close\r\n", b"")?;
    let answer = client.answer()?;
    if answer.header("date").is_none() {
        missing.push_str("; sends no Date");
    }
    if !client.is_closed()? {
        missing.push_str("; ignores Connection: close");
    }
    Ok(missing)
}
