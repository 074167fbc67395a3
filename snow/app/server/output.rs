//! What the peer is to take: bytes that did not fit, streams, and the last answer.

use super::{Connection, Contained, End, Exchange, Feed, Pace, Step, Wait, ending};
use crate::{
    Error, ErrorKind,
    app::worker::Held,
    http::{Content, MakeTrailers, Pieces},
    net::{Scratch, Stream},
    rt::{Hangup, Time, panic_message},
};
use std::{
    io::{self, IoSlice},
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, ready},
};

/// Pieces of a response's content that are made for one write: as many as it takes to fill the output with
/// pieces of a quarter of a kilobyte.
const PIECES_PER_WRITE: usize = 256;

/// Writes of one stream before other connections have their turn.
const WRITES_PER_TURN: usize = 4;

/// Reads of what is thrown away before other connections have their turn.
const DISCARDS_PER_TURN: usize = 16;

/// Bytes that the peer has not taken yet.
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// Content that is sent from where it is.
    content: Content,
    /// How much of both together has been written.
    written: usize,
    pace: Pace,
    _held: Held,
}

/// Returns what is left of two parts of which so much together is written.
fn unwritten<'a>(bytes: &'a [u8], content: &'a Content, written: usize) -> (&'a [u8], &'a [u8]) {
    let content = content.as_bytes().unwrap_or_default();
    match bytes.get(written..) {
        Some(bytes) => (bytes, content),
        None => (&[], &content[written - bytes.len()..]),
    }
}

/// A response whose content is made while it is sent.
pub(super) struct Outgoing {
    pub(super) content: Contained<Pieces>,
    pub(super) trailers: Contained<Option<MakeTrailers>>,
    pub(super) exchange: Exchange,
    /// When a client that has closed its sending side counts as gone.
    pub(super) grace: Time,
    pub(super) feed: Option<Box<Feed>>,
    /// How the peer takes it, once it was waited for.
    pub(super) pace: Option<Pace>,
}

impl Connection {
    /// Writes what was collected, if anything was; what the peer does not take goes to the outbox.
    #[inline]
    pub(super) fn poll_output(
        &mut self,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        debug_assert!(self.outbox.is_none(), "it is flushed before anything is collected");
        if output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Mostly all of it is taken at once.
        match self.stream.poll_write(cx, &[IoSlice::new(output)]) {
            Poll::Ready(Ok(count)) if count == output.len() => {
                output.clear();
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(count)) => drop(output.drain(..count)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
        self.poll_send(output, Content::Empty, cx)
    }

    /// Writes what was collected so that it travels together with what follows at once: a file, or the end
    /// of the sending side.
    pub(super) fn poll_output_more(
        &mut self,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !output.is_empty() {
            if let Poll::Ready(count) = self.stream.poll_write_more(cx, output)? {
                output.drain(..count);
            }
        }
        // The rest.
        self.poll_output(output, cx)
    }

    /// Writes what was collected, and `content` from where it is; what the peer does not take goes to
    /// the outbox.
    pub(super) fn poll_send(
        &mut self,
        output: &mut Vec<u8>,
        content: Content,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let len = output.len() + content.as_bytes().unwrap_or_default().len();
        let mut written = 0;
        while written < len {
            let (first, second) = unwritten(output, &content, written);
            match self.poll_write(first, second, cx) {
                Poll::Ready(outcome) => written += outcome?,
                Poll::Pending => {
                    self.keep_unwritten(output, content, written);
                    return Poll::Pending;
                }
            }
        }
        output.clear();
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        first: &[u8],
        second: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let (first, second) = (IoSlice::new(first), IoSlice::new(second));
        let count = ready!(match (first.is_empty(), second.is_empty()) {
            (_, true) => self.stream.poll_write(cx, &[first]),
            (true, false) => self.stream.poll_write(cx, &[second]),
            (false, false) => self.stream.poll_write(cx, &[first, second]),
        })?;
        Poll::Ready(if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) })
    }

    /// Moves to the outbox what the peer has not taken.
    fn keep_unwritten(&mut self, output: &mut Vec<u8>, content: Content, written: usize) {
        let (first, second) = unwritten(output, &content, written);
        // Shared and static content does not count: it is in memory anyway.
        let is_own = matches!(content, Content::Owned(_));
        let len = first.len() + if is_own { second.len() } else { 0 };
        let (bytes, now) = (first.to_vec(), self.now());
        self.outbox = Some(Box::new(Outbox {
            written: written.saturating_sub(output.len()),
            bytes,
            content,
            pace: Pace::new(now),
            _held: self.worker.hold(len),
        }));
        output.clear();
    }

    /// Writes the outbox until it is empty, and then removes it.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(mut outbox) = self.outbox.take() {
            let (first, second) = unwritten(&outbox.bytes, &outbox.content, outbox.written);
            if first.is_empty() && second.is_empty() {
                match &mut self.wait {
                    Wait::Stream(outgoing) => outgoing.pace = Some(outbox.pace),
                    Wait::File(download) => download.pace = Some(outbox.pace),
                    _ => {}
                }
                break;
            }
            match self.poll_write(first, second, cx) {
                Poll::Ready(outcome) => {
                    let count = outcome?;
                    outbox.written += count;
                    let stall = self.worker.app.config.write_timeout;
                    outbox.pace.progress(count as u64, self.now(), stall);
                    self.outbox = Some(outbox);
                }
                Poll::Pending => {
                    self.outbox = Some(outbox);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the outbox as fast as the peer takes it, and gives up on one that is too slow.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut outcome = self.poll_outbox(cx);
        if outcome.is_pending() {
            ready!(self.poll_write_stall(cx));
            // The kernel reports room only when there is much of it: a slow reader may have made a
            // little.
            self.stream.retry_write();
            outcome = self.poll_outbox(cx);
        }
        let error = match outcome {
            Poll::Ready(Ok(())) => {
                self.renew_deadline();
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                ready!(self.poll_write_stall(cx));
                io::ErrorKind::TimedOut.into()
            }
        };
        self.outbox = None;
        log::debug!("{}: the peer does not take its answer: {error}", self.peer());
        Poll::Ready(Err(End::Reset))
    }

    /// Is ready when the peer has taken nothing of the outbox for too long or is too slow.
    fn poll_write_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.outbox {
            Some(outbox) => self.poll_stall(outbox.pace, cx),
            None => Poll::Pending,
        }
    }

    /// Is ready when the peer has taken nothing for too long or is too slow.
    pub(super) fn poll_stall(&mut self, pace: Pace, cx: &mut Context<'_>) -> Poll<()> {
        let config = &self.worker.app.config;
        let (rate, after) = (config.min_write_rate, config.write_timeout);
        let is_too_slow = pace.is_below(rate, after, self.now());
        self.deadline.set(pace.stalls(after));
        match self.deadline.poll_passed(&self.worker.handle, cx) {
            Poll::Pending if !is_too_slow => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Sends content as it is made and as fast as the peer takes it.
    pub(super) fn poll_stream(
        &mut self,
        outgoing: &mut Outgoing,
        cx: &mut Context<'_>,
    ) -> Poll<Wait> {
        Scratch::with(|Scratch { output, .. }| self.poll_stream_into(outgoing, output, cx))
    }

    /// Sends a stream behind what was collected.
    pub(super) fn poll_stream_into(
        &mut self,
        outgoing: &mut Outgoing,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Wait> {
        if let Some(feed) = &mut outgoing.feed {
            if self.poll_feed(feed, output, cx) {
                outgoing.grace = Time::NEVER;
            }
        }
        for _ in 0..WRITES_PER_TURN {
            let made = self.poll_made(outgoing, output, cx);
            if let Poll::Ready(Some(step)) = made {
                let wait = self.settle(step, output, cx);
                return Poll::Ready(wait.unwrap_or_default());
            }
            // Nothing more is made before the peer has taken what was.
            if let Err(error) = ready!(self.poll_part(&mut outgoing.pace, output, cx)) {
                return Poll::Ready(self.give_up(&error));
            }
            match made {
                Poll::Ready(_) => outgoing.grace = Time::NEVER,
                Poll::Pending => return self.poll_unmade(outgoing, cx),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes a part of a response. What is kept of it is judged by `pace`, with all that the peer has been
    /// waited for before.
    pub(super) fn poll_part(
        &mut self,
        pace: &mut Option<Pace>,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let len = output.len();
        let outcome = self.poll_output(output, cx);
        let Some(known) = pace else { return outcome };
        let kept = self.outbox.as_ref().map_or(0, |outbox| outbox.bytes.len());
        known.bytes += len.saturating_sub(kept) as u64;
        if let Some(outbox) = &mut self.outbox {
            // The time between is not counted.
            outbox.pace = Pace { seen: outbox.pace.seen, ..*known };
        }
        outcome
    }

    /// Waits for content that is not made yet.
    fn poll_unmade(&mut self, outgoing: &mut Outgoing, cx: &mut Context<'_>) -> Poll<Wait> {
        let stall = self.worker.app.config.body_timeout;
        let feed_stalls = outgoing.feed.as_ref().map_or(Time::NEVER, |feed| feed.stalls(stall));
        if self.poll_hangup(&mut outgoing.grace, feed_stalls, cx) {
            return Poll::Ready(Wait::End(End::Close));
        }
        self.deadline.set(feed_stalls.min(outgoing.grace));
        ready!(self.deadline.poll_passed(&self.worker.handle, cx));
        if outgoing.grace <= self.now() {
            return Poll::Ready(Wait::End(End::Close));
        }
        // Content has stalled: the next poll tells the handler.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Collects content until there is enough to write: `None`, or what comes after the end.
    fn poll_made(
        &mut self,
        outgoing: &mut Outgoing,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Step>> {
        for _ in 0..PIECES_PER_WRITE {
            if output.len() >= self.worker.app.config.max_output_bytes {
                break;
            }
            let content = outgoing.content.get();
            let next = catch_unwind(AssertUnwindSafe(|| content.as_mut().poll_next(cx)));
            let piece = match next {
                Ok(piece) => ready!(piece),
                Err(panic) => {
                    let reason = format!("a body stream panicked: {}", panic_message(&*panic));
                    Some(Err(Error::new(ErrorKind::Handler, reason)))
                }
            };
            let outcome = match piece {
                Some(Ok(piece)) => {
                    outgoing.exchange.add_sent(piece.len() as u64);
                    self.conn.write_content(output, &piece)
                }
                Some(Err(error)) => Err(error),
                None => return Poll::Ready(Some(self.end_stream(outgoing, output))),
            };
            if let Err(error) = outcome {
                return Poll::Ready(Some(self.break_off(&error)));
            }
        }
        Poll::Ready(None)
    }

    fn end_stream(&mut self, outgoing: &mut Outgoing, output: &mut Vec<u8>) -> Step {
        let make = outgoing.trailers.get().take();
        let made = catch_unwind(AssertUnwindSafe(|| make.map(|make| make()).unwrap_or_default()));
        match made {
            Ok(trailers) => self.finish(output, &trailers, End::Linger),
            Err(panic) => {
                let reason = format!("the trailers panicked: {}", panic_message(&*panic));
                self.break_off(&Error::new(ErrorKind::Handler, reason))
            }
        }
    }

    /// Ends a connection in the middle of a response.
    pub(super) fn break_off(&self, error: &Error) -> Step {
        log::error!("{}: a response broke off: {}", self.peer(), error.chain());
        ending(End::Close)
    }

    /// Returns whether the peer has reset the connection; when it has only ended its sending side,
    /// which may be a half-close, the grace begins.
    ///
    /// `reads_until` is [`Time::NEVER`] while no content is being read.
    pub(super) fn poll_hangup(
        &mut self,
        grace: &mut Time,
        reads_until: Time,
        cx: &mut Context<'_>,
    ) -> bool {
        match self.stream.poll_hangup(cx) {
            Poll::Ready(Hangup::Full) => return true,
            // What it has sent is still to be read.
            Poll::Ready(Hangup::Half) if reads_until < Time::NEVER => *grace = Time::NEVER,
            Poll::Ready(Hangup::Half) => {
                let until = self.now() + self.worker.app.config.half_close_grace;
                *grace = until.min(*grace);
            }
            Poll::Pending => {}
        }
        false
    }

    /// Ends the connection, or says what is to be waited for before.
    pub(super) fn end(&mut self, end: End) -> Option<Wait> {
        // A handler that is still at work is so for nobody: its future is dropped.
        self.pending = None;
        match end {
            End::Close => None,
            // Unread input would turn the close into a reset, which may overtake the answer, and a peer that
            // has sent more may be sending still.
            End::Answered if self.stream.has_input() || !self.inbox.is_empty() => {
                self.end(End::Linger)
            }
            End::Answered => {
                // If the peer sends more now, the close becomes a reset, which discards what is held back
                // but not what is on its way. So the sending side is ended first, which sends all of it.
                let _ = self.stream.shutdown_write();
                None
            }
            End::Reset => {
                self.stream.reset_on_drop();
                None
            }
            End::Linger => {
                // What it has sent is of no use any more.
                drop(self.take_inbox());
                self.stream.shutdown_write().ok()?;
                self.deadline.set(self.now() + self.worker.app.config.linger_timeout);
                Some(Wait::Linger)
            }
        }
    }

    /// Reads what the peer still sends until it ends its side: a close before that would be a reset,
    /// which may overtake the last answer.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Scratch::with(|Scratch { input, .. }| {
            for _ in 0..DISCARDS_PER_TURN {
                match self.stream.poll_read(cx, input) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => return self.deadline.poll_passed(&self.worker.handle, cx),
                }
            }
            cx.waker().wake_by_ref();
            self.deadline.poll_passed(&self.worker.handle, cx)
        })
    }
}
