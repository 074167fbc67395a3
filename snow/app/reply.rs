//! What can be returned: an answer now, one that comes later, or a `Result` of either.

use super::future::{Future, Timed, TimeoutFuture};
use crate::{Error, ErrorKind, http::Response};
use bytes::Bytes;
use http::StatusCode;
use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll},
};

/// What can be turned into a [`Response`] at once.
///
/// Implement it for types of your own to return them from handlers.
///
/// # Examples
///
/// ```
/// use snow::{IntoResponse, Response, get};
///
/// struct Csv(String);
///
/// impl IntoResponse for Csv {
///     fn into_response(self) -> Response {
///         Response::text(self.0).header("content-type", "text/csv")
///     }
/// }
/// let route = get("^/table$", |_| Csv("a,b\r\n".to_string()));
/// # let _ = route;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be turned into a response",
    note = "return a `Response`, text, bytes, a `(StatusCode, …)` pair, `Json<T>`, or an `Option` or \
            `Result` of those; the error of a `Result` must convert into `snow::Error`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// Implements the conversion for types that are a body by themselves.
macro_rules! bodies {
    ($($kind:ident: $($body:ty),+;)+) => {$($(
        impl IntoResponse for $body {
            fn into_response(self) -> Response {
                Response::$kind(self)
            }
        }
    )+)+};
}

bodies! {
    text: &'static str, String, Cow<'static, str>;
    bytes: &'static [u8], Vec<u8>, Bytes;
}

impl<const N: usize> IntoResponse for &'static [u8; N] {
    fn into_response(self) -> Response {
        Response::bytes(self)
    }
}

/// An empty 200.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(StatusCode::OK)
    }
}

/// The status, and its name as the text unless it has no content.
impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        Response::text(crate::http::reason_text(self)).status(self)
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        self.1.into_response().status(self.0)
    }
}

/// `None` is 404.
impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Response {
        match self {
            Some(answer) => answer.into_response(),
            None => Error::new(ErrorKind::NotFound, "not found").into_response(),
        }
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into().into_response(),
        }
    }
}

/// The status of the error's kind, and its message if it is a 4xx.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Response::failed(self)
    }
}

/// A value that is sent as JSON.
///
/// # Examples
///
/// ```
/// use snow::{Json, get};
///
/// let route = get("^/numbers$", |_| Json([1, 2, 3]));
/// # let _ = route;
/// ```
#[cfg(feature = "json")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Json<T>(pub T);

#[cfg(feature = "json")]
impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::json(&self.0)
    }
}

/// A handler's answer, now or later; made by [`IntoReply`], and by [`Handler::answer`](super::Handler::answer)
/// for a handler around another.
///
/// # Examples
///
/// ```
/// use snow::{Error, ErrorKind, Handler, Reply, Request, Result, Snow, get};
///
/// /// Has `handler` answer only those who know the word.
/// fn secret<R, M>(handler: impl Handler<R, M>) -> impl Fn(Request) -> Result<Reply> {
///     move |req| match req.header("authorization") {
///         Some("Bearer sesame") => {
///             let reply = handler.answer(req);
///             Ok(reply.map(|response| response.header("cache-control", "no-store")))
///         }
///         _ => Err(Error::new(ErrorKind::Forbidden, "say the word")),
///     }
/// }
///
/// let mut client = Snow::new([get("^/$", secret(async |_| "treasure"))]).test_client()?;
/// assert_eq!(client.get("/").send().status(), 403);
/// let answer = client.get("/").header("authorization", "Bearer sesame").send();
/// assert_eq!((answer.text(), answer.header("cache-control")), ("treasure", Some("no-store")));
/// # Ok::<(), snow::Error>(())
/// ```
pub struct Reply(pub(crate) Answer);

impl Reply {
    /// Changes the response, when it is there. It may be the one that a failure is answered with, whose fields
    /// stay when [`on_error`](crate::Snow::on_error) replaces it.
    ///
    /// Not all that can go wrong has done so by then. A [file](Response::file) is not opened yet; and a panic of
    /// the handler, or its [timeout](crate::Route::timeout), is answered without this.
    pub fn map(self, change: impl FnOnce(Response) -> Response + 'static) -> Reply {
        Reply(match self.0 {
            Answer::Now(response) => Answer::Now(change(response)),
            Answer::Later(later) => {
                let is_parked = later.is_parked();
                let changed: Boxed = Box::pin(async { change(later.await) });
                Answer::Later(if is_parked {
                    Later::Promised(changed)
                } else {
                    Later::Made(changed)
                })
            }
        })
    }
}

/// When an answer comes.
pub(crate) enum Answer {
    Now(Response),
    Later(Later),
}

type Boxed = Pin<Box<dyn std::future::Future<Output = Response>>>;

/// An answer to come.
pub(crate) enum Later {
    /// When the handler has done its work.
    Made(Boxed),
    /// When somebody completes it.
    Promised(Boxed),
    /// When its time has come. In place and not boxed: when ten thousand wait, each piece of memory is a
    /// cache miss.
    Timed(Timed),
}

impl Later {
    /// Returns whether somebody else is to complete it: what a stopping server does not wait for.
    pub(crate) fn is_parked(&self) -> bool {
        match self {
            Later::Promised(_) => true,
            Later::Made(_) | Later::Timed(_) => false,
        }
    }
}

impl std::future::Future for Later {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match &mut *self {
            Later::Made(future) | Later::Promised(future) => future.as_mut().poll(cx),
            Later::Timed(timed) => Pin::new(timed).poll(cx),
        }
    }
}

/// What a handler may return: an answer now or later.
///
/// `Marker` is [`Now`] or [`Awaited`], and always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a handler",
    label = "this handler returns `{Self}`",
    note = "return a `Response`, text, bytes, a `(StatusCode, …)` pair, `Json<T>`, an `Option` or \
            `Result` of those, a `snow::Future`, a `TimeoutFuture`, or a future of an answer"
)]
pub trait IntoReply<Marker> {
    /// Makes the reply.
    fn into_reply(self) -> Reply;
}

/// Marks answers that are no futures of the standard library.
#[derive(Debug)]
pub enum Now {}

/// Marks answers of `async fn`s.
#[derive(Debug)]
pub enum Awaited {}

impl<T: IntoResponse> IntoReply<Now> for T {
    fn into_reply(self) -> Reply {
        Reply(Answer::Now(self.into_response()))
    }
}

impl<F> IntoReply<Awaited> for F
where
    F: std::future::Future + 'static,
    F::Output: IntoResponse,
{
    fn into_reply(self) -> Reply {
        Reply(Answer::Later(Later::Made(Box::pin(async { self.await.into_response() }))))
    }
}

impl<T: Send + 'static> IntoReply<Now> for Future<T> {
    fn into_reply(self) -> Reply {
        match self.into_answer() {
            Ok(later) => Reply(Answer::Later(later)),
            Err(error) => error.into_reply(),
        }
    }
}

impl IntoReply<Now> for TimeoutFuture {
    fn into_reply(self) -> Reply {
        Reply(Answer::Later(Later::Timed(self.into_answer())))
    }
}

/// As it is: the answer of a handler [around another](Reply).
impl IntoReply<Now> for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl<E: Into<Error>> IntoReply<Now> for Result<Reply, E> {
    fn into_reply(self) -> Reply {
        self.unwrap_or_else(|error| error.into().into_reply())
    }
}

impl<T: Send + 'static, E: Into<Error>> IntoReply<Now> for Result<Future<T>, E> {
    fn into_reply(self) -> Reply {
        self.map_or_else(|error| error.into().into_reply(), Future::into_reply)
    }
}

impl<E: Into<Error>> IntoReply<Now> for Result<TimeoutFuture, E> {
    fn into_reply(self) -> Reply {
        self.map_or_else(|error| error.into().into_reply(), TimeoutFuture::into_reply)
    }
}
