//! One connection as an `async fn`: the only place where `net` meets `http`.
//!
//! What can be done at once is done in one [turn](Connection::poll_turn), in the worker's buffers: read,
//! take requests apart, call handlers, write all answers together. What has to be waited for is a
//! [`Wait`], and the less usual of them are boxed, so that an idle connection is small.

use super::{
    reply::{Answer, Later, Reply},
    router::Found,
    worker::Worker,
};
use crate::{
    Error, ErrorKind, Result,
    http::{
        After, BodyFeed, BodyStream, Conn, Content, ContentStream, MakeTrailers, Piece, Request,
        RequestBody, Response, Trailers,
    },
    net::{Scratch, Stream},
    rt::{Deadline, Left, Time, panic_message, yield_now},
};
use bytes::Bytes;
use http::{StatusCode, header};
use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// Bytes of content up to which it is copied behind its head; longer content is sent from where it
/// is. Copying a page costs less than a second buffer in the system call.
const COPIED_CONTENT: usize = 4096;

/// Reads of content that is thrown away before other connections have their turn.
const DISCARDS_PER_TURN: usize = 16;

/// Reads of one connection before others have their turn.
const READS_PER_TURN: usize = 4;

/// Serves one connection until it ends.
pub(super) async fn serve<S: Stream>(stream: S, remote: Option<SocketAddr>, worker: Rc<Worker>) {
    let mut connection = Connection::new(stream, remote, worker);
    let mut next = None;
    let end = loop {
        let wait = match next.take() {
            Some(wait) => wait,
            None => poll_fn(|cx| connection.poll_turn(cx)).await,
        };
        if !connection.outbox.is_empty() {
            if let Err(end) = Box::pin(connection.flush()).await {
                break end;
            }
        }
        next = match wait {
            Wait::Turn => {
                yield_now().await;
                None
            }
            Wait::Output => None,
            Wait::Content(incoming) => Box::pin(connection.collect(*incoming)).await,
            Wait::Answer(mut pending) => {
                poll_fn(|cx| connection.poll_answer(&mut pending, cx)).await
            }
            Wait::Stream(outgoing) => Box::pin(connection.send_stream(*outgoing)).await,
            Wait::End(end) => break end,
        };
    };
    match end {
        End::Close => {}
        End::Linger => Box::pin(connection.linger()).await,
        End::Reset => connection.stream.reset_on_drop(),
    }
}

/// What a connection waits for when there is nothing it can do at once.
enum Wait {
    /// Its next turn: others come first.
    Turn,
    /// The peer, to take what is unwritten.
    Output,
    /// The rest of a request's content.
    Content(Box<Incoming>),
    /// The answer to a request.
    Answer(Pending),
    /// The next piece of a response's content.
    Stream(Box<Outgoing>),
    /// The end.
    End(End),
}

/// What came of looking at the input.
enum Step {
    /// A request is dealt with; there may be another.
    Next,
    /// What was collected is to be written before anything else.
    Flush,
    /// There is no whole request.
    Starving,
    Wait(Wait),
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// At once.
    Close,
    /// When the peer has read its answer, or a moment later.
    Linger,
    /// So that the peer cannot take what it got for the whole.
    Reset,
}

/// What is remembered of a request while it is answered.
#[derive(Default)]
struct Exchange {
    /// `None` when no route takes it.
    route: Option<usize>,
    record: Option<Box<Record>>,
}

/// What the access log wants to know.
struct Record {
    began: Time,
    request: String,
}

/// A request whose content has not arrived in full.
struct Incoming {
    request: Request,
    exchange: Exchange,
    content: Vec<u8>,
    /// Bytes of content that are still allowed.
    limit: u64,
}

/// An answer to come.
struct Pending {
    later: Contained<Later>,
    exchange: Exchange,
    /// Whether somebody else is to complete it: what a stopping server does not wait for.
    is_parked: bool,
    /// When the handler's time is over.
    until: Time,
    /// When a client that has closed its sending side counts as gone.
    grace: Time,
    /// Where content goes that arrives meanwhile.
    feed: Option<Box<Feed>>,
}

/// Content on its way to a handler that runs already.
struct Feed {
    to: BodyFeed,
    /// Bytes of content that are still allowed.
    limit: u64,
    pace: Pace,
    stalls: Time,
}

/// A response whose content is made while it is sent.
struct Outgoing {
    content: Contained<ContentStream>,
    trailers: Option<MakeTrailers>,
    exchange: Exchange,
    status: StatusCode,
    sent: u64,
    feed: Option<Box<Feed>>,
}

/// Something of the program's whose drop may panic.
struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    fn get(&mut self) -> &mut T {
        self.0.as_mut().expect("there until dropped")
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(inner))) {
            log::error!("a drop panicked: {}", panic_message(&*panic));
        }
    }
}

/// How fast a peer is, on average, since it began.
struct Pace {
    began: Time,
    bytes: u64,
}

impl Pace {
    fn new(began: Time) -> Pace {
        Pace { began, bytes: 0 }
    }

    /// Returns whether fewer than `rate` bytes a second have come in more than `after`.
    fn is_below(&self, rate: u64, after: Duration, now: Time) -> bool {
        let elapsed = now.since(self.began);
        elapsed > after && self.bytes < rate.saturating_mul(elapsed.as_secs())
    }
}

/// What a connection in its turn has been waiting for since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The first byte of its first request.
    FirstByte,
    /// The end of a head.
    Head,
    /// The first byte of the next request.
    Idle,
    /// The end of content that nobody reads, of which so many bytes have come.
    Drain { bytes: u64 },
}

/// Bytes that the peer has not taken yet.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Content that is sent from where it is.
    content: Content,
    /// How much of both together has been written.
    written: usize,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && matches!(self.content, Content::Empty)
    }

    /// Returns what is still to be written.
    fn unwritten(&self) -> (&[u8], &[u8]) {
        let content = self.content.as_bytes().unwrap_or_default();
        match self.bytes.get(self.written..) {
            Some(bytes) => (bytes, content),
            None => (&[], &content[self.written - self.bytes.len()..]),
        }
    }

    /// Lets go of written bytes, which are small, and keeps the content, which is not copied.
    fn shrink(&mut self) {
        let written = self.written.min(self.bytes.len());
        self.bytes = self.bytes[written..].to_vec();
        self.written -= written;
    }
}

struct Connection<S> {
    stream: S,
    remote: Option<SocketAddr>,
    worker: Rc<Worker>,
    conn: Conn,
    phase: Phase,
    deadline: Deadline,
    /// What has been read and not been used.
    inbox: Vec<u8>,
    /// Whether the inbox holds nothing whole, so that more must be read first.
    is_starving: bool,
    outbox: Outbox,
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.worker.leave(self.remote);
    }
}

/// One turn: what can be done at once.
impl<S: Stream> Connection<S> {
    fn new(stream: S, remote: Option<SocketAddr>, worker: Rc<Worker>) -> Connection<S> {
        let mut deadline = Deadline::new(worker.handle.clone());
        deadline.set(worker.handle.now() + worker.app.config.first_byte_timeout);
        Connection {
            stream,
            remote,
            worker,
            conn: Conn::new(),
            phase: Phase::FirstByte,
            deadline,
            inbox: Vec::new(),
            is_starving: false,
            outbox: Outbox::default(),
        }
    }

    fn now(&self) -> Time {
        self.worker.handle.now()
    }

    /// Reads what has arrived, answers what can be answered, and writes the answers.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Wait> {
        Scratch::with(|Scratch { input, output }| {
            for _ in 0..READS_PER_TURN {
                let step = ready!(self.poll_input(input, output, cx));
                if let Some(wait) = self.settle(step, output, cx) {
                    return Poll::Ready(wait);
                }
            }
            Poll::Ready(Wait::Turn)
        })
    }

    /// Writes what was collected, and says what is to be waited for, if anything.
    fn settle(&mut self, step: Step, output: &mut Vec<u8>, cx: &mut Context<'_>) -> Option<Wait> {
        let wait = match step {
            Step::Wait(wait) => Some(wait),
            Step::Next | Step::Flush | Step::Starving => None,
        };
        match self.poll_send(output, cx) {
            Poll::Ready(Ok(())) => wait,
            // What is left is written before anything else is done.
            Poll::Pending => Some(wait.unwrap_or(Wait::Output)),
            Poll::Ready(Err(error)) => Some(self.give_up(&error)),
        }
    }

    /// Does `work` in the worker's buffers, outside a turn.
    fn act(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Vec<u8>, &mut Context<'_>) -> Step,
    ) -> Option<Wait> {
        Scratch::with(|Scratch { output, .. }| {
            let step = work(self, output, cx);
            self.settle(step, output, cx)
        })
    }

    fn give_up(&self, error: &io::Error) -> Wait {
        log::debug!("{}: the connection broke: {error}", Address(self.remote));
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
        if self.inbox.is_empty() || self.is_starving {
            len = match self.stream.poll_read(cx, input) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.at_end(output)),
                Poll::Ready(Ok(len)) => len,
                Poll::Ready(Err(error)) => return Poll::Ready(Step::Wait(self.give_up(&error))),
                Poll::Pending => return self.poll_deadline(output, cx),
            };
        }
        let step = if self.inbox.is_empty() {
            let (used, step) = self.take_requests(&input[..len], output, cx);
            self.inbox.extend_from_slice(&input[used..len]);
            step
        } else {
            let mut inbox = mem::take(&mut self.inbox);
            inbox.extend_from_slice(&input[..len]);
            let (used, step) = self.take_requests(&inbox, output, cx);
            inbox.drain(..used);
            // An empty inbox holds no memory.
            self.inbox = if inbox.is_empty() { Vec::new() } else { inbox };
            step
        };
        self.is_starving = matches!(step, Step::Starving);
        if self.is_starving && !self.inbox.is_empty() && self.phase != Phase::Head {
            self.phase = Phase::Head;
            self.deadline.set(self.now() + self.worker.app.config.head_timeout);
        }
        Poll::Ready(match step {
            // What the peer has sent beyond its last answer would turn a close into a reset.
            Step::Wait(Wait::End(End::Close)) if !self.inbox.is_empty() => {
                Step::Wait(Wait::End(End::Linger))
            }
            step => step,
        })
    }

    /// The peer has ended its sending side.
    fn at_end(&mut self, output: &mut Vec<u8>) -> Step {
        if self.inbox.is_empty() || self.conn.is_receiving() {
            return Step::Wait(Wait::End(End::Close));
        }
        let reason = "the connection ended in the middle of a request";
        self.refuse(Error::new(ErrorKind::BadRequest, reason), None, output)
    }

    /// Nothing has come: is it time to act on that?
    fn poll_deadline(&mut self, output: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Step> {
        if let (Some(until), Phase::Idle | Phase::FirstByte) =
            (self.worker.idle_until(), self.phase)
        {
            self.deadline.set(self.deadline.when().min(until));
        }
        ready!(self.deadline.poll_passed(cx));
        Poll::Ready(match self.phase {
            Phase::FirstByte | Phase::Idle => Step::Wait(Wait::End(End::Close)),
            Phase::Drain { .. } => Step::Wait(Wait::End(End::Linger)),
            Phase::Head => {
                let reason = "the head of the request took too long";
                self.refuse(Error::new(ErrorKind::RequestTimeout, reason), None, output)
            }
        })
    }

    /// Takes requests off `input` and answers them; returns how many bytes were used.
    fn take_requests(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> (usize, Step) {
        let mut rest = input;
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        for _ in 0..config.max_pipelined.max(1) {
            match self.take_request(&worker, &mut rest, output, cx) {
                Step::Next if output.len() < config.max_output_bytes => {}
                Step::Next => break,
                step => return (input.len() - rest.len(), step),
            }
        }
        (input.len() - rest.len(), Step::Flush)
    }

    fn take_request(
        &mut self,
        worker: &Rc<Worker>,
        rest: &mut &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        if let Phase::Drain { bytes } = self.phase {
            if let Some(step) = self.discard(worker, bytes, rest) {
                return step;
            }
        }
        if rest.is_empty() {
            return Step::Starving;
        }
        let mut request = Request::new();
        match self.conn.receive_head(rest, &worker.app.config, &mut request.parts_mut().head) {
            Ok(None) => return Step::Starving,
            Ok(Some(len)) => *rest = &rest[len..],
            Err(error) => return self.refuse(error, None, output),
        }
        let record = worker.wants_records().then(|| {
            let text = format!("{} {}", request.method(), request.target());
            Box::new(Record { began: worker.handle.precise_now(), request: text })
        });
        let parts = request.parts_mut();
        parts.remote = self.remote;
        let found = worker.find(parts);
        let exchange = Exchange { route: found.route(), record };
        match found {
            Found::Route(route) => {
                self.take_content(worker, route, request, exchange, rest, output, cx)
            }
            Found::Nothing if worker.app.not_found.is_some() => {
                parts.context = Some(worker.context());
                self.call(request, exchange, None, output, cx)
            }
            found => self.respond(explain(found), exchange, None, output),
        }
    }

    /// Throws content away that no handler has read; `None` when it is at its end.
    fn discard(&mut self, worker: &Worker, mut bytes: u64, rest: &mut &[u8]) -> Option<Step> {
        loop {
            match self.conn.receive_content(rest, &worker.app.config) {
                Ok(Piece::Data(data)) => bytes += data.len() as u64,
                Ok(Piece::Incomplete) => {
                    self.phase = Phase::Drain { bytes };
                    self.deadline.set(self.now() + worker.app.config.body_timeout);
                    return Some(Step::Starving);
                }
                Ok(Piece::End) => {
                    self.conn.end_content();
                    self.set_idle();
                    return None;
                }
                Err(_) => return Some(Step::Wait(Wait::End(End::Linger))),
            }
            if bytes > worker.app.config.max_drain_bytes {
                return Some(Step::Wait(Wait::End(End::Linger)));
            }
        }
    }

    fn set_idle(&mut self) {
        self.phase = Phase::Idle;
        self.deadline.set(self.now() + self.worker.app.config.keep_alive_timeout);
    }

    /// Takes the content of a request as far as it has come, and calls the handler when it may.
    #[allow(clippy::too_many_arguments, reason = "one step of `take_request`, which owns them all")]
    fn take_content(
        &mut self,
        worker: &Rc<Worker>,
        route: usize,
        mut request: Request,
        exchange: Exchange,
        rest: &mut &[u8],
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        request.parts_mut().context = Some(worker.context());
        let config = &worker.app.config;
        let options = &worker.app.router.entries()[route].options;
        let limit = options.max_body_bytes.unwrap_or(config.max_body_bytes);
        let remaining = self.conn.remaining_content();
        if remaining == Some(0) {
            return self.call(request, exchange, None, output, cx);
        }
        if remaining.is_some_and(|remaining| remaining > limit) {
            return self.refuse(too_large(), Some(exchange), output);
        }
        if options.is_streaming {
            let (to, stream) = BodyStream::channel();
            request.parts_mut().body = RequestBody::Stream(stream);
            let now = self.now();
            let stalls = now + config.body_timeout;
            let mut feed = Box::new(Feed { to, limit, pace: Pace::new(now), stalls });
            if let Err(error) = self.feed_from(&mut feed, rest) {
                feed.to.end(Err(error));
            }
            return self.call(request, exchange, Some(feed), output, cx);
        }
        let mut incoming = Box::new(Incoming { request, exchange, content: Vec::new(), limit });
        match self.gather(&mut incoming, rest) {
            Ok(true) => {
                let Incoming { request, exchange, .. } = *incoming;
                self.call(request, exchange, None, output, cx)
            }
            Ok(false) => {
                self.conn.write_continue(output);
                Step::Wait(Wait::Content(incoming))
            }
            Err(error) => self.refuse(error, Some(incoming.exchange), output),
        }
    }

    /// Adds what has come of a request's content; true when it is complete and in the request.
    fn gather(&mut self, incoming: &mut Incoming, rest: &mut &[u8]) -> Result<bool> {
        loop {
            match self.conn.receive_content(rest, &self.worker.app.config)? {
                Piece::Data(data) => {
                    incoming.limit = match incoming.limit.checked_sub(data.len() as u64) {
                        Some(limit) => limit,
                        None => {
                            self.conn.refuse();
                            return Err(too_large());
                        }
                    };
                    incoming.content.extend_from_slice(data);
                }
                Piece::Incomplete => return Ok(false),
                Piece::End => {
                    let parts = incoming.request.parts_mut();
                    parts.trailers = self.conn.end_content();
                    parts.body = RequestBody::Whole(mem::take(&mut incoming.content));
                    return Ok(true);
                }
            }
        }
    }

    /// Calls the handler of the route, or the one for what was not found.
    fn call(
        &mut self,
        request: Request,
        exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Step {
        let worker = Rc::clone(&self.worker);
        let (handler, timeout) = worker.handler(exchange.route);
        let Reply(answer) = match catch_unwind(AssertUnwindSafe(|| handler(request))) {
            Ok(reply) => reply,
            Err(panic) => Reply(Answer::Now(self.panicked(&exchange, &*panic))),
        };
        let (later, is_parked) = match answer {
            Answer::Now(response) => return self.respond(response, exchange, feed, output),
            Answer::Working(later) => (later, false),
            Answer::Parked(later) => (later, true),
        };
        let until = timeout.map_or(Time::NEVER, |timeout| self.now() + timeout);
        let later = Contained(Some(later));
        let mut pending = Pending { later, exchange, is_parked, until, grace: Time::NEVER, feed };
        // Many are ready at the first look.
        match self.poll_answer_into(&mut pending, output, cx) {
            Poll::Ready(step) => step,
            Poll::Pending => Step::Wait(Wait::Answer(pending)),
        }
    }

    fn panicked(&self, exchange: &Exchange, panic: &(dyn std::any::Any + Send)) -> Response {
        let words = panic_message(panic);
        log::error!("the handler of {} panicked: {words}", self.worker.route_name(exchange.route));
        self.worker.answer_error(Error::new(ErrorKind::Handler, "the handler panicked"))
    }

    /// Answers a request that cannot be taken, and ends the connection with that.
    fn refuse(&mut self, error: Error, exchange: Option<Exchange>, output: &mut Vec<u8>) -> Step {
        log::debug!("{}: refused: {}", Address(self.remote), error.chain());
        self.conn.refuse();
        let exchange = exchange.unwrap_or_else(|| {
            let record = self.worker.wants_records().then(|| {
                Box::new(Record {
                    began: self.worker.handle.precise_now(),
                    request: "-".to_string(),
                })
            });
            Exchange { route: None, record }
        });
        let response = Response { error: None, ..Response::failed(error) };
        self.respond(response, exchange, None, output)
    }

    /// Writes a response, or its head and what to wait for.
    fn respond(
        &mut self,
        response: Response,
        mut exchange: Exchange,
        feed: Option<Box<Feed>>,
        output: &mut Vec<u8>,
    ) -> Step {
        let worker = Rc::clone(&self.worker);
        let response = worker.review(response, exchange.route);
        if worker.is_stopping() {
            self.conn.set_last();
        }
        worker.with_preface(|preface| self.conn.write_head(output, &response, preface));
        let Response { status, body, trailers, .. } = response;
        let mut has_large_content = false;
        let mut sent = 0;
        if self.conn.wants_content() {
            match body.0 {
                Content::Stream(content) => {
                    let content = Contained(Some(content));
                    let outgoing = Outgoing { content, trailers, exchange, status, sent, feed };
                    return Step::Wait(Wait::Stream(Box::new(outgoing)));
                }
                content => {
                    let bytes = content.as_bytes().unwrap_or_default();
                    sent = bytes.len() as u64;
                    has_large_content = bytes.len() > COPIED_CONTENT;
                    if has_large_content {
                        self.outbox.content = content;
                    } else {
                        output.extend_from_slice(bytes);
                    }
                    self.conn.sent_whole();
                }
            }
        } else if let Content::Stream(content) = body.0 {
            drop(Contained(Some(content)));
        }
        self.record(&mut exchange, status, sent);
        match self.finish(output, &Trailers::new()) {
            Step::Next if has_large_content => Step::Flush,
            step => step,
        }
    }

    /// Ends a response.
    fn finish(&mut self, output: &mut Vec<u8>, trailers: &Trailers) -> Step {
        match self.conn.finish(output, trailers) {
            Ok(After::NextRequest) => {
                self.set_idle();
                Step::Next
            }
            Ok(After::Drain) => {
                self.phase = Phase::Drain { bytes: 0 };
                self.deadline.set(self.now() + self.worker.app.config.body_timeout);
                Step::Next
            }
            Ok(After::Close { lingers: true }) => Step::Wait(Wait::End(End::Linger)),
            Ok(After::Close { lingers: false }) => Step::Wait(Wait::End(End::Close)),
            Err(error) => self.break_off(&error),
        }
    }

    /// Ends a connection in the middle of a response, so that this shows.
    fn break_off(&mut self, error: &Error) -> Step {
        log::error!("{}: a response broke off: {}", Address(self.remote), error.chain());
        // A missing chunk or byte shows by itself; a close in place of a length does not.
        let is_reset = self.conn.is_delimited_by_close();
        self.conn.close();
        Step::Wait(Wait::End(if is_reset { End::Reset } else { End::Close }))
    }

    /// Writes the access line.
    fn record(&self, exchange: &mut Exchange, status: StatusCode, sent: u64) {
        if let Some(record) = exchange.record.take() {
            let duration = self.worker.handle.precise_now().since(record.began);
            log::info!(
                target: super::worker::ACCESS,
                "{} {} {} {sent}B {:.3}ms {}",
                Address(self.remote),
                record.request,
                status.as_u16(),
                duration.as_secs_f64() * 1e3,
                self.worker.route_name(exchange.route),
            );
        }
    }

    /// Writes what was collected, and what it cannot, keeps in the outbox.
    fn poll_send(&mut self, output: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if output.is_empty() && self.outbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if !self.outbox.bytes.is_empty() {
            // What was left behind comes first.
            self.outbox.shrink();
            self.outbox.bytes.append(output);
            mem::swap(output, &mut self.outbox.bytes);
        }
        // The worker's buffer serves as the outbox while it is written, and is given back.
        mem::swap(output, &mut self.outbox.bytes);
        loop {
            match self.poll_write(cx) {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    mem::swap(output, &mut self.outbox.bytes);
                    self.outbox.bytes = mem::take(output);
                    self.outbox.shrink();
                    return Poll::Pending;
                }
            }
        }
        mem::swap(output, &mut self.outbox.bytes);
        output.clear();
        Poll::Ready(Ok(()))
    }

    /// Writes some of the outbox; nothing when it is empty.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let count = match self.outbox.unwritten() {
            ([], []) => {
                self.outbox.content = Content::Empty;
                self.outbox.written = 0;
                return Poll::Ready(Ok(0));
            }
            ([], one) | (one, []) => ready!(self.stream.poll_write(cx, &[IoSlice::new(one)])),
            (first, second) => {
                ready!(self.stream.poll_write(cx, &[IoSlice::new(first), IoSlice::new(second)]))
            }
        }?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.outbox.written += count;
        Poll::Ready(Ok(count))
    }
}

/// What has to be waited for.
impl<S: Stream> Connection<S> {
    /// Writes the outbox as fast as the peer takes it.
    async fn flush(&mut self) -> Result<(), End> {
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        let (bytes, content) = self.outbox.unwritten();
        let _held = worker.hold(bytes.len() + content.len());
        let mut pace = Pace::new(self.now());
        self.deadline.set(self.now() + config.write_timeout);
        let outcome = poll_fn(|cx| {
            loop {
                match self.poll_write(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(count)) => {
                        pace.bytes += count as u64;
                        self.deadline.set(self.now() + config.write_timeout);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        let too_slow =
                            pace.is_below(config.min_write_rate, config.write_timeout, self.now());
                        if too_slow || self.deadline.poll_passed(cx).is_ready() {
                            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                        }
                        return Poll::Pending;
                    }
                }
            }
        })
        .await;
        self.outbox.bytes = Vec::new();
        self.set_phase_deadline();
        outcome.map_err(|error| {
            self.give_up(&error);
            End::Reset
        })
    }

    /// Sets the deadline anew after it has served for something else.
    fn set_phase_deadline(&mut self) {
        let config = &self.worker.app.config;
        let timeout = match self.phase {
            Phase::FirstByte => config.first_byte_timeout,
            Phase::Head => config.head_timeout,
            Phase::Idle => config.keep_alive_timeout,
            Phase::Drain { .. } => config.body_timeout,
        };
        self.deadline.set(self.now() + timeout);
    }

    /// Takes the rest of a request's content, then calls the handler.
    async fn collect(&mut self, mut incoming: Incoming) -> Option<Wait> {
        let worker = Rc::clone(&self.worker);
        let mut held = worker.hold(incoming.content.capacity());
        let mut pace = Pace::new(self.now());
        self.deadline.set(self.now() + worker.app.config.body_timeout);
        let outcome = poll_fn(|cx| {
            self.poll_content(cx, &mut pace, |connection, rest| {
                let outcome = connection.gather(&mut incoming, rest);
                if held.set(incoming.content.capacity()) {
                    return outcome;
                }
                connection.conn.refuse();
                Err(Error::new(ErrorKind::Unavailable, "the server holds too much already"))
            })
        })
        .await;
        let Incoming { request, exchange, .. } = incoming;
        let mut once = Some((request, exchange, outcome));
        poll_fn(|cx| {
            let (request, exchange, outcome) = once.take().expect("ready at the first poll");
            Poll::Ready(self.act(cx, |connection, output, cx| match outcome {
                Ok(()) => connection.call(request, exchange, None, output, cx),
                Err(error) => connection.refuse(error, Some(exchange), output),
            }))
        })
        .await
    }

    /// Reads content and has `take` take it, until that says that it is complete.
    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        pace: &mut Pace,
        mut take: impl FnMut(&mut Self, &mut &[u8]) -> Result<bool>,
    ) -> Poll<Result<()>> {
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        Scratch::with(|Scratch { input, .. }| {
            for _ in 0..READS_PER_TURN {
                let len = match self.stream.poll_read(cx, input) {
                    Poll::Ready(Ok(len)) if len > 0 => len,
                    Poll::Ready(_) => {
                        let reason = "the connection ended in the middle of the content";
                        return Poll::Ready(Err(Error::new(ErrorKind::BadRequest, reason)));
                    }
                    Poll::Pending => {
                        let too_slow =
                            pace.is_below(config.min_body_rate, config.body_timeout, self.now());
                        if too_slow || self.deadline.poll_passed(cx).is_ready() {
                            return Poll::Ready(Err(too_slow_content()));
                        }
                        return Poll::Pending;
                    }
                };
                pace.bytes += len as u64;
                self.deadline.set(self.now() + config.body_timeout);
                let mut rest = &input[..len];
                if take(self, &mut rest)? {
                    self.inbox.extend_from_slice(rest);
                    self.is_starving = false;
                    return Poll::Ready(Ok(()));
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Waits for an answer, and sends it.
    fn poll_answer(&mut self, pending: &mut Pending, cx: &mut Context<'_>) -> Poll<Option<Wait>> {
        Scratch::with(|Scratch { output, .. }| {
            let step = ready!(self.poll_answer_into(pending, output, cx));
            Poll::Ready(self.settle(step, output, cx))
        })
    }

    fn poll_answer_into(
        &mut self,
        pending: &mut Pending,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        if let Some(feed) = &mut pending.feed {
            self.poll_feed(feed, cx);
        }
        let later = pending.later.get();
        let meanwhile = match catch_unwind(AssertUnwindSafe(|| later.as_mut().poll(cx))) {
            Ok(Poll::Ready(response)) => Meanwhile::Answered(response),
            Ok(Poll::Pending) => self.poll_meanwhile(pending, cx),
            Err(panic) => Meanwhile::Answered(self.panicked(&pending.exchange, &*panic)),
        };
        match meanwhile {
            Meanwhile::Nothing => Poll::Pending,
            Meanwhile::Left => Poll::Ready(Step::Wait(Wait::End(End::Close))),
            Meanwhile::Answered(response) => {
                let exchange = mem::take(&mut pending.exchange);
                Poll::Ready(self.respond(response, exchange, pending.feed.take(), output))
            }
        }
    }

    /// Looks after everything but the handler while it has no answer.
    fn poll_meanwhile(&mut self, pending: &mut Pending, cx: &mut Context<'_>) -> Meanwhile {
        let worker = Rc::clone(&self.worker);
        if pending.is_parked && worker.is_stopping() {
            return Meanwhile::Answered(worker.answer_shutdown());
        }
        if self.poll_left(&mut pending.grace, cx) {
            return Meanwhile::Left;
        }
        let stalls = pending.feed.as_ref().map_or(Time::NEVER, |feed| feed.stalls);
        self.deadline.set(pending.until.min(pending.grace).min(stalls));
        if self.deadline.poll_passed(cx).is_pending() {
            return Meanwhile::Nothing;
        }
        let now = self.now();
        if pending.grace <= now {
            return Meanwhile::Left;
        }
        if pending.until <= now {
            let error = Error::new(ErrorKind::HandlerTimeout, "the handler took too long");
            return Meanwhile::Answered(worker.answer_error(error));
        }
        // Content has stalled, which is for the handler to hear.
        cx.waker().wake_by_ref();
        Meanwhile::Nothing
    }

    /// Returns whether the peer has reset the connection; when it has only ended its sending side,
    /// which may be a half-close, the grace begins.
    fn poll_left(&mut self, grace: &mut Time, cx: &mut Context<'_>) -> bool {
        match self.stream.poll_left(cx) {
            Poll::Ready(Left::Broken) => return true,
            // What it has sent is still to be read.
            Poll::Ready(Left::ReadClosed) if self.conn.is_receiving() => {}
            Poll::Ready(Left::ReadClosed) => {
                let until = self.now() + self.worker.app.config.half_close_grace;
                *grace = until.min(*grace);
            }
            Poll::Pending => {}
        }
        false
    }

    /// Moves content from the peer to the handler, as far as the one sends and the other reads.
    fn poll_feed(&mut self, feed: &mut Feed, cx: &mut Context<'_>) {
        if !self.conn.is_receiving() || feed.to.is_abandoned() {
            // What nobody reads is thrown away after the answer.
            feed.stalls = Time::NEVER;
            return;
        }
        if feed.to.poll_wanted(cx).is_ready() {
            self.send_continue(cx);
        }
        if self.conn.is_continue_due() {
            feed.stalls = Time::NEVER;
            return;
        }
        match self.poll_pieces(feed, cx) {
            Ok(()) => {}
            Err(error) => {
                self.conn.refuse();
                feed.stalls = Time::NEVER;
                feed.to.end(Err(error));
            }
        }
    }

    fn poll_pieces(&mut self, feed: &mut Feed, cx: &mut Context<'_>) -> Result<()> {
        let worker = Rc::clone(&self.worker);
        let config = &worker.app.config;
        Scratch::with(|Scratch { input, .. }| {
            for _ in 0..READS_PER_TURN {
                if feed.to.poll_room(cx).is_pending() {
                    feed.stalls = Time::NEVER;
                    return Ok(());
                }
                let inbox = mem::take(&mut self.inbox);
                let mut rest = &*inbox;
                if rest.is_empty() {
                    match self.stream.poll_read(cx, input) {
                        Poll::Ready(Ok(len)) if len > 0 => {
                            feed.pace.bytes += len as u64;
                            feed.stalls = self.now() + config.body_timeout;
                            rest = &input[..len];
                        }
                        Poll::Ready(_) => {
                            let reason = "the client left in the middle of its content";
                            return Err(Error::new(ErrorKind::BadRequest, reason));
                        }
                        Poll::Pending => {
                            let now = self.now();
                            let rate = config.min_body_rate;
                            if feed.stalls <= now
                                || feed.pace.is_below(rate, config.body_timeout, now)
                            {
                                return Err(too_slow_content());
                            }
                            if feed.stalls == Time::NEVER {
                                feed.stalls = now + config.body_timeout;
                            }
                            return Ok(());
                        }
                    }
                }
                self.feed_from(feed, &mut rest)?;
                self.inbox = rest.to_vec();
                if !self.conn.is_receiving() {
                    feed.stalls = Time::NEVER;
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
                    feed.limit = match feed.limit.checked_sub(data.len() as u64) {
                        Some(limit) => limit,
                        None => {
                            self.conn.refuse();
                            return Err(too_large());
                        }
                    };
                    feed.to.push(Bytes::copy_from_slice(data));
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

    /// Tells the client to go on, if it waits for that.
    fn send_continue(&mut self, cx: &mut Context<'_>) {
        let mut output = Vec::new();
        self.conn.write_continue(&mut output);
        // What does not fit is written with the answer; a broken connection shows at the next read.
        let _ = self.poll_send(&mut output, cx);
    }

    /// Sends content as it is made and as fast as the peer takes it.
    async fn send_stream(&mut self, mut outgoing: Outgoing) -> Option<Wait> {
        let mut grace = Time::NEVER;
        let mut stalls = Time::NEVER;
        poll_fn(|cx| {
            Scratch::with(|Scratch { output, .. }| {
                self.poll_stream(&mut outgoing, &mut grace, &mut stalls, output, cx)
            })
        })
        .await
    }

    fn poll_stream(
        &mut self,
        outgoing: &mut Outgoing,
        grace: &mut Time,
        stalls: &mut Time,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Wait>> {
        if let Some(feed) = &mut outgoing.feed {
            self.poll_feed(feed, cx);
        }
        for _ in 0..READS_PER_TURN {
            // Nothing more is made before the peer has taken what was.
            match self.poll_send(output, cx) {
                Poll::Ready(Ok(())) => *stalls = Time::NEVER,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(self.give_up(&error))),
                Poll::Pending => return self.poll_unread(stalls, cx),
            }
            match self.poll_made(outgoing, output, cx) {
                Poll::Ready(Some(step)) => return Poll::Ready(self.settle(step, output, cx)),
                Poll::Ready(None) => *grace = Time::NEVER,
                Poll::Pending => return self.poll_unmade(outgoing, grace, stalls, output, cx),
            }
        }
        let _ = self.poll_send(output, cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for a peer that does not read.
    fn poll_unread(&mut self, stalls: &mut Time, cx: &mut Context<'_>) -> Poll<Option<Wait>> {
        let until = self.now() + self.worker.app.config.write_timeout;
        *stalls = until.min(*stalls);
        self.deadline.set(*stalls);
        ready!(self.deadline.poll_passed(cx));
        Poll::Ready(Some(Wait::End(End::Reset)))
    }

    /// Waits for content that is not made yet.
    fn poll_unmade(
        &mut self,
        outgoing: &Outgoing,
        grace: &mut Time,
        stalls: &mut Time,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Wait>> {
        match self.poll_send(output, cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Some(self.give_up(&error))),
            Poll::Pending => return self.poll_unread(stalls, cx),
        }
        if self.poll_left(grace, cx) {
            return Poll::Ready(Some(Wait::End(End::Close)));
        }
        let feeds_until = outgoing.feed.as_ref().map_or(Time::NEVER, |feed| feed.stalls);
        self.deadline.set(feeds_until.min(*grace));
        ready!(self.deadline.poll_passed(cx));
        if *grace <= self.now() {
            return Poll::Ready(Some(Wait::End(End::Close)));
        }
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
        while output.len() < self.worker.app.config.max_output_bytes {
            let content = outgoing.content.get();
            let piece = match catch_unwind(AssertUnwindSafe(|| content.as_mut().poll_next(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(piece)) => piece,
                Err(panic) => {
                    let words = panic_message(&*panic).to_string();
                    Some(Err(Error::new(
                        ErrorKind::Handler,
                        format!("a body stream panicked: {words}"),
                    )))
                }
            };
            let outcome = match piece {
                Some(Ok(piece)) => {
                    outgoing.sent += piece.len() as u64;
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
        let trailers = outgoing.trailers.take().map(|make| make()).unwrap_or_default();
        let step = self.finish(output, &trailers);
        self.record(&mut outgoing.exchange, outgoing.status, outgoing.sent);
        step
    }

    /// Ends the sending side, and reads what the peer still sends until it ends its own: a close
    /// before that would be a reset, which may overtake the last answer.
    async fn linger(&mut self) {
        if self.stream.shutdown_write().is_err() {
            return;
        }
        self.deadline.set(self.now() + self.worker.app.config.linger_timeout);
        poll_fn(|cx| {
            Scratch::with(|Scratch { input, .. }| {
                for _ in 0..DISCARDS_PER_TURN {
                    match self.stream.poll_read(cx, input) {
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Pending => return self.deadline.poll_passed(cx),
                    }
                }
                cx.waker().wake_by_ref();
                self.deadline.poll_passed(cx)
            })
        })
        .await;
    }
}

/// What came of waiting for a handler.
enum Meanwhile {
    Nothing,
    Answered(Response),
    /// There is nobody left to answer.
    Left,
}

/// A peer, as logs name it.
struct Address(Option<SocketAddr>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str("-"),
        }
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::ContentTooLarge, "the content is too large")
}

fn too_slow_content() -> Error {
    Error::new(ErrorKind::RequestTimeout, "the content took too long")
}

/// Makes the answer to a request that no route takes.
fn explain(found: Found) -> Response {
    let failed =
        |kind, reason| Response { error: None, ..Response::failed(Error::new(kind, reason)) };
    match found {
        Found::Options(allow) => Response::new(StatusCode::NO_CONTENT).header(header::ALLOW, allow),
        Found::MethodNotAllowed(allow) => {
            failed(ErrorKind::MethodNotAllowed, "method not allowed").header(header::ALLOW, allow)
        }
        Found::UnknownMethod => failed(ErrorKind::NotImplemented, "the method is not known"),
        Found::Nothing | Found::Route(_) => failed(ErrorKind::NotFound, "not found"),
    }
}
