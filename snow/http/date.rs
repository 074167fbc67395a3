//! The `Date` field (RFC 9110, section 6.6.1), rendered once a second from a time it is given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `Date: ` and a date, which always has 29 bytes, and the line's end.
const LINE_LEN: usize = 6 + 29 + 2;

/// The line of a response head that tells the date.
pub(crate) struct DateCache {
    line: [u8; LINE_LEN],
    /// Until when, on the steady clock, the line is true.
    valid_until: Duration,
}

impl DateCache {
    pub(crate) fn new() -> DateCache {
        DateCache { line: [0; LINE_LEN], valid_until: Duration::ZERO }
    }

    /// Returns the line for the point `now` of a steady clock; `wall` tells the date, and is asked
    /// only when a second has ended.
    pub(crate) fn line(&mut self, now: Duration, wall: impl FnOnce() -> SystemTime) -> &[u8] {
        if now >= self.valid_until {
            let wall = wall();
            let into_second = wall.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
            self.valid_until =
                now + Duration::from_secs(1) - Duration::from_nanos(into_second.into());
            let text = format!("Date: {}\r\n", httpdate::fmt_http_date(wall));
            self.line.copy_from_slice(text.as_bytes());
        }
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_changes_with_the_second() {
        let start = UNIX_EPOCH + Duration::from_millis(784_111_777_900);
        let mut cache = DateCache::new();
        let mut at = |millis: u64| {
            let now = Duration::from_millis(millis);
            String::from_utf8(cache.line(now, || start + now).to_vec()).unwrap()
        };
        assert_eq!(at(0), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(at(99), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(at(100), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
        assert_eq!(at(5000), "Date: Sun, 06 Nov 1994 08:49:42 GMT\r\n");
    }
}
