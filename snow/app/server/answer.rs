//! Waiting for a handler's answer.

use super::{Connection, Contained, End, Exchange, Feed, Step, Wait, ending};
use crate::{Error, ErrorKind, app::reply::Later, http::Response, net::Scratch, rt::Time};
use std::{
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// An answer to come.
pub(super) struct Pending {
    pub(super) later: Contained<Later>,
    pub(super) exchange: Exchange,
    /// When the handler's time is over.
    pub(super) until: Time,
    /// When a client that has closed its sending side counts as gone.
    pub(super) grace: Time,
    /// Where content that arrives meanwhile goes.
    pub(super) feed: Option<Box<Feed>>,
}

impl Connection {
    /// Waits for the answer that is pending, and sends it.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Wait> {
        // Taken out while it is polled.
        let Some(mut pending) = self.pending.take() else { return Poll::Ready(Wait::Turn) };
        Scratch::with(|Scratch { output, .. }| {
            match self.poll_answer_into(&mut pending, output, cx) {
                Poll::Ready(step) => Poll::Ready(self.settle(step, output, cx).unwrap_or_default()),
                Poll::Pending => {
                    self.pending = Some(pending);
                    // It may be a 100. What does not fit is written before the answer; a broken connection
                    // shows at the next read.
                    let _ = self.poll_output(output, cx);
                    Poll::Pending
                }
            }
        })
    }

    pub(super) fn poll_answer_into(
        &mut self,
        pending: &mut Pending,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        if let Some(feed) = &mut pending.feed {
            // A client that has closed its sending side behind its content is not gone while that content
            // is read.
            if self.poll_feed(feed, output, cx) {
                pending.grace = Time::NEVER;
            }
        }
        let later = Pin::new(pending.later.get());
        let meanwhile = match catch_unwind(AssertUnwindSafe(|| later.poll(cx))) {
            Ok(Poll::Ready(response)) => Meanwhile::Answered(response),
            Ok(Poll::Pending) => self.poll_meanwhile(pending, cx),
            Err(panic) => Meanwhile::Answered(self.panicked(&pending.exchange, &*panic)),
        };
        match meanwhile {
            Meanwhile::Nothing => Poll::Pending,
            Meanwhile::Left => Poll::Ready(ending(End::Close)),
            Meanwhile::Answered(mut response) => {
                let exchange = mem::take(&mut pending.exchange);
                Poll::Ready(self.respond(&mut response, exchange, pending.feed.take(), output))
            }
        }
    }

    /// Looks after everything but the handler while it has no answer.
    fn poll_meanwhile(&mut self, pending: &mut Pending, cx: &mut Context<'_>) -> Meanwhile {
        let worker = Rc::clone(&self.worker);
        if let Some(feed) = &mut pending.feed {
            feed.recount(cx);
        }
        if worker.is_stopping() && pending.later.get().is_parked() {
            return Meanwhile::Answered(worker.answer_shutdown());
        }
        let stalls = pending
            .feed
            .as_ref()
            .map_or(Time::NEVER, |feed| feed.stalls(worker.app.config.body_timeout));
        if self.poll_hangup(&mut pending.grace, stalls, cx) {
            return Meanwhile::Left;
        }
        self.deadline.set(pending.until.min(pending.grace).min(stalls));
        if self.deadline.poll_passed(&self.worker.handle, cx).is_pending() {
            return Meanwhile::Nothing;
        }
        let now = self.now();
        if pending.grace <= now {
            return Meanwhile::Left;
        }
        if pending.until <= now {
            let error = Error::new(ErrorKind::HandlerTimeout, "the handler took too long");
            return Meanwhile::Answered(Response::failed(error));
        }
        // Content has stalled: the next poll tells the handler.
        cx.waker().wake_by_ref();
        Meanwhile::Nothing
    }
}

/// What came of waiting for a handler.
enum Meanwhile {
    Nothing,
    Answered(Response),
    /// There is nobody left to answer.
    Left,
}
