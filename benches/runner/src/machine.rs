//! Where and when it was measured, and with which versions: no names of hosts, no paths.

use crate::{options::Options, peers::Origin, server};
use std::{fs, process::Command};

/// Returns the lines that belong above every table.
pub fn describe(options: &Options) -> String {
    let mut text = format!(
        "{}, {} cores, {}, Linux {}, {}.\n\nSnow at {}",
        first_line("date", &["-u", "+%Y-%m-%d"]),
        server::cores(),
        cpu_model(),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        first_line("rustc", &["-V"]),
        revision(options),
    );
    for version in versions(options) {
        text.push_str(&format!(", {version}"));
    }
    text.push_str(".\n");
    text
}

/// Returns the versions of all that was measured, of each crate once.
pub fn versions(options: &Options) -> Vec<String> {
    let lock = fs::read_to_string(options.benches.join("peers/Cargo.lock")).unwrap_or_default();
    let mut versions: Vec<String> = Vec::new();
    for peer in &options.peers {
        let found = match peer.origin {
            Origin::Snow => Vec::new(),
            Origin::Member => {
                let crates = peer.crates.iter();
                crates.filter_map(|name| Some(format!("{name} {}", locked(&lock, name)?))).collect()
            }
            Origin::Nginx => nginx_version().into_iter().collect(),
        };
        for version in found {
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    versions
}

fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}

fn nginx_version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    let text = String::from_utf8(output.stderr).ok()?;
    text.trim().rsplit('/').next().map(|version| format!("nginx {version}"))
}

fn revision(options: &Options) -> String {
    let root = options.repository().to_string_lossy().into_owned();
    let git = |arguments: &[&str]| first_line("git", &[&["-C", &root], arguments].concat());
    let revision = git(&["describe", "--always", "--exclude=*"]);
    // Of what was measured: these figures change the tree as well.
    let changed = git(&["status", "--porcelain", "--", "snow", "examples", "Cargo.toml"]);
    match (revision.is_empty(), changed.is_empty()) {
        (true, _) => "no commit".to_owned(),
        (false, true) => revision,
        (false, false) => format!("{revision}, changed"),
    }
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or("unknown processor", |model| model.trim_start_matches([' ', '\t', ':'])).to_owned()
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
