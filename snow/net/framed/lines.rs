//! Messages that are lines.

use super::{
    codec::{Decode, Decoded, Encode},
    error::{FrameError, FrameErrorKind},
};
use bytes::Bytes;
use memchr::memchr;
use std::{fmt, ops::Deref, str};

/// Messages that are lines: bytes that end with LF or CR LF.
///
/// The ending is taken off: one LF, and one CR if it stands before it. What stands behind the last
/// ending when the stream ends is a line too. Lines are bytes; [`Line::text`] makes text of them.
///
/// # Examples
///
/// ```
/// use snow::net::{Decoder, Encode, Lines};
///
/// let lines = Lines::new(1024);
/// let mut output = Vec::new();
/// lines.encode("temperature 21.5", &mut output)?;
/// lines.encode("", &mut output)?;
/// assert_eq!(output, b"temperature 21.5\n\n");
///
/// let mut decoder = Decoder::new(lines);
/// decoder.push(&output);
/// assert_eq!(decoder.decode()?.unwrap().text()?, "temperature 21.5");
/// assert_eq!(decoder.decode()?.unwrap().len(), 0);
/// # Ok::<(), snow::net::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    max_len: usize,
    ending: &'static [u8],
}

impl Lines {
    /// Takes lines of up to `max_len` bytes, inclusive, their ending not counted; a longer one is an
    /// error, which is found as soon as that many bytes have come. Lines that are sent end with LF.
    pub const fn new(max_len: usize) -> Lines {
        Lines { max_len, ending: b"\n" }
    }

    /// Has lines that are sent end with CR LF. What is received may end either way.
    pub const fn crlf(self) -> Lines {
        Lines { ending: b"\r\n", ..self }
    }

    fn check_len(&self, line: &[u8]) -> Result<(), FrameError> {
        if line.len() <= self.max_len {
            return Ok(());
        }
        let message = format!("a line is longer than the limit of {} bytes", self.max_len);
        Err(FrameError::new(FrameErrorKind::TooLong, message))
    }
}

/// Takes off the CR that may belong to an ending.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl Decode for Lines {
    type Message = Line;

    /// How many bytes have been searched for an ending.
    type Progress = usize;

    fn decode(&self, searched: &mut usize, input: &[u8]) -> Result<Decoded<Line>, FrameError> {
        let unsearched = input.get(*searched..).unwrap_or_default();
        let end = memchr(b'\n', unsearched).map(|at| *searched + at);
        let line = without_cr(&input[..end.unwrap_or(input.len())]);
        self.check_len(line)?;
        *searched = input.len();
        Ok(match end {
            Some(end) => Decoded::Message(Line::from(line), end + 1),
            None => Decoded::Partial(1),
        })
    }

    fn decode_end(&self, _: &mut usize, input: &[u8]) -> Result<Line, FrameError> {
        // No LF came, so a CR at the end is the line's own.
        self.check_len(input)?;
        Ok(Line::from(input))
    }
}

impl<M: AsRef<[u8]> + ?Sized> Encode<M> for Lines {
    /// Writes a line and its ending.
    ///
    /// # Errors
    ///
    /// [`TooLong`](FrameErrorKind::TooLong) over the limit; [`Malformed`](FrameErrorKind::Malformed)
    /// if it contains an LF or ends with a CR, which would not come out as it went in.
    fn encode(&self, message: &M, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let line = message.as_ref();
        self.check_len(line)?;
        if let Some(at) = memchr(b'\n', line) {
            let message =
                format!("a line cannot contain a line feed, as this one does at byte {at}");
            return Err(FrameError::new(FrameErrorKind::Malformed, message));
        }
        if line.ends_with(b"\r") {
            let message = "a line cannot end with a carriage return";
            return Err(FrameError::new(FrameErrorKind::Malformed, message));
        }
        output.extend_from_slice(line);
        output.extend_from_slice(self.ending);
        Ok(())
    }
}

/// A line without its ending: a slice of bytes, cheap to clone.
///
/// # Examples
///
/// ```
/// use snow::net::Line;
///
/// let line = Line::from("21.5 °C");
/// assert_eq!(line.text()?, "21.5 °C");
/// let error = Line::from(&b"21.5 \xb0C"[..]).text().unwrap_err();
/// assert_eq!(error.to_string(), "byte 5 of a line, 0xb0, is not UTF-8");
/// # Ok::<(), snow::net::FrameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Line(Bytes);

impl Line {
    /// Returns the line as text.
    ///
    /// # Errors
    ///
    /// [`Malformed`](FrameErrorKind::Malformed), naming the byte that is not UTF-8, counted from 0.
    /// The stream goes on: it is for the caller to say what this means.
    pub fn text(&self) -> Result<&str, FrameError> {
        str::from_utf8(&self.0).map_err(|error| {
            let at = error.valid_up_to();
            let message = format!("byte {at} of a line, {:#04x}, is not UTF-8", self.0[at]);
            FrameError::new(FrameErrorKind::Malformed, message).caused_by(error)
        })
    }

    /// Returns the bytes of the line.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Line {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Line {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Line {
    // Copied, so that a line that is kept does not keep the buffer it came in.
    fn from(line: &[u8]) -> Line {
        Line(Bytes::copy_from_slice(line))
    }
}

impl From<&str> for Line {
    fn from(line: &str) -> Line {
        Line::from(line.as_bytes())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
