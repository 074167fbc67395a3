//! A turn: what can be done at once, in the worker's buffers.

use super::{
    Connection, Contained, End, Exchange, Feed, Halt, Pending, Phase, READS_PER_TURN, Sending,
    Step, Wait, ending, overfull, respond::answer_to,
};
use crate::{
    Error, ErrorKind,
    app::{
        reply::{Answer, Later, Reply},
        router::Missed,
        worker::Worker,
    },
    http::{Piece, Request, Response},
    net::{Scratch, Stream},
    rt::{Time, panic_message},
};
use std::{
    io,
    ops::ControlFlow::{Break, Continue},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::{Context, Poll, ready},
};

impl Connection {
    /// Reads what has arrived, answers what can be answered, and writes the answers.
    // Out of line, as the larger functions that it calls: each then has the registers to itself.
    #[inline(never)]
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Wait> {
        Scratch::with(|Scratch { input, output, .. }| {
            for _ in 0..READS_PER_TURN {
                let step = ready!(self.poll_input(input, output, cx));
                if let Some(wait) = self.settle(step, output, cx) {
                    return Poll::Ready(wait);
                }
                if self.is_waiting() {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Writes what was collected, and says what is to be waited for then; `None` when there may be
    /// more to do at once.
    pub(super) fn settle(
        &mut self,
        step: Step,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Option<Wait> {
        match step {
            Continue(()) | Break(Halt::Starving) => match self.poll_output(output, cx) {
                Poll::Ready(Ok(())) => None,
                sent => self.unsettled(sent, None),
            },
            Break(halt) => self.halt(halt, output, cx),
        }
    }

    // Out of line: most turns end for want of a request.
    #[inline(never)]
    fn halt(&mut self, halt: Halt, output: &mut Vec<u8>, cx: &mut Context<'_>) -> Option<Wait> {
        let (sent, wait) = match halt {
            Halt::Starving => (self.poll_output(output, cx), None),
            Halt::Wait(Wait::File(download)) => return Some(self.begin_file(download, output, cx)),
            // The head travels with what is made at once.
            Halt::Wait(Wait::Stream(mut outgoing)) => {
                return Some(match self.poll_stream_into(&mut outgoing, output, cx) {
                    Poll::Ready(next) => next,
                    Poll::Pending => Wait::Stream(outgoing),
                });
            }
            Halt::Wait(wait @ Wait::End(End::Answered | End::Linger)) => {
                (self.poll_output_more(output, cx), Some(wait))
            }
            Halt::Wait(wait) => (self.poll_output(output, cx), Some(wait)),
            Halt::Send(sending) => {
                let Sending { content, wait } = *sending;
                (self.poll_send(output, content, cx), wait)
            }
        };
        self.unsettled(sent, wait)
    }

    /// Says what is to be waited for once what was sent is.
    fn unsettled(&mut self, sent: Poll<io::Result<()>>, wait: Option<Wait>) -> Option<Wait> {
        match sent {
            Poll::Ready(Ok(())) => wait,
            // What is left is written before anything else is done.
            Poll::Pending => Some(wait.unwrap_or_default()),
            Poll::Ready(Err(error)) => Some(self.give_up(&error)),
        }
    }

    /// Returns whether the connection waits for the peer already, as it did before this turn: one task
    /// polls it for its whole life.
    pub(super) fn is_waiting(&self) -> bool {
        self.wants_input()
            && self.stream.is_awaited()
            && self.deadline.is_watched(&self.worker.handle)
            // A server that stops does not wait as long.
            && !self.worker.is_stopping()
    }

    /// Returns whether more has to be read before anything can be done.
    fn wants_input(&self) -> bool {
        self.inbox.is_empty() || self.inbox.is_starving()
    }

    /// Ends a connection whose socket has failed.
    #[cold]
    pub(super) fn give_up(&self, error: &io::Error) -> Wait {
        log::debug!("{}: the connection broke: {error}", self.peer());
        Wait::End(End::Close)
    }

    /// Takes requests off what is left of the last read, else off a new one.
    fn poll_input(
        &mut self,
        input: &mut [u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        let mut len = 0;
        if self.wants_input() {
            len = match self.stream.poll_read(cx, input) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.at_end(output)),
                Poll::Ready(Ok(len)) => len,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Break(Halt::Wait(self.give_up(&error))));
                }
                Poll::Pending => return self.poll_deadline(output, cx),
            };
        }
        let step = if self.inbox.is_empty() {
            let mut rest = &input[..len];
            let step = self.take_requests(&mut rest, output, cx);
            self.end_input(&step, rest);
            step
        } else {
            self.take_from_inbox(&input[..len], output, cx)
        };
        Poll::Ready(match self.inbox.is_empty() {
            true => step,
            false => self.check_inbox(step, output),
        })
    }

    /// Takes requests off what was left of the last read and a new one.
    #[inline(never)]
    fn take_from_inbox(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let mut inbox = self.take_inbox();
        inbox.extend_from_slice(input);
        let mut rest = &*inbox;
        let step = self.take_requests(&mut rest, output, cx);
        self.end_input(&step, rest);
        step
    }

    /// Looks after what is left of the input.
    #[inline(never)]
    fn check_inbox(&mut self, step: Step, output: &mut Vec<u8>) -> Step {
        if self.inbox.is_starving() && self.has_begun() {
            if self.worker.is_overfull() {
                return self.refuse(overfull(), None, output);
            }
            if self.phase != Phase::Head {
                self.set_phase(Phase::Head, self.worker.app.config.head_timeout);
            }
        }
        step
    }

    /// Keeps what is left of the input.
    fn end_input(&mut self, step: &Step, rest: &[u8]) {
        // A body that was fed to its handler may have been read beyond its end meanwhile.
        let is_starving = matches!(step, Break(Halt::Starving)) && self.inbox.is_empty();
        self.keep(rest);
        if is_starving {
            self.inbox.set_starving();
        }
    }

    /// Returns whether a request has begun to arrive: an empty line is none.
    fn has_begun(&self) -> bool {
        !matches!(self.inbox.bytes(), b"" | b"\r" | b"\r\n")
    }

    /// The peer has ended its sending side.
    #[inline(never)]
    fn at_end(&mut self, output: &mut Vec<u8>) -> Step {
        if !self.has_begun() || self.conn.is_receiving() {
            return ending(End::Close);
        }
        let reason = "the connection ended in the middle of a request";
        self.refuse(Error::new(ErrorKind::BadRequest, reason), None, output)
    }

    /// Nothing has come: is it time to act on that?
    fn poll_deadline(&mut self, output: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Step> {
        if let (Some(until), Phase::Idle | Phase::FirstByte | Phase::Drain { .. }) =
            (self.worker.idle_until(), self.phase)
        {
            self.deadline.set(self.deadline.when().min(until));
        }
        ready!(self.deadline.poll_passed(&self.worker.handle, cx));
        Poll::Ready(match self.phase {
            Phase::FirstByte | Phase::Idle => ending(End::Close),
            Phase::Drain { .. } => ending(End::Linger),
            Phase::Head => {
                let reason = "the head of the request took too long";
                self.refuse(Error::new(ErrorKind::RequestTimeout, reason), None, output)
            }
        })
    }

    /// Takes requests off `rest` and answers them.
    fn take_requests(
        &mut self,
        rest: &mut &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        for _ in 0..config.max_pipelined {
            self.take_request(&worker, rest, output, cx)?;
            // What a peer does not take would have to be kept.
            if output.len() >= config.max_output_bytes || worker.is_overfull() {
                break;
            }
        }
        Continue(())
    }

    fn take_request(
        &mut self,
        worker: &Rc<Worker>,
        rest: &mut &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        if let Phase::Drain { bytes } = self.phase {
            self.discard(worker, bytes, rest)?;
        }
        if rest.is_empty() {
            return Break(Halt::Starving);
        }
        let mut request = Request::new(worker.context());
        match self.conn.receive_head(rest, &worker.app.config, &mut request.parts_mut().head) {
            Ok(None) => return Break(Halt::Starving),
            Ok(Some(len)) => *rest = &rest[len..],
            Err(error) => return self.refuse(error, None, output),
        }
        let mut exchange =
            self.begin_exchange(|| format!("{} {}", request.method(), request.target()));
        let parts = request.parts_mut();
        parts.remote = self.remote.addr();
        let route = worker.find(parts);
        exchange.set_route(route);
        match route {
            Some(_) if !self.conn.is_receiving() => self.call(request, exchange, None, output, cx),
            Some(route) => {
                let options = worker.app.router.entry(route).options;
                self.take_content(options, request, exchange, rest, output, cx)
            }
            None => self.miss(request, exchange, output, cx),
        }
    }

    /// Answers a request that has no route.
    // Out of line, as the others below: most requests have a route and no content.
    #[inline(never)]
    fn miss(
        &mut self,
        request: Request,
        exchange: Exchange,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        match self.worker.explain(&request) {
            Missed::Nothing if self.worker.app.not_found.is_some() => {
                self.call(request, exchange, None, output, cx)
            }
            missed => self.respond(&mut answer_to(missed), exchange, None, output),
        }
    }

    /// Throws content away that no handler has read, up to its end.
    #[inline(never)]
    fn discard(&mut self, worker: &Worker, mut bytes: u32, rest: &mut &[u8]) -> Step {
        loop {
            match self.conn.receive_content(rest, &worker.app.config) {
                Ok(Piece::Data(data)) => bytes = bytes.saturating_add(data.len() as u32),
                Ok(Piece::Incomplete) => {
                    // The deadline stays: what is thrown away has one for all of it.
                    self.phase = Phase::Drain { bytes };
                    let left = worker.app.config.max_drain_bytes.saturating_sub(bytes);
                    if self.conn.declared_content() <= left.into() {
                        return Break(Halt::Starving);
                    }
                    return ending(End::Linger);
                }
                Ok(Piece::End) => {
                    self.conn.end_content();
                    self.set_idle();
                    return Continue(());
                }
                Err(_) => return ending(End::Linger),
            }
            if bytes > worker.app.config.max_drain_bytes {
                return ending(End::Linger);
            }
        }
    }

    pub(super) fn set_idle(&mut self) {
        self.set_phase(Phase::Idle, self.worker.app.config.keep_alive_timeout);
    }

    /// Sets the deadline of the phase anew after it has served for something else.
    pub(super) fn renew_deadline(&mut self) {
        let config = &self.worker.app.config;
        let timeout = match self.phase {
            Phase::FirstByte => config.first_byte_timeout,
            Phase::Head => config.head_timeout,
            Phase::Idle => config.keep_alive_timeout,
            Phase::Drain { .. } => config.body_timeout,
        };
        self.set_phase(self.phase, timeout);
    }

    /// Calls the handler of the route, or the one for what was not found.
    pub(super) fn call(
        &mut self,
        request: Request,
        exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let handler = self.worker.handler(exchange.route());
        let mut reply = catch_unwind(AssertUnwindSafe(|| handler(request)))
            .unwrap_or_else(|panic| Reply(Answer::Now(self.panicked(&exchange, &*panic))));
        match reply.0 {
            // Borrowed and not moved: a response is large.
            Answer::Now(ref mut response) => self.respond_at_once(response, exchange, feed, output),
            Answer::Later(later) => self.await_answer(later, exchange, feed, output, cx),
        }
    }

    /// Waits for the answer of a handler that has not answered at once.
    #[inline(never)]
    fn await_answer(
        &mut self,
        later: Later,
        exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let later = Contained::new(later);
        let timeout = self.worker.handler_timeout(exchange.route());
        let until = timeout.map_or(Time::NEVER, |timeout| self.now() + timeout);
        let mut pending = Pending { later, exchange, until, grace: Time::NEVER, feed };
        // Many are ready at the first poll.
        match self.poll_answer_into(&mut pending, output, cx) {
            Poll::Ready(step) => step,
            Poll::Pending => {
                self.pending = Some(pending);
                Break(Halt::Wait(Wait::Answer))
            }
        }
    }

    #[cold]
    pub(super) fn panicked(
        &self,
        exchange: &Exchange,
        panic: &(dyn std::any::Any + Send),
    ) -> Response {
        let words = panic_message(panic);
        log::error!(
            "the handler of {} panicked: {words}",
            self.worker.route_name(exchange.route())
        );
        self.worker.answer_error(Error::new(ErrorKind::Handler, "the handler panicked"))
    }
}
