//! From addresses to the files that their source stands in, by `addr2line` of binutils.
//!
//! A profile by function would say little: the whole of a request is inlined into a few of them.

use crate::{
    Result,
    callgrind::{Address, Cost},
    place::Place,
    programs::Programs,
};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
    process::Command,
};

/// Returns the instructions of each place.
pub fn by_place(cost: &Cost, programs: &Programs) -> Result<BTreeMap<Place, f64>> {
    let program = programs.bench.to_string_lossy().into_owned();
    let own = cost.by_address.keys().filter(|(object, _)| *object == program);
    let places = places(own, programs)?;
    let mut sums = BTreeMap::new();
    for ((object, address), instructions) in &cost.by_address {
        let place = if *object == program {
            places.get(address).cloned().ok_or("addr2line left out an address")?
        } else {
            Place::of_library(object)
        };
        *sums.entry(place).or_default() += instructions;
    }
    Ok(sums)
}

fn places<'a>(
    addresses: impl Iterator<Item = &'a Address>,
    programs: &Programs,
) -> Result<HashMap<u64, Place>> {
    let questions = programs.reports.join("addresses");
    let lines: String = addresses.map(|(_, address)| format!("{address:#x}\n")).collect();
    fs::write(&questions, lines)?;
    let output = Command::new("addr2line")
        .args(["--addresses", "--inlines", "--exe"])
        .arg(&programs.bench)
        .stdin(File::open(questions)?)
        .output()
        .map_err(|_| "addr2line (binutils) is not installed")?;
    Ok(parse(&String::from_utf8(output.stdout)?, programs.root()))
}

/// Takes the answers apart: an address on a line of its own, then a line `FILE:LINE` for each frame.
fn parse(text: &str, root: &Path) -> HashMap<u64, Place> {
    let mut places = HashMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let digits = line.strip_prefix("0x").unwrap_or(line);
        let Ok(address) = u64::from_str_radix(digits, 16) else { continue };
        let frames = std::iter::from_fn(|| lines.next_if(|line| !line.starts_with("0x")));
        let files = frames.map(|frame| frame.rsplit_once(':').map_or(frame, |(file, _)| file));
        places.insert(address, Place::of_frames(files, root));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_the_frames_behind_it() {
        let text = "0x0000000000000010\n/rustc/1/library/core/src/num.rs:7\n\
            /src/snow/http/parse.rs:12 (discriminator 3)\n0x0000000000000012\n??:0\n";
        let places = parse(text, Path::new("/src"));
        assert_eq!(places[&0x10].file.as_deref(), Some("snow/http/parse.rs"));
        assert_eq!(places[&0x12].group, "std");
    }
}
