//! The bounds that a change may not go beyond without saying so: one file, `benches/budget`.

use crate::{
    Result, callgrind, codec,
    programs::Programs,
    scenarios::{
        ECHO, FILE, FRESH, JSON, PIPELINED, PLAINTEXT, ROUTES, ROUTES_1000, Scenario, VARIED,
        WAITING,
    },
    syscalls,
    traced::reason_against,
};
use std::{
    collections::BTreeMap,
    fs,
    process::{Command, ExitCode},
};

/// What a bound leaves room for.
#[derive(Clone, Copy)]
enum Margin {
    /// Per cent, in whole numbers.
    Percent(u32),
    /// Up to the next hundredth, in which what happens once a second is lost.
    Hundredth,
    /// Up to the next half: whether a request is there when its connection is accepted, or has to be
    /// waited for, is the machine's affair; so is how many timers lie together.
    Half,
    /// Not the measure's to say: the bound is a promise, and stays.
    Promise,
}

/// One count.
struct Figure {
    name: String,
    margin: Margin,
    value: Measured,
}

/// What was measured, or why it could not be.
type Measured = std::result::Result<f64, String>;

const HEADER: &str = "\
# Bounds in counts that do not depend on the machine, each with what was measured when it was set.
# `.ci/budget` checks them; `.ci/budget --print` prints this file as it would be set now: instructions
# with 2 % to spare, bytes with 3 %, other counts up to the next hundredth, crates as promised here;
# where something has to be waited for, instructions with 5 % and counts up to the next half.
";

/// What came of a comparison.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Verdict {
    Within,
    Beyond,
    /// Not measured, so neither.
    Skipped,
}

/// Measures everything and compares it with the bounds.
pub fn check(programs: &Programs) -> Result<ExitCode> {
    let mut bounds = parse(&fs::read_to_string(programs.benches.join("budget"))?)?;
    let mut verdicts = Vec::new();
    for figure in measure(programs)? {
        let name = &figure.name;
        let bound = bounds.remove(name).ok_or_else(|| format!("{name} has no bound"))?;
        let (verdict, text) = figure.compare(bound);
        println!("{:<8} {name:<24} {text}", format!("{verdict:?}").to_lowercase());
        verdicts.push(verdict);
    }
    if let Some(name) = bounds.keys().next() {
        return Err(format!("nothing measures {name}").into());
    }
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    let (within, beyond) = (count(Verdict::Within), count(Verdict::Beyond));
    let skipped = count(Verdict::Skipped);
    println!("budget: {within} within their bounds, {beyond} beyond, {skipped} skipped");
    Ok(if beyond > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints a file of bounds, as tight as the margins allow.
pub fn print(programs: &Programs) -> Result<()> {
    let present = parse(&fs::read_to_string(programs.benches.join("budget"))?)?;
    println!("{HEADER}");
    for figure in measure(programs)? {
        let name = &figure.name;
        match &figure.value {
            Ok(value) => {
                let bound = figure.bound(*value, present.get(name));
                println!("{name:<24} {bound:<8} # {}", figure.shown(*value));
            }
            Err(reason) => {
                let bound = present.get(name).ok_or_else(|| format!("{name}: {reason}"))?;
                println!("{name:<24} {bound:<8} # as it was: {reason}");
            }
        }
    }
    Ok(())
}

impl Figure {
    fn new(name: impl Into<String>, margin: Margin, value: Measured) -> Figure {
        Figure { name: name.into(), margin, value }
    }

    fn compare(&self, bound: f64) -> (Verdict, String) {
        match &self.value {
            Ok(value) => {
                let verdict = if *value <= bound { Verdict::Within } else { Verdict::Beyond };
                (verdict, format!("{} of {bound}", self.shown(*value)))
            }
            Err(reason) => (Verdict::Skipped, reason.clone()),
        }
    }

    /// Returns the bound that what is measured now asks for.
    fn bound(&self, value: f64, present: Option<&f64>) -> String {
        match self.margin {
            Margin::Percent(percent) => {
                format!("{:.0}", (value * (1.0 + f64::from(percent) / 100.0)).floor())
            }
            // A twentieth of a hundredth on either side of it is the same count.
            Margin::Hundredth => format!("{:.2}", ((value * 100.0 + 0.05).floor() + 1.0) / 100.0),
            Margin::Half => format!("{:.1}", ((value + 0.25) * 2.0).ceil() / 2.0),
            Margin::Promise => present.unwrap_or(&value).to_string(),
        }
    }

    fn shown(&self, value: f64) -> String {
        match self.margin {
            Margin::Percent(_) | Margin::Promise => format!("{value:.0}"),
            // Less than nothing, by a hair, is nothing.
            Margin::Hundredth | Margin::Half => format!("{:.4}", value.max(0.0)),
        }
    }
}

/// Reads lines of a name and a number; `#` begins a comment.
fn parse(text: &str) -> Result<BTreeMap<String, f64>> {
    let mut bounds = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some(name), Some(bound), None) => {
                if bounds.insert(name.to_owned(), bound.parse()?).is_some() {
                    return Err(format!("{name} has two bounds").into());
                }
            }
            _ => return Err(format!("not a name and a bound: {line}").into()),
        }
    }
    Ok(bounds)
}

fn measure(programs: &Programs) -> Result<Vec<Figure>> {
    let default = Ok(crates(programs, &[])?);
    let all = Ok(crates(programs, &["--all-features"])?);
    let mut figures = vec![
        Figure::new("crates.default", Margin::Promise, default),
        Figure::new("crates.all-features", Margin::Promise, all),
        Figure::new("bytes.hello", Margin::Percent(3), hello_bytes(programs)?),
    ];
    for scenario in [&PLAINTEXT, &PIPELINED, &JSON, &VARIED, &ROUTES, &ROUTES_1000] {
        figures.extend(callgrind_figures(
            programs,
            scenario,
            [Margin::Percent(2), Margin::Hundredth],
        )?);
    }
    figures.extend(callgrind_figures(programs, &WAITING, [Margin::Percent(5), Margin::Hundredth])?);
    figures.extend(codec_figures(programs)?);
    figures.push(system_calls(programs, &PLAINTEXT, Margin::Hundredth)?);
    figures.push(system_calls(programs, &PIPELINED, Margin::Hundredth)?);
    figures.push(system_calls(programs, &ECHO, Margin::Half)?);
    // How much the kernel takes at once is the machine's affair; without `sendfile` they are hundreds.
    figures.push(system_calls(programs, &FILE, Margin::Promise)?);
    figures.push(system_calls(programs, &FRESH, Margin::Half)?);
    Ok(figures)
}

fn callgrind_figures(
    programs: &Programs,
    scenario: &Scenario,
    margins: [Margin; 2],
) -> Result<[Figure; 2]> {
    let (instructions, allocations) = match reason_against("valgrind", &["--version"]) {
        Some(reason) => (Err(reason.clone()), Err(reason)),
        None => {
            let cost = callgrind::per_request(programs, scenario)?;
            (Ok(cost.instructions), Ok(cost.allocations))
        }
    };
    let name = scenario.name;
    Ok([
        Figure::new(format!("instructions.{name}"), margins[0], instructions),
        Figure::new(format!("allocations.{name}"), margins[1], allocations),
    ])
}

fn codec_figures(programs: &Programs) -> Result<Vec<Figure>> {
    let costs = codec::costs(programs)?.into_iter();
    Ok(costs
        .map(|(case, cost)| {
            let instructions = cost.map(|cost| cost.instructions);
            Figure::new(format!("codec.{case}"), Margin::Percent(2), instructions)
        })
        .collect())
}

fn system_calls(programs: &Programs, scenario: &Scenario, margin: Margin) -> Result<Figure> {
    let value = match reason_against("strace", &["-c", "-o", "/dev/null", "true"]) {
        Some(reason) => Err(reason),
        None => Ok(syscalls::per_request(programs, scenario)?),
    };
    Ok(Figure::new(format!("system-calls.{}", scenario.name), margin, value))
}

fn crates(programs: &Programs, features: &[&str]) -> Result<f64> {
    let output = Command::new(programs.root().join(".ci/crates")).args(features).output()?;
    if !output.status.success() {
        return Err("the crates cannot be counted: `cargo tree` failed".into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn hello_bytes(programs: &Programs) -> Result<Measured> {
    if let Some(reason) = reason_against("strip", &["--version"]) {
        return Ok(Err(reason));
    }
    let stripped = programs.reports.join("hello");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(&programs.hello).status()?;
    if !status.success() {
        return Err("strip failed".into());
    }
    Ok(Ok(fs::metadata(stripped)?.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_name_and_a_number() {
        let bounds = parse("# all of them\n\nallocations.plaintext 0.01 # measured 0\n").unwrap();
        assert_eq!(bounds["allocations.plaintext"], 0.01);
        for wrong in ["a", "a b", "a 1 2", "a 1\na 2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_within_its_bound() {
        let compare = |value| Figure::new("", Margin::Hundredth, value).compare(2.0).0;
        assert_eq!(compare(Ok(2.0)), Verdict::Within);
        assert_eq!(compare(Ok(2.1)), Verdict::Beyond);
        assert_eq!(compare(Err("no strace".to_owned())), Verdict::Skipped);
    }

    #[test]
    fn a_bound_is_what_is_measured_and_its_margin() {
        let bound = |margin, value| Figure::new("", margin, Ok(value)).bound(value, Some(&20.0));
        assert_eq!(bound(Margin::Percent(2), 1000.0), "1020");
        assert_eq!(bound(Margin::Promise, 19.0), "20");
        assert_eq!(bound(Margin::Half, 4.0), "4.5");
        assert_eq!(bound(Margin::Half, 4.1), "4.5");
        for (value, expected) in [(0.1265, "0.13"), (0.0, "0.01"), (0.9999, "1.01"), (1.0, "1.01")]
        {
            assert_eq!(bound(Margin::Hundredth, value), expected);
        }
    }
}
