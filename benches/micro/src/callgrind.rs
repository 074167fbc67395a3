//! User instructions and allocations per request, by valgrind's `callgrind`.

use crate::{Result, programs::Programs, scenarios::Scenario, traced::Tracer};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

/// What allocates, by the names that the C library and Rust's allocator use.
const ALLOCATORS: &[&str] = &["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// Where an instruction is: the file of the program or library, and the address in it.
pub type Address = (String, u64);

/// What it costs to do something once.
pub struct Cost {
    pub instructions: f64,
    pub allocations: f64,
    pub by_address: BTreeMap<Address, f64>,
}

/// Returns what each further request costs.
pub fn per_request(programs: &Programs, scenario: &Scenario) -> Result<Cost> {
    let few = profile(programs, scenario, scenario.requests)?;
    let many = profile(programs, scenario, 3 * scenario.requests)?;
    Ok(Cost::between(&few, &many, 2 * scenario.requests))
}

impl Cost {
    /// Returns what each of the `times` cost that `many` has more than `few`.
    pub fn between(few: &Profile, many: &Profile, times: u64) -> Cost {
        let each = |many: u64, few: u64| (many as f64 - few as f64) / times as f64;
        let mut by_address = BTreeMap::new();
        for address in many.by_address.keys().chain(few.by_address.keys()) {
            let count = |profile: &Profile| profile.by_address.get(address).copied().unwrap_or(0);
            let cost = each(count(many), count(few));
            if cost != 0.0 {
                by_address.insert(address.clone(), cost);
            }
        }
        let instructions = by_address.values().sum();
        let allocations = each(many.allocations, few.allocations);
        Cost { instructions, allocations, by_address }
    }
}

fn profile(programs: &Programs, scenario: &Scenario, requests: u64) -> Result<Profile> {
    let path = programs.reports.join(format!("callgrind-{}-{requests}", scenario.name));
    Tracer { command: command(&path) }.run(programs, scenario, requests)?;
    Profile::read(&path)
}

/// Returns the command that counts what the command behind it does, and reports to `path`.
pub fn command(path: &Path) -> Vec<String> {
    let out = format!("--callgrind-out-file={}", path.display());
    let words = ["valgrind", "--tool=callgrind", "--dump-instr=yes", &out];
    words.map(str::to_owned).into()
}

/// What a run counted.
#[derive(Default)]
pub struct Profile {
    /// Instructions at each address, those of called functions not among them.
    by_address: BTreeMap<Address, u64>,
    allocations: u64,
}

impl Profile {
    /// Reads the report at `path`.
    pub fn read(path: &Path) -> Result<Profile> {
        Profile::parse(&fs::read_to_string(path)?).ok_or_else(|| "callgrind counted nothing".into())
    }

    /// Reads a profile of one event and with positions `instr line`; `None` of anything else.
    fn parse(text: &str) -> Option<Profile> {
        text.lines().find(|line| *line == "positions: instr line")?;
        text.lines().find(|line| *line == "events: Ir")?;
        let mut profile = Profile::default();
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.take(line, &mut profile)?;
        }
        (!profile.by_address.is_empty()).then_some(profile)
    }
}

/// Where the reading of a profile stands.
#[derive(Default)]
struct Reader {
    objects: HashMap<String, String>,
    functions: HashMap<String, String>,
    object: String,
    /// The function that the next `calls=` calls.
    callee: String,
    address: u64,
    /// The next line of costs is that of a call, which is counted where it is spent.
    is_call: bool,
}

impl Reader {
    fn take(&mut self, line: &str, profile: &mut Profile) -> Option<()> {
        if let Some((key, value)) = line.split_once('=') {
            match key {
                "ob" => self.object = name(&mut self.objects, value)?,
                "cob" => _ = name(&mut self.objects, value)?,
                "fn" => _ = name(&mut self.functions, value)?,
                "cfn" => self.callee = name(&mut self.functions, value)?,
                "calls" => {
                    self.is_call = true;
                    if ALLOCATORS.contains(&self.callee.as_str()) {
                        profile.allocations += value.split(' ').next()?.parse::<u64>().ok()?;
                    }
                }
                _ => {}
            }
        } else if line.starts_with(['+', '-', '*']) || line.starts_with("0x") {
            let mut words = line.split(' ');
            self.address = moved(self.address, words.next()?)?;
            let cost: u64 = words.nth(1)?.parse().ok()?;
            if !std::mem::take(&mut self.is_call) {
                *profile.by_address.entry((self.object.clone(), self.address)).or_default() += cost;
            }
        }
        Some(())
    }
}

/// Returns the name that `value` stands for: `(7) name` once, and `(7)` from then on.
fn name(known: &mut HashMap<String, String>, value: &str) -> Option<String> {
    match value.split_once(' ') {
        Some((id, name)) => {
            known.insert(id.to_owned(), name.to_owned());
            Some(name.to_owned())
        }
        None => known.get(value).cloned(),
    }
}

/// Returns the address that a position stands for: one of its own, or one relative to the last.
fn moved(last: u64, position: &str) -> Option<u64> {
    match position.split_at_checked(1)? {
        ("*", "") => Some(last),
        ("+", more) => last.checked_add(more.parse().ok()?),
        ("-", less) => last.checked_sub(less.parse().ok()?),
        _ => u64::from_str_radix(position.strip_prefix("0x")?, 16).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "positions: instr line\nevents: Ir\n\nob=(1) /a\nfl=(1) a.rs\nfn=(1) main\n\
        0x10 3 5\n+2 * 7\ncob=(2) /libc.so.6\ncfi=(2) malloc.c\ncfn=(2) malloc\n\
        calls=4 0x98930 3281\n* * 900\n-2 +1 1\n\nob=(2)\nfn=(2)\n0x98930 3281 900\n";

    #[test]
    fn what_a_callee_costs_is_counted_once() {
        let profile = Profile::parse(PROFILE).unwrap();
        let cost = |object: &str, address| profile.by_address[&(object.to_owned(), address)];
        assert_eq!(profile.by_address.values().sum::<u64>(), 5 + 7 + 1 + 900);
        assert_eq!((cost("/a", 0x10), cost("/a", 0x12)), (6, 7));
        assert_eq!(cost("/libc.so.6", 0x98930), 900);
    }

    #[test]
    fn calls_of_the_allocator_are_counted() {
        assert_eq!(Profile::parse(PROFILE).unwrap().allocations, 4);
    }

    #[test]
    fn another_format_is_refused() {
        assert!(Profile::parse(&PROFILE.replace("instr line", "line")).is_none());
        assert!(Profile::parse(&PROFILE.replace("Ir", "Ir Dr")).is_none());
    }
}
