//! The report of `strace -c`.

use std::str::SplitAsciiWhitespace;

/// What a loop waits with, by the names of the kernel.
pub const WAITS: [&str; 7] =
    ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"];

/// Returns the number of calls that wait.
pub fn waits(report: &str) -> u64 {
    WAITS.iter().map(|name| calls_to(report, name)).sum()
}

/// Returns the number of all calls: the fourth field of the line `total`.
pub fn total_calls(report: &str) -> Option<u64> {
    calls_on(report, "total")
}

/// Returns the number of calls to `name`, which may be none.
pub fn calls_to(report: &str, name: &str) -> u64 {
    calls_on(report, name).unwrap_or(0)
}

/// Returns how many calls to `name` failed.
pub fn errors_of(report: &str, name: &str) -> u64 {
    let words = words_on(report, name);
    // The field is empty when none did.
    words.and_then(|mut words| words.nth(4)?.parse().ok()).unwrap_or(0)
}

fn calls_on(report: &str, last_word: &str) -> Option<u64> {
    words_on(report, last_word)?.nth(3)?.parse().ok()
}

fn words_on<'a>(report: &'a str, last_word: &str) -> Option<SplitAsciiWhitespace<'a>> {
    let mut lines = report.lines().map(str::split_ascii_whitespace);
    lines.find(|words| words.clone().next_back() == Some(last_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "% time     seconds  usecs/call     calls    errors syscall\n\
        ------ ----------- ----------- --------- --------- ----------------\n\
        60.12    0.256626          79      4162         3 read\n\
        39.88    0.156000          79      1000           epoll_wait\n\
        ------ ----------- ----------- --------- --------- ----------------\n\
        100.00    0.412626          79      5162         3 total\n";

    #[test]
    fn calls_are_found_with_errors_and_without() {
        assert_eq!(total_calls(REPORT), Some(5162));
        assert_eq!(calls_to(REPORT, "read"), 4162);
        assert_eq!(calls_to(REPORT, "epoll_wait"), 1000);
        assert_eq!(waits(REPORT), 1000);
        assert_eq!(calls_to(REPORT, "wait"), 0);
        assert_eq!((errors_of(REPORT, "read"), errors_of(REPORT, "epoll_wait")), (3, 0));
    }

    #[test]
    fn a_report_without_a_total_has_no_count() {
        assert_eq!(total_calls("strace: attach: Operation not permitted\n"), None);
    }
}
