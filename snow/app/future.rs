//! Answers that somebody, or time, completes.

use super::reply::{IntoResponse, Later};
use crate::{
    Error, ErrorKind, Result,
    http::Response,
    rt::{Sleep, sleep},
};
use std::{
    fmt,
    future::IntoFuture,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

/// An answer that anyone may complete, once, from any thread.
///
/// It is a cheap clone of one promise. A handler keeps a clone where others find it and returns the
/// other; [`set_result`](Future::set_result) then wakes exactly the request that waits. Only one request
/// can wait for a promise: a second that returns or awaits a clone of it fails, with a 500. A client that
/// goes away takes its promise along ([`is_cancelled`](Future::is_cancelled)). When the last clone
/// that could complete it is dropped, the request is answered 500 at once and a warning is logged:
/// nothing hangs for ever by mistake.
///
/// It may also be [awaited](Future::into_future), which gives a `Result` with the value instead of the
/// answer made of it.
///
/// # Examples
///
/// ```
/// use snow::{Future, Request, Response, get};
/// use std::sync::Mutex;
///
/// static WAITING: Mutex<Vec<Future<String>>> = Mutex::new(Vec::new());
///
/// fn next(_: Request) -> Future<String> {
///     let future = Future::new(|value: String| Response::text(value));
///     WAITING.lock().unwrap().push(future.clone());
///     future
/// }
/// fn tell(_: Request) -> &'static str {
///     for future in WAITING.lock().unwrap().drain(..) {
///         let _ = future.set_result("news".to_string());
///     }
///     "told"
/// }
/// let routes = [get("^/next$", next), get("^/tell$", tell)];
/// # let _ = routes;
/// ```
pub struct Future<T> {
    promise: Arc<Promise<T>>,
}

struct Promise<T>(Mutex<State<T>>);

struct State<T> {
    /// Clones that could complete it.
    handles: usize,
    result: ResultSlot<T>,
    waiter: WaiterSlot,
    then: Option<Box<dyn FnOnce(T) -> Response + Send>>,
    timeout: Option<Duration>,
}

enum ResultSlot<T> {
    Unset,
    Set(T),
    /// Given to whoever waited.
    Taken,
}

enum WaiterSlot {
    /// Nobody waits yet.
    NotYet,
    Waiting(Option<Waker>),
    /// Whoever waited has the result.
    Served,
    /// Nobody waits any more, and nobody has the result.
    Gone,
}

impl<T> Promise<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Future<T> {
    /// Makes a promise whose value `then` turns into the answer, on the loop of the request.
    pub fn new<F, R>(then: F) -> Future<T>
    where
        F: FnOnce(T) -> R + Send + 'static,
        R: IntoResponse,
    {
        Future::with(Some(Box::new(|value| then(value).into_response())))
    }

    fn with(then: Option<Box<dyn FnOnce(T) -> Response + Send>>) -> Future<T> {
        Future {
            promise: Arc::new(Promise(Mutex::new(State {
                handles: 1,
                result: ResultSlot::Unset,
                waiter: WaiterSlot::NotYet,
                then,
                timeout: None,
            }))),
        }
    }

    /// Makes a promise that is [awaited](Future::into_future) and not returned: to return it makes a 500.
    pub fn promise() -> Future<T> {
        Future::with(None)
    }

    /// Completes the promise and wakes the request that waits.
    ///
    /// `Ok` does not mean that the client gets the answer: it may leave before that, and it may have left
    /// without being known to. A reset is known at once. An ordinary close may be a half-close, whose
    /// client still wants its answer, so it counts only after
    /// [`Config::half_close_grace`](crate::Config::half_close_grace), 5 s.
    ///
    /// # Errors
    ///
    /// The value comes back when nobody waits any more, or when the promise was completed before.
    pub fn set_result(&self, value: T) -> Result<(), T> {
        let mut state = self.promise.lock();
        if let (WaiterSlot::Gone, _) | (_, ResultSlot::Set(_) | ResultSlot::Taken) =
            (&state.waiter, &state.result)
        {
            return Err(value);
        }
        state.result = ResultSlot::Set(value);
        let waker = state.take_waker();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Returns whether nobody waits any more, so that a result would reach nobody: the client is [known to
    /// have left](Future::set_result), the time is over, or the server has stopped.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.promise.lock().waiter, WaiterSlot::Gone)
    }

    /// Bounds the wait: after `duration` from when it is returned or awaited, the answer is 504.
    #[must_use = "this returns the bounded future"]
    pub fn timeout(self, duration: Duration) -> Future<T> {
        self.promise.lock().timeout = Some(duration);
        self
    }

    /// Gives up this clone for the right to wait.
    fn into_waiter(self) -> Result<Waiter<T>> {
        let mut state = self.promise.lock();
        if !matches!(state.waiter, WaiterSlot::NotYet) {
            return Err(Error::new(ErrorKind::Handler, "a Future can answer one request only"));
        }
        state.waiter = WaiterSlot::Waiting(None);
        let sleep = state.timeout.map(sleep);
        drop(state);
        Ok(Waiter { promise: Arc::clone(&self.promise), sleep })
    }

    pub(crate) fn into_answer(self) -> Result<Later> {
        Ok(Later::Promised(Box::pin(Answering(self.into_waiter()?))))
    }
}

impl<T> State<T> {
    fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.waiter {
            WaiterSlot::Waiting(waker) => waker.take(),
            WaiterSlot::NotYet | WaiterSlot::Served | WaiterSlot::Gone => None,
        }
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Future<T> {
        self.promise.lock().handles += 1;
        Future { promise: Arc::clone(&self.promise) }
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        let mut state = self.promise.lock();
        state.handles -= 1;
        if state.handles == 0 {
            let waker = state.take_waker();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Future")
    }
}

impl<T: Send + 'static> IntoFuture for Future<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn std::future::Future<Output = Result<T>>>>;

    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// `Handler` when all clones that could complete it have been dropped, or when another waits for it or
    /// has waited; `HandlerTimeout` when its [`timeout`](Future::timeout) is over. With `?` they make a 500
    /// and a 504.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{ErrorKind, Future, Request, Result, Snow, get};
    /// use std::{sync::Mutex, time::Duration};
    ///
    /// static WAITING: Mutex<Vec<Future<u32>>> = Mutex::new(Vec::new());
    ///
    /// async fn next(_: Request) -> Result<String> {
    ///     let future = Future::promise().timeout(Duration::from_secs(30));
    ///     WAITING.lock().unwrap().push(future.clone());
    ///     match future.await {
    ///         Ok(value) => Ok(format!("number {value}")),
    ///         Err(error) if error.kind() == ErrorKind::HandlerTimeout => Ok("nothing new".to_string()),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// let mut client = Snow::new([get("^/next$", next)]).test_client()?;
    /// let pending = client.get("/next").start();
    /// for future in WAITING.lock().unwrap().drain(..) {
    ///     let _ = future.set_result(7);
    /// }
    /// assert_eq!(client.finish(pending).text(), "number 7");
    /// assert_eq!(client.get("/next").send().text(), "nothing new");
    /// # Ok::<(), snow::Error>(())
    /// ```
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.into_waiter()?.await })
    }
}

/// The one who waits for a promise.
struct Waiter<T> {
    promise: Arc<Promise<T>>,
    sleep: Option<Sleep>,
}

impl<T> std::future::Future for Waiter<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let mut state = self.promise.lock();
        match std::mem::replace(&mut state.result, ResultSlot::Taken) {
            ResultSlot::Set(value) => {
                let waiter = std::mem::replace(&mut state.waiter, WaiterSlot::Served);
                drop(state);
                drop(waiter);
                return Poll::Ready(Ok(value));
            }
            other => state.result = other,
        }
        if state.handles == 0 {
            log::warn!("a Future was dropped by all who could complete it");
            return Poll::Ready(Err(Error::new(ErrorKind::Handler, "the answer was abandoned")));
        }
        // A waker is dropped when the lock is open again: it may own who waits, or the promise.
        let waiter = WaiterSlot::Waiting(Some(cx.waker().clone()));
        let replaced = std::mem::replace(&mut state.waiter, waiter);
        drop(state);
        drop(replaced);
        if let Some(sleep) = &mut self.sleep {
            if Pin::new(sleep).poll(cx).is_ready() {
                self.give_up();
                let reason = "a Future was not completed in time";
                return Poll::Ready(Err(Error::new(ErrorKind::HandlerTimeout, reason)));
            }
        }
        Poll::Pending
    }
}

impl<T> Waiter<T> {
    /// Waits no more.
    fn give_up(&self) {
        let mut state = self.promise.lock();
        if let WaiterSlot::Served = state.waiter {
            return;
        }
        // Values and callbacks are the program's: they are dropped when the lock is open again.
        let left = (
            std::mem::replace(&mut state.waiter, WaiterSlot::Gone),
            std::mem::replace(&mut state.result, ResultSlot::Taken),
            state.then.take(),
        );
        drop(state);
        drop(left);
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The answer that is made of what was waited for.
struct Answering<T>(Waiter<T>);

impl<T> std::future::Future for Answering<T> {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let outcome = ready!(Pin::new(&mut self.0).poll(cx));
        // What it holds is let go, whether it is called or not.
        let then = self.0.promise.lock().then.take();
        Poll::Ready(match (outcome, then) {
            (Ok(value), Some(then)) => then(value),
            (Ok(_), None) => Response::failed(Error::new(
                ErrorKind::Handler,
                "a Future without a callback cannot be the answer: use Future::new",
            )),
            (Err(error), _) => Response::failed(error),
        })
    }
}

/// An answer that time completes: 504, or what [`then`](TimeoutFuture::then) makes.
///
/// # Examples
///
/// ```
/// use snow::{Request, Response, TimeoutFuture, get};
/// use std::time::Duration;
///
/// fn tea(_: Request) -> TimeoutFuture {
///     TimeoutFuture::new(Duration::from_millis(50)).then(|| Response::text("tea is ready"))
/// }
/// let route = get("^/tea/$", tea);
/// # let _ = route;
/// ```
#[must_use = "return it from a handler"]
pub struct TimeoutFuture {
    duration: Duration,
    then: Option<Box<dyn FnOnce() -> Response>>,
}

impl TimeoutFuture {
    /// Answers 504 after `duration`.
    pub fn new(duration: Duration) -> TimeoutFuture {
        TimeoutFuture { duration, then: None }
    }

    /// Answers with what `callback` returns instead.
    pub fn then<F, R>(mut self, callback: F) -> TimeoutFuture
    where
        F: FnOnce() -> R + 'static,
        R: IntoResponse,
    {
        self.then = Some(Box::new(|| callback().into_response()));
        self
    }

    pub(crate) fn into_answer(self) -> Timed {
        Timed { sleep: sleep(self.duration), then: self.then }
    }
}

/// A [`TimeoutFuture`] that is waited for.
pub(crate) struct Timed {
    sleep: Sleep,
    then: Option<Box<dyn FnOnce() -> Response>>,
}

impl std::future::Future for Timed {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        Poll::Ready(match self.then.take() {
            Some(then) => then(),
            None => http::StatusCode::GATEWAY_TIMEOUT.into_response(),
        })
    }
}

impl fmt::Debug for TimeoutFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeoutFuture({:?})", self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::testing::waker_with_last_act;
    use std::future::Future as _;

    fn poll(waiter: &mut Waiter<u8>) -> bool {
        let promise = Arc::clone(&waiter.promise);
        let waker = waker_with_last_act(move || assert!(promise.0.try_lock().is_ok()));
        Pin::new(waiter).poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn a_waker_that_goes_may_own_the_promise() {
        for is_completed in [true, false] {
            let future = Future::promise();
            let mut waiter = future.clone().into_waiter().unwrap();
            assert!(!poll(&mut waiter) && !poll(&mut waiter));
            if is_completed {
                future.set_result(7).unwrap();
                assert!(poll(&mut waiter));
            }
        }
    }
}
