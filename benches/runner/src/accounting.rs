//! The operating system's books on a process and its children: processor time and memory.

use std::{collections::BTreeMap, fs, io};

/// The processor time used up to one moment.
pub struct Snapshot {
    /// Nanoseconds each living thread has run, user and system together.
    threads: BTreeMap<u32, u64>,
    /// Nanoseconds all threads have waited for a core that somebody else had.
    waited: u64,
    /// Nanoseconds all threads have run, the ended ones too, rounded to a clock tick.
    rounded: u64,
}

/// A clock tick of `/proc/PID/stat`: USER_HZ is 100 wherever Linux runs.
const TICK_NANOSECONDS: u64 = 10_000_000;

impl Snapshot {
    pub fn take(pid: u32) -> io::Result<Snapshot> {
        let mut snapshot = Snapshot { threads: BTreeMap::new(), waited: 0, rounded: 0 };
        for pid in family(pid) {
            snapshot.add(pid)?;
        }
        Ok(snapshot)
    }

    fn add(&mut self, pid: u32) -> io::Result<()> {
        for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            // A thread may end between the listing and the reading; its time is in `rounded`.
            let Ok(schedstat) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let mut fields = schedstat.split_ascii_whitespace().map_while(|word| word.parse().ok());
            let thread = entry.file_name().to_string_lossy().parse().unwrap_or(0);
            self.threads.insert(thread, fields.next().unwrap_or(0));
            self.waited += fields.next().unwrap_or(0);
        }
        self.rounded += TICK_NANOSECONDS * ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?);
        Ok(())
    }

    /// Returns the nanoseconds run since `earlier`.
    ///
    /// Exact while no thread has ended in between; otherwise to a hundredth of a second.
    pub fn run_since(&self, earlier: &Snapshot) -> u64 {
        if earlier.threads.keys().all(|thread| self.threads.contains_key(thread)) {
            self.threads.values().sum::<u64>() - earlier.threads.values().sum::<u64>()
        } else {
            self.rounded - earlier.rounded
        }
    }

    /// Returns the nanoseconds spent waiting for a busy core since `earlier`.
    pub fn waited_since(&self, earlier: &Snapshot) -> u64 {
        self.waited.saturating_sub(earlier.waited)
    }
}

/// Returns the memory that nobody shares and that is not a clean copy of a file.
pub fn memory_bytes(pid: u32) -> io::Result<u64> {
    let rollup = |pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    family(pid).into_iter().map(|pid| Ok(private_dirty(&rollup(pid)?))).sum()
}

/// Returns the process and its children.
pub fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_ascii_whitespace().filter_map(|word| word.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

/// Returns user and system time of a `stat` line; the name in parentheses may contain anything.
fn ticks(stat: &str) -> u64 {
    const UTIME_AFTER_NAME: usize = 11;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name
        .split_ascii_whitespace()
        .skip(UTIME_AFTER_NAME)
        .take(2)
        .filter_map(|word| word.parse::<u64>().ok())
        .sum()
}

fn private_dirty(rollup: &str) -> u64 {
    rollup
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found_behind_a_strange_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 1 1 1";
        assert_eq!(ticks(stat), 42);
    }

    #[test]
    fn dirty_memory_is_in_kibibytes() {
        assert_eq!(private_dirty("Rss: 9 kB\nPrivate_Dirty:   3 kB\n"), 3072);
    }
}
