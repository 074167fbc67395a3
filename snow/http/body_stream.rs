//! A request body that arrives while its handler runs.
//!
//! The connection feeds one end, the handler reads the other, on whatever thread. A bounded number of
//! bytes lies between them: a handler that does not read stops the reading from the socket.

use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures_core::Stream;
use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Bytes that may lie between the socket and the handler.
const CAPACITY: usize = 32 * 1024;

/// Bytes up to which small pieces are put together, so that none costs more than it holds.
const SMALL: usize = 4096;

#[derive(Default)]
struct Shared {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of all chunks.
    len: usize,
    end: Option<Result<()>>,
    /// Whether the handler has asked for content, or dropped its end.
    interest: Interest,
    reader: Option<Waker>,
    feeder: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Interest {
    #[default]
    NotYet,
    Reads,
    Gone,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's content as it arrives: a stream of pieces, which ends with an error when the client
/// broke off or broke the rules, and when the request was answered before its content was read.
///
/// # Examples
///
/// ```
/// use snow::{Request, Result, post};
///
/// async fn count(mut req: Request) -> Result<String> {
///     let mut body = req.body_stream();
///     let mut len = 0;
///     while let Some(piece) = body.next().await {
///         len += piece?.len();
///     }
///     Ok(format!("{len} bytes"))
/// }
/// let route = post("^/count$", count).streaming();
/// # let _ = route;
/// ```
pub struct BodyStream(Arc<Mutex<Shared>>);

/// The end of a [`BodyStream`] that the connection fills.
pub(crate) struct BodyFeed(Arc<Mutex<Shared>>);

impl BodyStream {
    /// Makes the two ends of a body.
    pub(crate) fn channel() -> (BodyFeed, BodyStream) {
        let shared = Arc::new(Mutex::new(Shared::default()));
        (BodyFeed(Arc::clone(&shared)), BodyStream(shared))
    }

    /// Makes a stream of content that has arrived already.
    pub(crate) fn whole(content: Vec<u8>) -> BodyStream {
        let (feed, stream) = BodyStream::channel();
        if !content.is_empty() {
            feed.push(&content);
        }
        feed.end(Ok(()));
        stream
    }

    /// Waits for the next piece; `None` is the end, and what follows an error.
    ///
    /// Dropping the future loses nothing: it takes a piece only when it completes.
    ///
    /// # Errors
    ///
    /// `BadRequest` when the client left before the end, when the request was answered before its content was
    /// read, or when the chunked framing is malformed;
    /// `ContentTooLarge` beyond the [limit of the route](crate::Route::max_body_bytes); `RequestTimeout`
    /// when the client is too slow ([`body_timeout`](crate::Config::body_timeout),
    /// [`min_body_rate`](crate::Config::min_body_rate)); `HeadTooLarge` for trailers beyond their limits;
    /// `Unavailable` when the connections of the worker [hold too much](crate::Config::max_buffered_bytes).
    /// The connection ends after the answer; with `?` that has the status of the error.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut shared = lock(&self.0);
        if let Some(chunk) = shared.chunks.pop_front() {
            shared.len -= chunk.len();
            let waker = shared.feeder.take();
            wake(shared, waker);
            return Poll::Ready(Some(Ok(Bytes::from(chunk))));
        }
        match shared.end.replace(Ok(())) {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                shared.end = None;
                let replaced = shared.reader.replace(cx.waker().clone());
                let waker = match mem::replace(&mut shared.interest, Interest::Reads) {
                    Interest::NotYet => shared.feeder.take(),
                    Interest::Reads | Interest::Gone => None,
                };
                wake(shared, waker);
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.interest = Interest::Gone;
        shared.chunks.clear();
        shared.len = 0;
        let waker = shared.feeder.take();
        wake(shared, waker);
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}

/// Wakes with the lock open: a waker may drop a task, which may own an end of this body.
fn wake(shared: MutexGuard<'_, Shared>, waker: Option<Waker>) {
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl BodyFeed {
    /// Adds a piece.
    pub(crate) fn push(&self, piece: &[u8]) {
        let mut shared = lock(&self.0);
        if shared.interest == Interest::Gone {
            return;
        }
        shared.len += piece.len();
        match shared.chunks.back_mut() {
            Some(last) if last.len() + piece.len() <= SMALL => last.extend_from_slice(piece),
            _ => shared.chunks.push_back(piece.to_vec()),
        }
        let waker = shared.reader.take();
        wake(shared, waker);
    }

    /// Says that nothing more comes, and why.
    pub(crate) fn end(&self, how: Result<()>) {
        let mut shared = lock(&self.0);
        shared.end = Some(how);
        let waker = shared.reader.take();
        wake(shared, waker);
    }

    /// Returns how many bytes the handler has not read; the task is woken when it reads any.
    pub(crate) fn unread(&self, cx: &Context<'_>) -> usize {
        let mut shared = lock(&self.0);
        if shared.len > 0 {
            shared.feeder = Some(cx.waker().clone());
        }
        shared.len
    }

    /// Returns how many bytes the handler has not read.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len
    }

    /// Throws away what the handler has not read.
    pub(crate) fn clear(&self) {
        let mut shared = lock(&self.0);
        shared.chunks.clear();
        shared.len = 0;
    }

    /// Is ready when there is room for more, or nobody reads any more.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.0);
        if shared.len < CAPACITY {
            return Poll::Ready(());
        }
        shared.feeder = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Is ready when the handler has asked for content that is not there.
    pub(crate) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.0);
        if shared.interest == Interest::Reads {
            return Poll::Ready(());
        }
        shared.feeder = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns whether the handler has dropped its end.
    pub(crate) fn is_abandoned(&self) -> bool {
        lock(&self.0).interest == Interest::Gone
    }
}

impl Drop for BodyFeed {
    /// A feed that goes before its end is that of a client that went, or was answered.
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        if shared.end.is_none() {
            let reason = "the client left, or was answered, before its content was read";
            shared.end = Some(Err(Error::new(ErrorKind::BadRequest, reason)));
            let waker = shared.reader.take();
            wake(shared, waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    /// A waker that looks at the body when it is dropped, as one does that owns an end of it.
    struct Looks(Arc<Mutex<Shared>>);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Looks {
        fn drop(&mut self) {
            assert!(self.0.try_lock().is_ok());
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_own_an_end() {
        let (_feed, mut stream) = BodyStream::channel();
        for _ in 0..3 {
            let waker = Waker::from(Arc::new(Looks(Arc::clone(&stream.0))));
            let outcome = Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker));
            assert!(outcome.is_pending());
        }
    }
}
