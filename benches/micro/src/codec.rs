//! The codec alone: what parsing, encoding and routing cost in the program of `benches/codec.rs`.

use crate::{
    Result,
    callgrind::{self, Cost, Profile},
    programs::Programs,
    traced::reason_against,
};
use std::{path::Path, process::Command};

/// How often the shorter of two runs does it.
const TIMES: u64 = 1000;

/// Measures every case that the program names; or says why that cannot be.
pub fn costs(programs: &Programs) -> Result<Vec<(String, std::result::Result<Cost, String>)>> {
    let program = programs.codec()?;
    let listed = Command::new(&program).output()?;
    if !listed.status.success() {
        let errors = String::from_utf8_lossy(&listed.stderr);
        return Err(format!("the codec's program does not name its cases: {errors}").into());
    }
    let names = String::from_utf8(listed.stdout)?;
    let reason = reason_against("valgrind", &["--version"]);
    let cost = |case: &str| match &reason {
        Some(reason) => Ok(Err(reason.clone())),
        None => cost(programs, &program, case).map(Ok),
    };
    names.lines().map(|case| Ok((case.to_owned(), cost(case)?))).collect()
}

fn cost(programs: &Programs, program: &Path, case: &str) -> Result<Cost> {
    let few = run(programs, program, case, TIMES)?;
    let many = run(programs, program, case, 3 * TIMES)?;
    Ok(Cost::between(&few, &many, 2 * TIMES))
}

fn run(programs: &Programs, program: &Path, case: &str, times: u64) -> Result<Profile> {
    let path = programs.reports.join(format!("callgrind-{case}-{times}"));
    let counter = callgrind::command(&path);
    let output = Command::new(&counter[0])
        .args(&counter[1..])
        .arg(program)
        .args([case, &times.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(format!("{case}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Profile::read(&path)
}

/// Measures, and prints a table.
pub fn print(programs: &Programs) -> Result<()> {
    eprintln!("codec");
    println!("| the codec alone    | instructions | allocations |");
    println!("| ------------------ | -----------: | ----------: |");
    for (case, cost) in costs(programs)? {
        let Cost { instructions, allocations, .. } = cost?;
        println!("| {case:<18} | {instructions:>12.0} | {allocations:>11.2} |");
    }
    println!();
    Ok(())
}
