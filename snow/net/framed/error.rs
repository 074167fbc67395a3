//! What goes wrong between a stream of bytes and a sequence of messages.
//!
//! This is not [`crate::Error`], whose kinds say what an HTTP client is answered. A handler that
//! reads frames from a device must not blame its client, with a 400, for what the device has sent;
//! and who reads frames wants to tell a message that is too long from a peer that broke off.

use crate::{Error, ErrorKind};
use std::{borrow::Cow, error, fmt, io};

/// What was wrong with a frame, in one lower-case line, with its [kind](FrameErrorKind) and source.
///
/// Callers may rely on [`FrameError::kind`]; the words may change. As a [`snow::Error`](crate::Error)
/// it is a failure of the program's own ([`ErrorKind::Handler`], a 500 in a handler) or, if the stream
/// failed, [`ErrorKind::Io`]. As an [`io::Error`] it is `UnexpectedEof`, `InvalidData`, or what the
/// stream failed with.
///
/// # Examples
///
/// ```
/// use snow::net::{Decoder, FrameErrorKind, Lines};
///
/// let mut decoder = Decoder::new(Lines::new(4));
/// decoder.push(b"12345");
/// let error = decoder.decode().unwrap_err();
/// assert_eq!(error.kind(), FrameErrorKind::TooLong);
/// assert_eq!(error.to_string(), "a line is longer than the limit of 4 bytes");
/// ```
pub struct FrameError {
    kind: FrameErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// The kinds of [`FrameError`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// A message is, or says that it is, longer than the limit or than its format can tell.
    TooLong,
    /// The bytes are no message of this format, or the message cannot be written in it.
    Malformed,
    /// The stream ended within a frame.
    Truncated,
    /// The stream failed.
    Io,
}

impl FrameError {
    /// Makes an error of `kind` whose one line is `message`.
    pub fn new(kind: FrameErrorKind, message: impl Into<Cow<'static, str>>) -> FrameError {
        FrameError { kind, message: message.into(), source: None }
    }

    /// Makes the error of a stream that ended within a frame, at least `missing` bytes too early.
    pub fn truncated(missing: u64) -> FrameError {
        let message = format!("the stream ended within a frame; bytes missing: at least {missing}");
        FrameError::new(FrameErrorKind::Truncated, message)
    }

    /// Adds the error that this one comes from.
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> FrameError {
        self.source = Some(source.into());
        self
    }

    /// Returns what kind of error this is.
    pub fn kind(&self) -> FrameErrorKind {
        self.kind
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for FrameError {
    /// The line of `Display` and the source's, so that a `main` which returns it shows a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{self}: {source}"),
            None => write!(f, "{self}"),
        }
    }
}

impl error::Error for FrameError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> FrameError {
        FrameError::new(FrameErrorKind::Io, "the stream failed").caused_by(error)
    }
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> io::Error {
        let kind = match error.kind {
            FrameErrorKind::TooLong | FrameErrorKind::Malformed => io::ErrorKind::InvalidData,
            FrameErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            FrameErrorKind::Io => match error.source.map(|source| source.downcast()) {
                Some(Ok(source)) => return *source,
                _ => return io::Error::other(error.message),
            },
        };
        io::Error::new(kind, error)
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Error {
        match error.kind {
            FrameErrorKind::Io => Error::new(ErrorKind::Io, "a framed stream failed")
                .caused_by(io::Error::from(error)),
            FrameErrorKind::TooLong | FrameErrorKind::Malformed | FrameErrorKind::Truncated => {
                Error::other(error)
            }
        }
    }
}
