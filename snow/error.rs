//! The one error type, what kinds of it there are, and which status each kind answers with.
//!
//! Whose fault decides what happens: the peer's becomes a 4xx, the handler's a 500 and a log line,
//! the machine's reaches whoever called `run`. The choice of the status is made here and nowhere
//! else, in [`ErrorKind::status`].

use http::StatusCode;
use std::{
    borrow::Cow,
    convert::Infallible,
    error,
    fmt::{self, Write},
    io,
};

/// The result of everything in Snow that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one lower-case line, with its [kind](ErrorKind) and its source.
///
/// Callers may rely on [`Error::kind`]; the words of the message may change. `Debug` prints the
/// same line as `Display` followed by the sources, so that `fn main() -> snow::Result<()>` shows a
/// person a sentence.
///
/// `?` makes one of the errors that there is a `From` for below: a 504 of a [timeout](crate::timeout), a
/// 500 of all else, as nothing tells that the client is at fault. Of any other error
/// `.map_err(Error::other)?` makes a 500, and [`Error::new`] what is wanted.
///
/// # Examples
///
/// ```
/// use snow::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::BadRequest, "the parameter `id` is not a number");
/// assert_eq!(error.kind().status().as_u16(), 400);
/// assert_eq!(error.to_string(), "the parameter `id` is not a number");
///
/// fn parse(units: &[u16]) -> snow::Result<bool> {
///     let text = String::from_utf16(units).map_err(Error::other)?;
///     Ok(text.parse()?)
/// }
/// assert_eq!(parse(&[0xd800]).unwrap_err().kind(), ErrorKind::Handler);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// `None` when the source says it all.
    message: Option<Cow<'static, str>>,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// The kinds of [`Error`], by whose fault it is and what the peer is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The message cannot be understood, or could be understood in two ways: 400.
    BadRequest,
    /// The client may not do this without saying who it is: 401. The answer has to say how, in a field
    /// `WWW-Authenticate`, which is the program's to set: see [`Response::failed`](crate::Response::failed).
    Unauthorized,
    /// The client may not do this: 403.
    Forbidden,
    /// There is nothing under this path: 404.
    NotFound,
    /// There is something under this path, for other methods: 405.
    MethodNotAllowed,
    /// The client was too slow in sending its request: 408.
    RequestTimeout,
    /// The request does not go with the state of the thing it is about: 409.
    Conflict,
    /// The content is larger than the route takes: 413.
    ContentTooLarge,
    /// The request target is longer than the limit: 414.
    TargetTooLong,
    /// The content is of a type that the route does not take: 415.
    UnsupportedMediaType,
    /// `Expect` asks for something other than `100-continue`: 417.
    ExpectationFailed,
    /// The content is well-formed and still makes no sense: 422.
    UnprocessableContent,
    /// The head is larger, or has more fields, than the limit: 431.
    HeadTooLarge,
    /// The handler failed: 500.
    Handler,
    /// The method or the transfer coding is not one this server knows: 501.
    NotImplemented,
    /// The server cannot answer just now: 503.
    Unavailable,
    /// The handler did not answer in its time: 504.
    HandlerTimeout,
    /// The protocol version is not HTTP/1.x: 505.
    UnsupportedVersion,
    /// A route, a limit or an address that the program was given cannot be used.
    Config,
    /// The operating system refused: a socket, a file, a thread.
    Io,
}

impl ErrorKind {
    /// Returns the status that a request which fails so is answered with.
    pub fn status(self) -> StatusCode {
        match self {
            ErrorKind::BadRequest => StatusCode::BAD_REQUEST,
            ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::TargetTooLong => StatusCode::URI_TOO_LONG,
            ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            ErrorKind::UnprocessableContent => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ErrorKind::Handler | ErrorKind::Config | ErrorKind::Io => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::HandlerTimeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

impl Error {
    /// Makes an error of `kind` whose one line is `message`.
    ///
    /// The message of a 4xx is sent to the client; that of a 5xx only goes to the log.
    // Marked cold, so that callers are laid out for the case without an error.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner { kind, message: Some(message.into()), source: None }))
    }

    /// Makes a [`ErrorKind::Handler`] error of any other error or text, whose words it keeps.
    pub fn other(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Error {
        let source = Some(source.into());
        Error(Box::new(Inner { kind: ErrorKind::Handler, message: None, source }))
    }

    /// Adds the error that this one comes from.
    pub fn caused_by(mut self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Returns what kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the status a request that fails so is answered with.
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// Returns the error with its sources, for the log: in one line, whatever is in them.
    pub(crate) fn chain(&self) -> impl fmt::Display + '_ {
        OneLine(self)
    }
}

struct OneLine<'a>(&'a Error);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{:?}", self.0)
    }
}

/// Writes control characters as escapes: what is logged may be made of what a client has sent.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let mut chars = part.chars();
            match chars.next_back() {
                Some(last) if last.is_control() => {
                    write!(self.0, "{}{}", chars.as_str(), last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.message, &self.0.source) {
            (Some(message), _) => f.write_str(message),
            (None, Some(source)) => source.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

/// The error with its sources.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = error::Error::source(self);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match (&self.0.message, &self.0.source) {
            (_, None) => None,
            (Some(_), Some(source)) => Some(source.as_ref()),
            // The source has been quoted already.
            (None, Some(source)) => source.source(),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::new(ErrorKind::Io, "input or output failed").caused_by(error)
    }
}

impl From<Box<dyn error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn error::Error + Send + Sync>) -> Error {
        Error::other(error)
    }
}

impl From<Infallible> for Error {
    fn from(error: Infallible) -> Error {
        match error {}
    }
}

/// Errors that `?` turns into a 500 in a handler.
macro_rules! handler_errors {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::other(error)
            }
        }
    )+};
}

handler_errors! {
    fmt::Error,
    http::Error,
    http::header::InvalidHeaderName,
    http::header::InvalidHeaderValue,
    http::status::InvalidStatusCode,
    std::char::ParseCharError,
    std::net::AddrParseError,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::time::SystemTimeError,
    String,
    &'static str,
}

#[cfg(feature = "json")]
handler_errors!(serde_json::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_one_line_of_an_error_whatever_is_in_it() {
        let source = Error::from("é\u{7f}\n[ERROR] a line that nobody wrote\r");
        let error = Error::new(ErrorKind::Handler, "first\u{1b}[1m").caused_by(source);
        let line = r"first\u{1b}[1m: é\u{7f}\n[ERROR] a line that nobody wrote\r";
        assert_eq!(error.chain().to_string(), line);
        assert_eq!(Error::other("plain, \"quoted\"").chain().to_string(), "plain, \"quoted\"");
    }

    #[test]
    fn what_does_not_parse_becomes_an_error_by_itself() {
        fn parse<T: std::str::FromStr>() -> Result<T>
        where
            Error: From<T::Err>,
        {
            Ok("?!".parse::<T>()?)
        }
        let errors = [
            parse::<bool>().err(),
            parse::<char>().err(),
            parse::<std::net::IpAddr>().err(),
            parse::<std::net::SocketAddr>().err(),
            parse::<u8>().err(),
            parse::<f64>().err(),
        ];
        for error in errors {
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Handler));
        }
    }
}
