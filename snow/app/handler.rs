//! What can be registered: functions and closures that take a `Request` and return an answer.

use super::reply::{IntoReply, Reply};
use crate::http::Request;

/// A function or closure that answers requests: `Fn(Request) -> R`, where `R` is anything that
/// [can be returned](IntoReply).
///
/// It is implemented for all of them and need not be implemented by hand. `Marker` tells answers from
/// futures of answers, and is always inferred.
///
/// # Examples
///
/// ```
/// use snow::{Request, Response, Result, get};
///
/// fn now(_: Request) -> Response {
///     Response::text("now")
/// }
/// async fn later(req: Request) -> Result<String> {
///     let id: u64 = req.parse_param("id")?;
///     Ok(format!("number {id}"))
/// }
/// let routes = [
///     get("^/now$", now),
///     get(r"^/later/(?<id>\d+)$", later),
///     get("^/closure$", |_| "closure"),
///     get("^/async$", async |req: Request| req.path().to_string()),
/// ];
/// # let _ = routes;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler",
    label = "not a handler",
    note = "a handler is a `Send + Sync + 'static` function or closure that takes one `snow::Request` \
            and returns an answer",
    note = "an answer is a `Response`, text, bytes, a `(StatusCode, …)` pair, `Json<T>`, an `Option` or \
            `Result` of those, a `snow::Future`, a `TimeoutFuture`, or a future of an answer"
)]
pub trait Handler<R, Marker>: Fn(Request) -> R + Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: Request) -> Reply;
}

impl<F, R, Marker> Handler<R, Marker> for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: IntoReply<Marker>,
{
    fn answer(&self, request: Request) -> Reply {
        self(request).into_reply()
    }
}

/// A handler, its type erased.
pub(crate) type BoxHandler = Box<dyn Fn(Request) -> Reply + Send + Sync>;

/// Erases the type of a handler.
pub(crate) fn boxed<R: 'static, Marker: 'static>(handler: impl Handler<R, Marker>) -> BoxHandler {
    Box::new(move |request| handler.answer(request))
}
