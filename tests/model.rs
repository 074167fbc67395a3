//! A connection does what a small model of it says: random scripts of whole, cut, pipelined and
//! malformed requests, of pauses on both sides of every timeout, of completions and of all the ways to
//! leave.
//!
//! The model knows nothing of buffers, tasks or timers: only what was sent, what is awaited, and until
//! when. After every step it says which answers must have come, and whether the connection is over.

use snow::{
    Bytes, Error, Future, Request, Response, Snow, TestClient, TestConnection, TimeoutFuture, get,
    post, sleep,
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic,
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::Duration,
};

const SCRIPTS: u64 = 4000;
const STEPS: usize = 40;

// What the configuration promises.
const FIRST_BYTE: Duration = Duration::from_secs(15);
const HEAD: Duration = Duration::from_secs(15);
const BODY: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(50);
const WRITE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(5);

// What the handlers below do.
const NAP: Duration = Duration::from_millis(1100);
const LATE: Duration = Duration::from_millis(2300);
const BOUND: Duration = Duration::from_millis(3700);
const LARGE: usize = 100_000;

thread_local! {
    /// What can be completed, by the number of the request that waits for it.
    static PARKED: RefCell<BTreeMap<usize, Future<String>>> = const { RefCell::new(BTreeMap::new()) };
}

fn application() -> Snow {
    Snow::new([
        get(r"^/now/(?<id>\d+)$", |req: Request| text("now", &req)),
        post(r"^/echo/(?<id>\d+)$", |req: Request| {
            text(&String::from_utf8_lossy(req.body()), &req)
        }),
        post(r"^/upload/(?<id>\d+)$", upload).streaming(),
        get(r"^/nap/(?<id>\d+)$", nap),
        get(r"^/late/(?<id>\d+)$", |_| TimeoutFuture::new(LATE)),
        get(r"^/parked/(?<id>\d+)$", |req: Request| park(&req)),
        get(r"^/bounded/(?<id>\d+)$", |req: Request| park(&req).timeout(BOUND)),
        get(r"^/endless/(?<id>\d+)$", endless).timeout(LATE),
        get(r"^/stream/(?<id>\d+)$", |req: Request| Response::stream(TwoPieces::new(&req))),
        get(r"^/large/(?<id>\d+)$", |_| Response::bytes(vec![b'x'; LARGE])),
        get(r"^/panic/(?<id>\d+)$", |_| -> Response { panic::panic_any(Planned) }),
    ])
    .configure(|config| config.access_log = false)
}

fn text(words: &str, req: &Request) -> String {
    format!("{words} {}", req.param("id").unwrap_or_default())
}

async fn upload(mut req: Request) -> snow::Result<String> {
    let mut body = req.body_stream();
    let mut content = Vec::new();
    while let Some(piece) = body.next().await {
        content.extend_from_slice(&piece?);
    }
    Ok(text(&String::from_utf8_lossy(&content), &req))
}

async fn nap(req: Request) -> String {
    sleep(NAP).await;
    text("nap", &req)
}

async fn endless(_: Request) {
    std::future::pending::<()>().await;
}

fn park(req: &Request) -> Future<String> {
    let future = Future::new(|text: String| text);
    let id = req.param("id").and_then(|id| id.parse().ok()).expect("a number");
    PARKED.with_borrow_mut(|parked| parked.insert(id, future.clone()));
    future
}

/// What a handler panics with on purpose.
struct Planned;

/// Two pieces of content, with a nap between them.
struct TwoPieces {
    pieces: std::vec::IntoIter<String>,
    sleep: Option<snow::Sleep>,
}

impl TwoPieces {
    fn new(req: &Request) -> TwoPieces {
        let pieces = vec!["stream ".to_string(), text("", req).trim().to_string()];
        TwoPieces { pieces: pieces.into_iter(), sleep: None }
    }
}

impl futures_core::Stream for TwoPieces {
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(sleep) = &mut self.sleep {
            if std::future::Future::poll(Pin::new(sleep), cx).is_pending() {
                return Poll::Pending;
            }
        }
        let next = self.pieces.next();
        self.sleep = (self.pieces.len() == 1).then(|| sleep(NAP));
        Poll::Ready(next.map(|piece| Ok(Bytes::from(piece))))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Now,
    Head,
    Old,
    Last,
    Echo,
    Chunked,
    Upload,
    Continued,
    Nap,
    Late,
    Parked,
    Bounded,
    Endless,
    Stream,
    Large,
    Panic,
    Missing,
    Unread,
    WrongMethod,
    /// One of `MALFORMED`.
    Malformed(usize),
}

const KINDS: [Kind; 19] = [
    Kind::Now,
    Kind::Head,
    Kind::Old,
    Kind::Last,
    Kind::Echo,
    Kind::Chunked,
    Kind::Upload,
    Kind::Continued,
    Kind::Nap,
    Kind::Late,
    Kind::Parked,
    Kind::Bounded,
    Kind::Endless,
    Kind::Stream,
    Kind::Large,
    Kind::Panic,
    Kind::Missing,
    Kind::Unread,
    Kind::WrongMethod,
];

/// What is refused, whatever comes behind it, and with which status.
const MALFORMED: [(&str, u16); 11] = [
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("\u{16}\u{3}\u{1}\r\n", 400),
    ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
    ("POST /echo/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    ("POST /echo/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n", 400),
];

impl Kind {
    /// Returns the head and the content of a request.
    fn write(self, id: usize) -> (String, &'static str) {
        let sized = "\r\nContent-Length: 5";
        let chunked = "\r\nTransfer-Encoding: chunked";
        let (line, fields, content) = match self {
            Kind::Now => ("GET /now", "", ""),
            Kind::Head => ("HEAD /now", "", ""),
            Kind::Last => ("GET /now", "\r\nConnection: close", ""),
            Kind::Echo => ("POST /echo", sized, "hello"),
            Kind::Chunked => {
                ("POST /echo", chunked, "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX: y\r\n\r\n")
            }
            Kind::Upload => ("POST /upload", chunked, "5\r\nhello\r\n0\r\n\r\n"),
            Kind::Continued => {
                ("POST /echo", "\r\nExpect: 100-continue\r\nContent-Length: 5", "hello")
            }
            Kind::Nap => ("GET /nap", "", ""),
            Kind::Late => ("GET /late", "", ""),
            Kind::Parked => ("GET /parked", "", ""),
            Kind::Bounded => ("GET /bounded", "", ""),
            Kind::Endless => ("GET /endless", "", ""),
            Kind::Stream => ("GET /stream", "", ""),
            Kind::Large => ("GET /large", "", ""),
            Kind::Panic => ("GET /panic", "", ""),
            Kind::Missing => ("GET /missing", "", ""),
            Kind::Unread => ("POST /missing", sized, "hello"),
            Kind::WrongMethod => ("DELETE /now", "", ""),
            Kind::Old => return (format!("GET /now/{id} HTTP/1.0\r\n\r\n"), ""),
            Kind::Malformed(at) => return (MALFORMED[at].0.to_string(), ""),
        };
        (format!("{line}/{id} HTTP/1.1\r\nHost: a{fields}\r\n\r\n"), content)
    }

    /// Returns the answer that the handler gives by itself.
    fn answer(self, id: usize) -> Answer {
        let (status, body) = match self {
            Kind::Now | Kind::Old | Kind::Last => (200, Some(format!("now {id}"))),
            Kind::Head => (200, Some(String::new())),
            Kind::Echo | Kind::Chunked | Kind::Upload | Kind::Continued => {
                (200, Some(format!("hello {id}")))
            }
            Kind::Nap => (200, Some(format!("nap {id}"))),
            Kind::Stream => (200, Some(format!("stream {id}"))),
            Kind::Large => (200, Some("x".repeat(LARGE))),
            Kind::Parked => (200, Some(format!("told {id}"))),
            Kind::Late | Kind::Bounded | Kind::Endless => (504, None),
            Kind::Panic => (500, None),
            Kind::Missing | Kind::Unread => (404, None),
            Kind::WrongMethod => (405, None),
            Kind::Malformed(at) => (MALFORMED[at].1, None),
        };
        let is_last = matches!(self, Kind::Old | Kind::Last | Kind::Malformed(_));
        Answer { status, body, is_last }
    }

    /// Returns when the answer comes by itself, after the handler was called.
    fn delay(self) -> Option<Duration> {
        match self {
            Kind::Nap | Kind::Stream => Some(NAP),
            Kind::Late | Kind::Endless => Some(LATE),
            Kind::Bounded => Some(BOUND),
            Kind::Parked => None,
            _ => Some(Duration::ZERO),
        }
    }
}

/// A final answer; `None` stands for content that is not compared.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    status: u16,
    body: Option<String>,
    is_last: bool,
}

/// A request, and where in what is sent it lies.
#[derive(Clone, Copy, Debug)]
struct Sent {
    kind: Kind,
    start: usize,
    head_end: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// For the next request, or the rest of its head.
    Waiting {
        until: Duration,
        has_begun: bool,
    },
    Content {
        began: Duration,
        until: Duration,
    },
    Answering {
        due: Option<Duration>,
        grace: Option<Duration>,
    },
    /// For the client to read.
    Blocked {
        until: Duration,
    },
    /// For content that nobody wants.
    Draining {
        began: Duration,
        until: Duration,
    },
    Closed,
}

/// What is known of a connection without looking into it.
struct Model {
    now: Duration,
    state: State,
    requests: Vec<Sent>,
    /// The request that is waited for or in hand.
    at: usize,
    /// Bytes that were sent.
    sent: usize,
    is_half_closed: bool,
    answers: Vec<Answer>,
    /// How many interim answers must have come, and how many more may have.
    interim: (usize, usize),
    /// Whether the last answer may be in part.
    is_cut: bool,
    /// Whether what comes now is nothing that was promised.
    is_undecided: bool,
}

impl Model {
    fn new(now: Duration) -> Model {
        Model {
            now,
            state: State::Waiting { until: now + FIRST_BYTE, has_begun: false },
            requests: Vec::new(),
            at: 0,
            sent: 0,
            is_half_closed: false,
            answers: Vec::new(),
            interim: (0, 0),
            is_cut: false,
            is_undecided: false,
        }
    }

    /// Does what can be done without time passing.
    fn settle(&mut self) {
        while self.step() {}
    }

    /// Does one thing; false when there is none to do.
    fn step(&mut self) -> bool {
        let request = self.requests.get(self.at).copied();
        let before = self.state;
        match (self.state, request) {
            (State::Waiting { has_begun, .. }, Some(request)) if self.sent > request.start => {
                if self.sent >= request.head_end {
                    self.take_head(request);
                } else if self.is_half_closed {
                    self.refuse(400);
                } else if !has_begun {
                    self.state = State::Waiting { until: self.now + HEAD, has_begun: true };
                }
            }
            (State::Waiting { .. }, _) if self.is_half_closed => self.state = State::Closed,
            (State::Content { .. }, Some(request)) => {
                if self.sent >= request.end {
                    self.call(request.kind);
                } else if self.is_half_closed {
                    self.refuse(400);
                }
            }
            (State::Answering { due: Some(due), .. }, Some(request)) if due <= self.now => {
                self.respond(request.kind.answer(self.at), request.kind);
            }
            (State::Answering { due, grace: None }, _) if self.is_half_closed => {
                self.state = State::Answering { due, grace: Some(self.now + GRACE) };
            }
            (State::Draining { .. }, Some(request)) => {
                if self.sent >= request.end {
                    self.await_next();
                } else if self.is_half_closed {
                    self.state = State::Closed;
                }
            }
            _ => {}
        }
        self.state != before
    }

    fn take_head(&mut self, request: Sent) {
        let until = self.now + BODY;
        match request.kind {
            Kind::Unread => {
                self.answers.push(request.kind.answer(self.at));
                self.state = State::Draining { began: self.now, until };
            }
            kind => {
                if kind == Kind::Continued && self.sent < request.end {
                    self.count_interim(self.sent == request.head_end);
                }
                self.state = State::Content { began: self.now, until };
            }
        }
    }

    /// A 100 must come where no content has; it may where some has, but has not been read.
    fn count_interim(&mut self, must_come: bool) {
        if must_come {
            self.interim.0 += 1;
        } else {
            self.interim.1 += 1;
        }
    }

    fn call(&mut self, kind: Kind) {
        let due = kind.delay().map(|delay| self.now + delay);
        self.state = State::Answering { due, grace: None };
    }

    fn respond(&mut self, answer: Answer, kind: Kind) {
        let is_last = answer.is_last;
        if kind == Kind::Large {
            self.state = State::Blocked { until: self.now + WRITE };
            return;
        }
        self.answers.push(answer);
        if is_last {
            self.state = State::Closed;
        } else {
            self.await_next();
        }
    }

    fn refuse(&mut self, status: u16) {
        self.answers.push(Answer { status, body: None, is_last: true });
        self.state = State::Closed;
    }

    fn await_next(&mut self) {
        self.at += 1;
        self.state = State::Waiting { until: self.now + IDLE, has_begun: false };
    }

    /// Returns when something is due.
    fn next(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { until, .. }
            | State::Content { until, .. }
            | State::Blocked { until }
            | State::Draining { until, .. } => Some(until),
            State::Answering { due, grace } => due.into_iter().chain(grace).min(),
            State::Closed => None,
        }
    }

    /// Time has come to what is due.
    fn fire(&mut self) {
        match self.state {
            State::Waiting { has_begun: true, .. } | State::Content { .. } => self.refuse(408),
            State::Answering { grace: Some(grace), .. } if grace <= self.now => {
                self.is_cut |= self.is_streaming();
                self.state = State::Closed;
            }
            State::Answering { .. } => {}
            State::Blocked { .. } => {
                self.is_cut = true;
                self.state = State::Closed;
            }
            State::Waiting { .. } | State::Draining { .. } | State::Closed => {
                self.state = State::Closed;
            }
        }
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        self.settle();
        while let Some(next) = self.next().filter(|&next| next <= end) {
            self.now = next;
            self.fire();
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    fn write(&mut self, len: usize) {
        if self.is_half_closed || len == 0 {
            return;
        }
        self.sent += len;
        let end = self.requests.get(self.at).map_or(0, |request| request.end);
        let until = self.now + BODY;
        match self.state {
            _ if self.sent >= end => {}
            // Pieces so small are too slow on average, once there has been time for one.
            State::Content { began, .. } if self.now > began + BODY => self.refuse(408),
            State::Content { began, .. } => self.state = State::Content { began, until },
            State::Draining { began, .. } if self.now > began + BODY => self.is_undecided = true,
            State::Draining { began, .. } => self.state = State::Draining { began, until },
            _ => {}
        }
        self.settle();
    }

    /// The client reads until there is nothing more.
    fn read(&mut self) {
        while let State::Blocked { .. } = self.state {
            self.answers.push(Kind::Large.answer(self.at));
            self.await_next();
            self.settle();
        }
    }

    /// The promise of this request was completed.
    fn complete(&mut self, id: usize) {
        let answer = Answer { status: 200, body: Some(format!("told {id}")), is_last: false };
        self.respond(answer, Kind::Parked);
        self.settle();
    }

    /// Returns the request whose promise is waited for.
    fn parked(&self) -> Option<usize> {
        let kind = self.requests.get(self.at)?.kind;
        let is_answering = matches!(self.state, State::Answering { .. });
        (is_answering && matches!(kind, Kind::Parked | Kind::Bounded)).then_some(self.at)
    }

    /// Returns whether a part of an answer may have come.
    fn is_streaming(&self) -> bool {
        let kind = self.requests.get(self.at).map(|request| request.kind);
        let is_stream = kind == Some(Kind::Stream) && matches!(self.state, State::Answering { .. });
        is_stream || matches!(self.state, State::Blocked { .. })
    }
}

/// xorshift64*: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }
}

/// A script as it is made up and played, told when it fails.
struct Script {
    seed: u64,
    random: Random,
    model: Model,
    connection: TestConnection,
    /// What is written and not sent.
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// The promises that were kept.
    completed: Vec<usize>,
    story: Vec<String>,
}

impl Drop for Script {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}:\n  {}", self.seed, self.story.join("\n  "));
            eprintln!("the model: {:?}, answers {}", self.model.state, self.model.answers.len());
        }
    }
}

impl Script {
    fn new(client: &mut TestClient, seed: u64) -> Script {
        PARKED.take();
        Script {
            seed,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            model: Model::new(client.elapsed()),
            connection: client.connect(),
            unsent: Vec::new(),
            received: Vec::new(),
            completed: Vec::new(),
            story: Vec::new(),
        }
    }

    fn tell(&mut self, words: impl Into<String>) {
        self.story.push(words.into());
    }

    /// Does one thing, to the connection and to the model.
    fn step(&mut self, client: &mut TestClient) {
        match self.random.below(20) {
            0..=7 => self.request(),
            8..=10 => self.send_rest(),
            11..=13 => self.pause(client),
            14 | 15 => self.complete(),
            16 | 17 => self.read(client),
            18 if self.random.below(4) == 0 => self.half_close(),
            _ => {}
        }
        client.settle();
        self.model.settle();
        self.compare_state();
    }

    /// Writes a request, behind the rest of the last one, and sends all of that or a part.
    fn request(&mut self) {
        let is_malformed = self.unsent.is_empty() && self.random.below(16) == 0;
        let kind = match is_malformed {
            true => Kind::Malformed(self.random.below(MALFORMED.len())),
            false => KINDS[self.random.below(KINDS.len())],
        };
        let id = self.model.requests.len();
        let (head, content) = kind.write(id);
        let start = self.model.requests.last().map_or(0, |last| last.end);
        let head_end = start + head.len();
        let end = head_end + content.len();
        self.model.requests.push(Sent { kind, start, head_end, end });
        self.unsent.extend_from_slice(head.as_bytes());
        self.unsent.extend_from_slice(content.as_bytes());
        self.tell(format!("request {id}: {kind:?}"));
        // What is wrong may be refused early, or late: it is sent at once.
        let len = match is_malformed || self.random.below(3) > 0 {
            true => self.unsent.len(),
            false => self.random.below(self.unsent.len()),
        };
        self.send(len);
    }

    fn send_rest(&mut self) {
        let len = match self.random.below(2) {
            0 => self.unsent.len(),
            _ => self.random.below(self.unsent.len() + 1),
        };
        self.send(len);
    }

    fn send(&mut self, len: usize) {
        let rest = self.unsent.split_off(len);
        let sent = std::mem::replace(&mut self.unsent, rest);
        self.tell(format!("send {len} bytes, of {} left", self.unsent.len()));
        if !self.model.is_half_closed {
            self.connection.write(&sent);
        }
        self.model.write(len);
    }

    /// Lets time pass, some more or some less than one of the bounds.
    fn pause(&mut self, client: &mut TestClient) {
        let bounds = [NAP, LATE, BOUND, GRACE, HEAD, WRITE, IDLE];
        let bound = bounds[self.random.below(bounds.len())];
        let pause = bound.mul_f64(self.random.below(1_000_000) as f64 / 700_000.0);
        self.tell(format!("wait {pause:?}"));
        client.advance(pause);
        self.model.advance(pause);
        self.compare_state();
    }

    /// Completes the promise that is waited for, if there is one.
    fn complete(&mut self) {
        let Some(id) = self.model.parked() else { return };
        self.tell(format!("complete {id}"));
        let future = PARKED.with_borrow(|parked| parked[&id].clone());
        assert_eq!(future.set_result(format!("told {id}")), Ok(()));
        self.completed.push(id);
        self.model.complete(id);
    }

    fn half_close(&mut self) {
        self.tell("half-close");
        self.connection.half_close();
        self.model.is_half_closed = true;
    }

    fn read(&mut self, client: &mut TestClient) {
        self.tell("read");
        loop {
            client.settle();
            let taken = self.connection.take();
            if taken.is_empty() {
                break;
            }
            self.received.extend(taken);
        }
        self.model.read();
        self.compare_answers();
    }

    #[track_caller]
    fn compare_state(&self) {
        if self.model.is_undecided {
            return;
        }
        let is_closed = self.model.state == State::Closed;
        assert_eq!(self.connection.is_closed(), is_closed, "whether it is closed");
        self.compare_promises(self.model.parked());
    }

    /// A promise is cancelled unless it was kept, or is the one that is waited for.
    #[track_caller]
    fn compare_promises(&self, awaited: Option<usize>) {
        PARKED.with_borrow(|parked| {
            for (&id, future) in parked {
                let is_cancelled = awaited != Some(id) && !self.completed.contains(&id);
                assert_eq!(future.is_cancelled(), is_cancelled, "whether {id} is cancelled");
            }
        });
    }

    fn compare_answers(&self) {
        let mut rest = &*self.received;
        let mut interim = 0;
        for (at, expected) in self.model.answers.iter().enumerate() {
            let is_head = self.model.requests.get(at).is_some_and(|sent| sent.kind == Kind::Head);
            let answer = loop {
                let (answer, len) = parse(rest, is_head && !expected.is_last);
                rest = &rest[len..];
                match answer.status {
                    100 => interim += 1,
                    _ => break answer,
                }
            };
            assert_eq!(answer.status, expected.status, "the status of answer {at}");
            assert_eq!(answer.is_last, expected.is_last, "whether answer {at} is the last");
            assert!(expected.body.is_none() || answer.body == expected.body, "answer {at}");
        }
        while rest.starts_with(b"HTTP/1.1 100 ") {
            rest = &rest[parse(rest, true).1..];
            interim += 1;
        }
        let may_be_in_part = self.model.is_cut || self.model.is_streaming();
        assert!(rest.is_empty() || may_be_in_part, "more came: {}", rest.escape_ascii());
        let (least, more) = self.model.interim;
        assert!((least..=least + more).contains(&interim), "{interim} interim answers");
    }

    /// Leaves, after which nothing is left.
    fn leave(self, client: &mut TestClient) {
        if self.seed % 2 == 0 {
            self.connection.reset();
            client.settle();
            self.compare_promises(None);
        }
        drop(self);
        client.settle();
        let counts = client.counts();
        assert_eq!((counts.tasks, counts.timers), (0, 0), "something is left");
    }
}

/// Takes one answer off what has come.
#[track_caller]
fn parse(input: &[u8], is_head: bool) -> (Answer, usize) {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer is missing");
    let head = std::str::from_utf8(&input[..end]).expect("a head is text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let rest = &input[end + 4..];
    let (body, len) = match (field("Content-Length: "), field("Transfer-Encoding: ")) {
        _ if is_head || status == 100 => (Vec::new(), 0),
        (Some(length), None) => {
            let length = length.parse().expect("a length");
            (rest.get(..length).expect("content is missing").to_vec(), length)
        }
        (None, Some("chunked")) => dechunk(rest),
        framing => panic!("framed by {framing:?}"),
    };
    let is_last = field("Connection: ") == Some("close");
    let body = Some(String::from_utf8_lossy(&body).into_owned());
    (Answer { status, body, is_last }, end + 4 + len)
}

fn dechunk(input: &[u8]) -> (Vec<u8>, usize) {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let len = input[at..].windows(2).position(|two| two == b"\r\n").expect("a chunk's size");
        let size = std::str::from_utf8(&input[at..at + len]).expect("a size is text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        at += len + 2;
        content.extend_from_slice(&input[at..at + size]);
        at += size + 2;
        if size == 0 {
            return (content, at);
        }
    }
}

/// Lets panics pass in silence that are made on purpose.
fn quiet() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Planned>() {
            report(info);
        }
    }));
}

#[test]
fn a_connection_does_what_its_model_says() {
    quiet();
    let mut client = application().test_client().expect("the table is sound");
    for seed in 1..=SCRIPTS {
        let mut script = Script::new(&mut client, seed);
        for _ in 0..STEPS {
            if script.model.is_undecided {
                break;
            }
            script.step(&mut client);
        }
        if !script.model.is_undecided {
            script.read(&mut client);
        }
        script.leave(&mut client);
    }
}
