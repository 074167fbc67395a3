//! What responses begin with, rendered once a second from a time it is given: the status line of a
//! 200, the `Date` field (RFC 9110, section 6.6.1), `Server` if it is wanted, the `Content-Type` that
//! the kind of content implies, and the name of the field that most go on with.

use super::response::ContentType;
use http::HeaderValue;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that has a date in HTTP, since 1970: the end of the year 9999.
pub(crate) const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Returns a time as a field; `None` before 1970 and after [`LAST_DATE`].
pub(crate) fn http_date(time: SystemTime) -> Option<HeaderValue> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since <= LAST_DATE).then(|| httpdate::fmt_http_date(time).try_into().ok())?
}

/// The usual status line.
const OK: &[u8] = b"HTTP/1.1 200 OK";

/// A line's end, `Date: ` and a date, which always has 29 bytes.
const DATE_LEN: usize = 2 + 6 + 29;

/// What most heads go on with.
pub(super) const LENGTH: &[u8] = b"\r\nContent-Length: ";

/// The starts of response heads, each in one piece and up to the number in `Content-Length`.
///
/// Each CR LF is written with the line that follows it, so that the last line's is part of the end of the
/// head.
pub(crate) struct Preface {
    /// One for each type of content, in the order of [`ContentType::ALL`].
    blocks: [Vec<u8>; ContentType::ALL.len()],
}

impl Preface {
    /// Makes a preface without a date; [`set_date`](Preface::set_date) comes before its use.
    pub(crate) fn new(server: Option<&HeaderValue>) -> Preface {
        let blocks = ContentType::ALL.map(|content_type| {
            let mut block = OK.to_vec();
            block.resize(OK.len() + DATE_LEN, 0);
            let server = server.map(|server| ("Server", server.as_bytes()));
            let content_type = content_type.as_str().map(|text| ("Content-Type", text.as_bytes()));
            for (name, value) in [server, content_type].into_iter().flatten() {
                block.extend([b"\r\n", name.as_bytes(), b": ", value].concat());
            }
            block.extend(LENGTH);
            block
        });
        Preface { blocks }
    }

    /// Sets the date, and returns for how long it is true.
    pub(crate) fn set_date(&mut self, wall: SystemTime) -> Duration {
        let date = format!("\r\nDate: {}", httpdate::fmt_http_date(wall));
        for block in &mut self.blocks {
            block[OK.len()..OK.len() + DATE_LEN].copy_from_slice(date.as_bytes());
        }
        let into_second = wall.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        Duration::from_secs(1) - Duration::from_nanos(into_second.into())
    }

    /// Returns the start of the head of a 200 whose content has a length.
    pub(crate) fn of_ok(&self, content_type: ContentType) -> &[u8] {
        &self.blocks[content_type as usize]
    }

    /// Returns the fields alone, without that of the length.
    pub(crate) fn fields(&self, content_type: ContentType) -> &[u8] {
        let block = self.of_ok(content_type);
        &block[OK.len()..block.len() - LENGTH.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_true_until_its_second_ends() {
        let mut preface = Preface::new(Some(&HeaderValue::from_static("snow")));
        let mut at = |millis: u64| {
            let left = preface.set_date(UNIX_EPOCH + Duration::from_millis(millis));
            let fields = preface.fields(ContentType::Html).to_vec();
            (String::from_utf8(fields).unwrap(), left.as_millis())
        };
        let text = |second| {
            format!(
                "\r\nDate: Sun, 06 Nov 1994 08:49:{second} GMT\r\nServer: snow\r\n\
                 Content-Type: text/html; charset=utf-8"
            )
        };
        assert_eq!(at(784_111_777_000), (text(37), 1000));
        assert_eq!(at(784_111_777_999), (text(37), 1));
        assert_eq!(at(784_111_778_000), (text(38), 1000));
    }
}
