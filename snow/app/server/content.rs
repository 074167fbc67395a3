//! Content that has not come in full: collected for a handler, or fed to one that runs already.

use super::{
    Connection, Exchange, Halt, Pace, READS_PER_TURN, Step, Wait, overfull, too_large, too_slow,
};
use crate::{
    Error, ErrorKind, Result,
    app::{router::RouteOptions, worker::Held},
    http::{BodyFeed, BodyStream, Piece, Request, RequestBody},
    net::{Scratch, Stream},
    rt::Time,
};
use std::{
    io, mem,
    ops::ControlFlow::Break,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// A request whose content has not arrived in full.
pub(super) struct Incoming {
    pub(super) request: Request,
    pub(super) exchange: Exchange,
    pub(super) content: Vec<u8>,
    /// Bytes of content that are still allowed.
    pub(super) limit: u64,
    pub(super) pace: Pace,
    pub(super) held: Held,
}

impl Incoming {
    /// Counts what a request holds while its content arrives.
    fn count(&mut self) -> Result<()> {
        let head = self.request.parts().head.capacity();
        let fits = self.held.set(head + self.content.capacity());
        if fits { Ok(()) } else { Err(overfull()) }
    }
}

/// Content on its way to a handler that runs already.
pub(super) struct Feed {
    pub(super) to: BodyFeed,
    /// Bytes of content that are still allowed.
    pub(super) limit: u64,
    /// While it is read: the time that the handler takes is not counted.
    pub(super) pace: Option<Pace>,
    /// What the handler has not read.
    pub(super) held: Held,
}

impl Feed {
    /// Returns until when more has to come.
    pub(super) fn stalls(&self, stall: Duration) -> Time {
        self.pace.map_or(Time::NEVER, |pace| pace.stalls(stall))
    }

    /// Counts anew what the handler has not read, and has the task woken when that gets less.
    pub(super) fn recount(&mut self, cx: &Context<'_>) {
        self.held.set(self.to.unread(cx));
    }
}

impl Connection {
    /// Takes the content of a request as far as it has come, and calls the handler when it may.
    #[inline(never)]
    pub(super) fn take_content(
        &mut self,
        options: RouteOptions,
        request: Request,
        exchange: Exchange,
        rest: &mut &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let limit = options.max_body_bytes.unwrap_or(self.worker.app.config.max_body_bytes);
        if self.conn.declared_content() > limit {
            return self.refuse(too_large(), Some(exchange), output);
        }
        if options.is_streaming {
            return self.begin_feed(limit, request, exchange, rest, output, cx);
        }
        let mut incoming = Incoming {
            request,
            exchange,
            content: Vec::new(),
            limit,
            pace: Pace::new(self.now()),
            held: self.worker.hold(0),
        };
        match self.gather(&mut incoming, rest) {
            Ok(true) => {
                let Incoming { request, exchange, .. } = incoming;
                self.call(request, exchange, None, output, cx)
            }
            Ok(false) => {
                incoming.pace.bytes = limit - incoming.limit;
                self.conn.write_continue(output);
                Break(Halt::Wait(Wait::Content(Box::new(incoming))))
            }
            Err(error) => self.refuse(error, Some(incoming.exchange), output),
        }
    }

    /// Calls a handler that reads content as it comes.
    fn begin_feed(
        &mut self,
        limit: u64,
        mut request: Request,
        exchange: Exchange,
        rest: &mut &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let (to, stream) = BodyStream::channel();
        request.parts_mut().body = RequestBody::Stream(stream);
        let (pace, held) = (Some(Pace::new(self.now())), self.worker.hold(0));
        let mut feed = Box::new(Feed { to, limit, pace, held });
        match self.feed_from(&mut feed, rest) {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return self.refuse(error, Some(exchange), output);
            }
            // The handler hears of it, and answers.
            Err(error) => {
                self.conn.refuse();
                feed.to.end(Err(error));
            }
            Ok(()) => {}
        }
        if let Some(pace) = &mut feed.pace {
            pace.bytes = limit - feed.limit;
        }
        self.call(request, exchange, Some(feed), output, cx)
    }

    /// Adds what has come of a request's content; true when it is complete and in the request.
    fn gather(&mut self, incoming: &mut Incoming, rest: &mut &[u8]) -> Result<bool> {
        loop {
            match self.conn.receive_content(rest, &self.worker.app.config)? {
                Piece::Data(data) => {
                    let allowed = incoming.limit.checked_sub(data.len() as u64);
                    incoming.limit = allowed.ok_or_else(too_large)?;
                    incoming.content.extend_from_slice(data);
                    incoming.count()?;
                }
                Piece::Incomplete if self.conn.declared_content() > incoming.limit => {
                    return Err(too_large());
                }
                Piece::Incomplete => {
                    incoming.count()?;
                    return Ok(false);
                }
                Piece::End => {
                    let parts = incoming.request.parts_mut();
                    parts.trailers = self.conn.end_content().into();
                    parts.body = RequestBody::Whole(mem::take(&mut incoming.content));
                    return Ok(true);
                }
            }
        }
    }

    /// Takes the rest of a request's content, then calls the handler.
    pub(super) fn poll_content(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Wait> {
        Scratch::with(|Scratch { input, output, .. }| {
            for _ in 0..READS_PER_TURN {
                let step = match self.poll_more_content(incoming, input, cx) {
                    Poll::Ready(Ok(Ok(false))) => continue,
                    Poll::Ready(Err(error)) => return Poll::Ready(self.give_up(&error)),
                    Poll::Ready(Ok(outcome)) => {
                        let request = mem::replace(
                            &mut incoming.request,
                            Request::new(self.worker.context()),
                        );
                        let exchange = mem::take(&mut incoming.exchange);
                        match outcome {
                            Ok(_) => self.call(request, exchange, None, output, cx),
                            Err(error) => self.refuse(error, Some(exchange), output),
                        }
                    }
                    Poll::Pending => return Poll::Pending,
                };
                return Poll::Ready(self.settle(step, output, cx).unwrap_or_default());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Reads once; true when the content is complete. A connection that breaks is nobody's to answer.
    fn poll_more_content(
        &mut self,
        incoming: &mut Incoming,
        input: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<bool>>> {
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        let len = match self.stream.poll_read(cx, input)? {
            Poll::Ready(0) => {
                let reason = "the connection ended in the middle of the content";
                return Poll::Ready(Ok(Err(Error::new(ErrorKind::BadRequest, reason))));
            }
            Poll::Ready(len) => len,
            Poll::Pending => {
                let (rate, after) = (config.min_body_rate, config.body_timeout);
                let is_too_slow = incoming.pace.is_below(rate, after, self.now());
                // More has to come in this time.
                self.deadline.set(incoming.pace.stalls(after));
                if is_too_slow || self.deadline.poll_passed(&self.worker.handle, cx).is_ready() {
                    return Poll::Ready(Ok(Err(too_slow())));
                }
                return Poll::Pending;
            }
        };
        let (now, stall) = (self.now(), config.body_timeout);
        let (mut rest, before) = (&input[..len], incoming.limit);
        let outcome = self.gather(incoming, &mut rest);
        incoming.pace.progress(before - incoming.limit, now, stall);
        self.keep(rest);
        Poll::Ready(Ok(outcome))
    }

    /// Moves content from the peer to the handler, as far as the one sends and the other reads; true when
    /// some was moved.
    ///
    /// Adds the 100 that the client may wait for to `output`.
    pub(super) fn poll_feed(
        &mut self,
        feed: &mut Feed,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> bool {
        feed.recount(cx);
        if !self.conn.is_receiving() || feed.to.is_abandoned() {
            // What nobody reads is thrown away after the answer.
            feed.pace = None;
            return false;
        }
        if feed.to.poll_wanted(cx).is_ready() {
            self.conn.write_continue(output);
        }
        if self.conn.is_continue_due() {
            feed.pace = None;
            return false;
        }
        let before = feed.limit;
        if let Err(error) = self.poll_pieces(feed, cx) {
            self.conn.refuse();
            feed.pace = None;
            feed.to.end(Err(error));
        }
        feed.limit < before
    }

    fn poll_pieces(&mut self, feed: &mut Feed, cx: &mut Context<'_>) -> Result<()> {
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        Scratch::with(|Scratch { input, .. }| {
            for _ in 0..READS_PER_TURN {
                if feed.to.poll_room(cx).is_pending() {
                    feed.pace = None;
                    return Ok(());
                }
                let inbox = self.take_inbox();
                let mut rest = &*inbox;
                let now = self.now();
                let mut pace = *feed.pace.get_or_insert_with(|| Pace::new(now));
                if rest.is_empty() {
                    match self.stream.poll_read(cx, input) {
                        Poll::Ready(Ok(len)) if len > 0 => {
                            rest = &input[..len];
                        }
                        Poll::Ready(_) => {
                            let reason = "the client left in the middle of its content";
                            return Err(Error::new(ErrorKind::BadRequest, reason));
                        }
                        Poll::Pending => {
                            let (rate, after) = (config.min_body_rate, config.body_timeout);
                            let is_slow =
                                pace.stalls(after) <= now || pace.is_below(rate, after, now);
                            return if is_slow { Err(too_slow()) } else { Ok(()) };
                        }
                    }
                }
                let before = feed.limit;
                self.feed_from(feed, &mut rest)?;
                pace.progress(before - feed.limit, now, config.body_timeout);
                feed.pace = Some(pace);
                self.keep(rest);
                if !self.conn.is_receiving() {
                    feed.pace = None;
                    return Ok(());
                }
            }
            cx.waker().wake_by_ref();
            Ok(())
        })
    }

    /// Gives the handler what has come of its content.
    fn feed_from(&mut self, feed: &mut Feed, rest: &mut &[u8]) -> Result<()> {
        loop {
            match self.conn.receive_content(rest, &self.worker.app.config)? {
                Piece::Data(data) => {
                    let allowed = feed.limit.checked_sub(data.len() as u64);
                    feed.limit = allowed.ok_or_else(too_large)?;
                    feed.to.push(data);
                    if !feed.held.set(feed.to.len()) {
                        // This content is given up, so what the handler has not read of it is freed now.
                        feed.to.clear();
                        feed.held.set(0);
                        return Err(overfull());
                    }
                }
                Piece::Incomplete if self.conn.declared_content() > feed.limit => {
                    return Err(too_large());
                }
                Piece::Incomplete => return Ok(()),
                Piece::End => {
                    self.conn.end_content();
                    feed.to.end(Ok(()));
                    return Ok(());
                }
            }
        }
    }
}
