//! What handlers build: a status, fields and a body.

use super::{body::Trailers, cookie::Cookie};
use crate::{Error, ErrorKind};
use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::{borrow::Cow, fmt, fs::File, panic::Location, path::PathBuf, pin::Pin};

/// An answer.
///
/// Some fields are the server's to set, and are dropped when a handler sets them:
///
/// - `Date`, `Transfer-Encoding` and `Keep-Alive`.
/// - `Connection`. The option `close` is heeded: the connection ends after this answer.
/// - `Content-Length`, which is that of the content. On a [stream](Response::stream) it is taken as a
///   promise, and kept or visibly broken: the last byte is sent when the stream has ended. On an answer to
///   `HEAD` without content it is sent as it is.
///
/// All others are sent as they are, `Upgrade` with the `Connection: upgrade` that it takes. A `Server` field
/// is sent beside that of [`Config::server_header`](crate::Config::server_header): set one of them only.
///
/// # Examples
///
/// ```
/// use snow::{Response, StatusCode};
///
/// let response = Response::text("made").status(201).header("location", "/things/7");
/// assert_eq!(response.status_code(), StatusCode::CREATED);
/// assert_eq!(response.get_header("location").unwrap(), "/things/7");
/// ```
pub struct Response {
    pub(crate) status: StatusCode,
    /// Kept apart from the other fields, so that the usual answer needs no list.
    pub(crate) content_type: ContentType,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
    /// Why there is this answer and not the one that was meant.
    pub(crate) error: Option<Error>,
}

/// The `Content-Type` that the kind of content implies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ContentType {
    /// None: there is no content, or a field names its type.
    Unsaid,
    Text,
    Html,
    Bytes,
    Json,
}

impl ContentType {
    /// In the order of their declaration.
    pub(crate) const ALL: [ContentType; 5] = [
        ContentType::Unsaid,
        ContentType::Text,
        ContentType::Html,
        ContentType::Bytes,
        ContentType::Json,
    ];

    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            ContentType::Unsaid => None,
            ContentType::Text => Some("text/plain; charset=utf-8"),
            ContentType::Html => Some("text/html; charset=utf-8"),
            ContentType::Bytes => Some("application/octet-stream"),
            ContentType::Json => Some("application/json"),
        }
    }
}

impl Response {
    /// Makes an answer without content. As with [`status`](Response::status), an interim status (1xx) makes
    /// it a 500: the client would take the next answer for this one (RFC 9110, section 15.2).
    pub fn new(status: StatusCode) -> Response {
        Response::with_body(ContentType::Unsaid, Body::default()).status(status)
    }

    fn with_body(content_type: ContentType, body: Body) -> Response {
        Response { status: StatusCode::OK, content_type, headers: Vec::new(), body, error: None }
    }

    /// Makes a 200 of plain text.
    pub fn text(text: impl Into<Body>) -> Response {
        Response::with_body(ContentType::Text, text.into())
    }

    /// Makes a 200 of HTML, which is sent as it is: escape what comes from outside.
    pub fn html(html: impl Into<Body>) -> Response {
        Response::with_body(ContentType::Html, html.into())
    }

    /// Makes a 200 of bytes.
    pub fn bytes(bytes: impl Into<Body>) -> Response {
        Response::with_body(ContentType::Bytes, bytes.into())
    }

    /// Makes a 200 of JSON; a value that cannot be serialised makes it a 500.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize>(value: &T) -> Response {
        match serde_json::to_vec(value) {
            Ok(json) => Response::with_body(ContentType::Json, json.into()),
            Err(error) => {
                let reason = "the JSON of a response cannot be written";
                Response::failed(Error::new(ErrorKind::Handler, reason).caused_by(error))
            }
        }
    }

    /// Makes a 303, which has the client `GET` the `location`. Blanks, and what is not ASCII, are
    /// percent-encoded, as no URI has them.
    pub fn redirect(location: &str) -> Response {
        let mut encoded = String::with_capacity(location.len());
        for byte in location.bytes() {
            match byte {
                b' ' | b'\t' | 0x80.. => encoded.push_str(&format!("%{byte:02X}")),
                _ => encoded.push(char::from(byte)),
            }
        }
        Response::new(StatusCode::SEE_OTHER).header(header::LOCATION, encoded)
    }

    /// Makes a 200 whose content is made while it is sent, chunked for HTTP/1.1 and up to the close
    /// for HTTP/1.0. The stream is polled only while the client keeps up.
    ///
    /// An error of the stream breaks the connection, so that the client cannot take what it got
    /// for the whole. One case does not show: HTTP/1.0 over a Unix socket, which has no reset; have a
    /// proxy in front speak 1.1.
    ///
    /// `Stream` is the trait of the crate `futures-core`, which a program that implements it depends on; many
    /// crates make streams of other things. A stream that never yields keeps its connection for as long as
    /// the client stays: no timeout of the server or the [route](crate::Route::timeout) covers it.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_core::Stream;
    /// use snow::{Response, Snow, get};
    /// use std::{
    ///     convert::Infallible,
    ///     pin::Pin,
    ///     task::{Context, Poll},
    /// };
    ///
    /// struct Countdown(u32);
    ///
    /// impl Stream for Countdown {
    ///     type Item = Result<String, Infallible>;
    ///
    ///     fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
    ///         if self.0 == 0 {
    ///             return Poll::Ready(None);
    ///         }
    ///         self.0 -= 1;
    ///         Poll::Ready(Some(Ok(format!("{}\n", self.0))))
    ///     }
    /// }
    ///
    /// let countdown = |_| Response::stream(Countdown(3)).header("content-type", "text/plain");
    /// let mut client = Snow::new([get("^/countdown$", countdown)]).test_client()?;
    /// assert_eq!(client.get("/countdown").send().text(), "2\n1\n0\n");
    /// # Ok::<(), snow::Error>(())
    /// ```
    pub fn stream<S, B, E>(stream: S) -> Response
    where
        S: Stream<Item = Result<B, E>> + 'static,
        B: Into<Bytes>,
        E: Into<Error>,
    {
        let pieces = Box::pin(Erased { stream: Box::pin(stream) });
        let content = Content::Stream(Box::new(StreamContent { pieces, trailers: None }));
        Response::with_body(ContentType::Bytes, Body(content))
    }

    /// Makes a 200 whose content is that of a regular file, with its length and `Last-Modified`; set
    /// `content-type` if it is not just bytes.
    ///
    /// The file is opened when the answer is sent, symbolic links are followed, and its length at that
    /// moment is announced. A file that is shorter by the time it is read breaks the connection, so
    /// that the client cannot take what it got for the whole.
    ///
    /// A file that cannot be opened makes the answer another: 404 when there is none, or a folder, a
    /// device, a socket or a pipe in its place, which are not opened at all; 403 when this process may
    /// not read it; 503 when the machine is out of descriptors; otherwise 500. That answer has none of the
    /// fields that were set on this one, which may be true of the file alone, and `on_error` sees it. The log has
    /// the path, the client never reads it.
    ///
    /// Over TCP on Linux the kernel moves the bytes from its cache to the socket. What is not there it
    /// reads from the disk, 512 KiB at a time, for which the loop waits: where that may take long, as on a
    /// file system of a network, read in `snow::unblock` and answer with a [stream](Response::stream).
    ///
    /// `If-Modified-Since` and the other preconditions, and `Range`, are not evaluated: the answer is the
    /// whole file.
    ///
    /// A path that is made of what a client sends is the handler's to check: `..` leads upwards, and
    /// `/` at its beginning to the root.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Response, Snow, get};
    ///
    /// let manifest = |_| Response::file("Cargo.toml").header("content-type", "text/plain");
    /// let mut client = Snow::new([get("^/manifest$", manifest)]).test_client()?;
    /// let answer = client.get("/manifest").send();
    /// assert_eq!(answer.status(), 200);
    /// assert!(answer.text().contains("[package]"));
    /// # Ok::<(), snow::Error>(())
    /// ```
    pub fn file(path: impl Into<PathBuf>) -> Response {
        Response::with_body(
            ContentType::Bytes,
            Body(Content::File(FileContent::Named(path.into()))),
        )
    }

    /// Sets the status: a `StatusCode` or a number from 200 to 999; any other makes it a 500.
    ///
    /// A response that stands for a [failure](Response::failed) keeps the status of that.
    #[track_caller]
    pub fn status(mut self, status: impl TryInto<StatusCode>) -> Response {
        match status.try_into() {
            _ if self.error.is_some() => {}
            Ok(status) if !status.is_informational() => self.status = status,
            Ok(status) => {
                self.fail(format!("a response cannot have the status {}", status.as_str()))
            }
            Err(_) => self.fail_given("a response has a status that is none"),
        }
        self
    }

    /// Adds a field; `Content-Type` replaces the one that the kind of content implies.
    ///
    /// A name or value that cannot be a field (CR, LF, NUL) makes the answer a 500; the log names the
    /// field, or the place of a name that is none, and never shows the value.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Response
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                if name == header::CONTENT_TYPE {
                    self.content_type = ContentType::Unsaid;
                    self.headers.retain(|(known, _)| known != header::CONTENT_TYPE);
                }
                self.headers.push((name, value));
            }
            (Err(_), _) => self.fail_given("a field name is not valid"),
            // Not the value: it may be a secret.
            (Ok(name), Err(_)) => {
                self.fail(format!("the value of the field `{name}` is not valid"))
            }
        }
        self
    }

    /// Sets a cookie; one that is not valid makes the answer a 500; the log names it.
    pub fn cookie(mut self, cookie: Cookie) -> Response {
        match cookie.into_line() {
            Ok(line) => self.header(header::SET_COOKIE, line),
            Err(fault) => {
                self.fail(fault);
                self
            }
        }
    }

    /// Sends fields behind a [stream](Response::stream), made when the stream has ended. Only HTTP/1.1
    /// clients get them, whether they sent `TE: trailers` or not, and only if the stream has no
    /// `Content-Length`.
    ///
    /// On an answer that is no stream this does nothing, and on an answer to `HEAD` nothing is made. Fields
    /// that are the server's to set are dropped.
    pub fn trailers<F>(mut self, trailers: F) -> Response
    where
        F: FnOnce() -> Vec<(HeaderName, HeaderValue)> + 'static,
    {
        if let Content::Stream(content) = &mut self.body.0 {
            content.trailers = Some(Box::new(trailers));
        }
        self
    }

    /// Makes the answer to a request that failed; the error is logged and seen by `on_error`.
    ///
    /// The client reads the message of a 4xx, and nothing but the status of a 5xx. Fields that are set on it
    /// are there whatever [`on_error`](crate::Snow::on_error) makes of it, as a 401 needs them (RFC 9110,
    /// section 15.5.2):
    ///
    /// ```
    /// use snow::{Error, ErrorKind, Response};
    ///
    /// let who = Error::new(ErrorKind::Unauthorized, "who are you?");
    /// let response = Response::failed(who).header("www-authenticate", "Basic realm=\"snow\"");
    /// # assert_eq!(response.status_code(), 401);
    /// ```
    pub fn failed(error: Error) -> Response {
        let status = error.status();
        let text = match status.is_client_error() {
            true => Cow::Owned(format!("{error}\n")),
            false => reason_text(status),
        };
        Response { error: Some(error), ..Response::text(text).status(status) }
    }

    /// Adds fields of the response that this one takes the place of, but for the type of its content and for
    /// those that this one has itself.
    pub(crate) fn inherit(&mut self, fields: Vec<(HeaderName, HeaderValue)>) {
        let own = self.headers.len();
        for (name, value) in fields {
            let has_own = self.headers[..own].iter().any(|(known, _)| *known == name);
            if !has_own && name != header::CONTENT_TYPE {
                self.headers.push((name, value));
            }
        }
    }

    /// Takes the error off an answer to a failure, so that the log and `on_error` do not see it: they have
    /// seen it already, or are not to.
    pub(crate) fn without_error(self) -> Response {
        Response { error: None, ..self }
    }

    #[cold]
    fn fail(&mut self, reason: String) {
        if self.error.is_none() {
            *self = Response::failed(Error::new(ErrorKind::Handler, reason));
        }
    }

    /// Fails for what was given and cannot be shown, as nothing is known of its type: the log says where
    /// it is.
    #[cold]
    #[track_caller]
    fn fail_given(&mut self, fault: &str) {
        self.fail(format!("{fault}, given at {}", Location::caller()));
    }

    /// Returns the status.
    pub fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Returns the first value of the field `name`, if it is visible ASCII.
    pub fn get_header(&self, name: &str) -> Option<&str> {
        if let Some(content_type) = self.content_type.as_str() {
            if name.eq_ignore_ascii_case("content-type") {
                return Some(content_type);
            }
        }
        let (_, value) =
            self.headers.iter().find(|(known, _)| known.as_str().eq_ignore_ascii_case(name))?;
        value.to_str().ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type.as_str())
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// Returns a line that says what a status means.
pub(crate) fn reason_text(status: StatusCode) -> Cow<'static, str> {
    match status {
        StatusCode::OK => Cow::Borrowed("OK\n"),
        StatusCode::NOT_FOUND => Cow::Borrowed("Not Found\n"),
        _ => Cow::Owned(format!("{}\n", status.canonical_reason().unwrap_or("Error"))),
    }
}

/// The content of a response: made of text, bytes or [nothing](Body::default).
#[derive(Default)]
pub struct Body(pub(crate) Content);

/// Where content comes from.
#[derive(Default)]
pub(crate) enum Content {
    #[default]
    Empty,
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Shared(Bytes),
    Stream(Box<StreamContent>),
    File(FileContent),
}

/// Content that is in a file.
pub(crate) enum FileContent {
    /// Whoever sends it has to open it first.
    Named(PathBuf),
    /// So many bytes of it are to be sent.
    Open { file: File, len: u64 },
}

/// Content that is made while it is sent, and what comes behind it.
pub(crate) struct StreamContent {
    pub(crate) pieces: Pieces,
    pub(crate) trailers: Option<MakeTrailers>,
}

/// What makes the fields behind a stream when it has ended.
pub(crate) type MakeTrailers = Box<dyn FnOnce() -> Trailers>;

/// The pieces of content that is made while it is sent.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Error>>>>;

impl Content {
    /// Returns content that is in memory; `None` for a stream and a file.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Content::Empty => Some(&[]),
            Content::Static(bytes) => Some(bytes),
            Content::Owned(bytes) => Some(bytes),
            Content::Shared(bytes) => Some(bytes),
            Content::Stream(_) | Content::File(_) => None,
        }
    }

    /// Returns how many bytes of an open file are to be sent.
    pub(crate) fn file_len(&self) -> Option<u64> {
        match self {
            Content::File(FileContent::Open { len, .. }) => Some(*len),
            _ => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_bytes(), &self.0) {
            (Some(bytes), _) => write!(f, "{} bytes", bytes.len()),
            (None, Content::File(_)) => f.write_str("a file"),
            (None, _) => f.write_str("a stream"),
        }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body(Content::Static(text.as_bytes()))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body(Content::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Body {
        Body(Content::Static(bytes))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body(Content::Owned(text.into_bytes()))
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Body {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body(Content::Owned(bytes))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body(Content::Shared(bytes))
    }
}

/// A stream whose pieces and errors have become Snow's.
struct Erased<S> {
    // Boxed because pinning a field in place takes `unsafe`.
    stream: Pin<Box<S>>,
}

impl<S, B, E> Stream for Erased<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<Error>,
{
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let next = self.stream.as_mut().poll_next(cx);
        next.map(|item| item.map(|piece| piece.map(Into::into).map_err(Into::into)))
    }
}
