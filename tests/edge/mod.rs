//! What the tests of the edge share: the application of `examples/conformance.rs`, tables of
//! messages, and a runner that lets each message arrive in every way there is.
//!
//! A row says what the RFCs or the documentation demand, never what the code happens to do. Where
//! an RFC leaves a choice the row lists all of it.

#![allow(dead_code, reason = "every test crate uses only a part of it")]

use crate::util::{Answer, Client};
use futures_core::Stream;
use snow::{Request, Response, Result, Snow, TimeoutFuture, get, post, route};
use std::{
    borrow::Cow,
    fmt::Write as _,
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// The bytes of `GET /big`.
pub(crate) const BIG: usize = 1 << 20;

/// Connections that are open at a time: small messages of a batch arrive in their pieces.
const BATCH: usize = 48;

/// A message up to so many bytes is split at each of them; a longer one at as many places.
const MOST_SPLITS: usize = 90;

/// Asked before and behind a message, to see that the two are told apart.
pub(crate) const NEIGHBOUR: &str = "GET /user/7 HTTP/1.1\r\nHost: neighbour\r\n\r\n";

/// The routes of `examples/conformance.rs`.
pub(crate) fn app() -> Snow {
    let big = vec![b'x'; BIG];
    Snow::new([
        get("^/$", |_| "hello"),
        post("^/echo$", |req: Request| Response::bytes(req.into_body())),
        get(r"^/user/(?<id>[0-9]+)$", |req: Request| req.param("id").unwrap_or("none").to_string()),
        get(r"^/sleep/(?<millis>\d+)$", sleep),
        get("^/panic$", panics),
        get("^/big$", move |_| big.clone()),
        get("^/setheader$", |req: Request| {
            Response::text("set").header("x-v", req.query("v").unwrap_or_default())
        }),
        route(r"^/status/(?<code>\d+)$", status).streaming(),
        get(r"^/stream/(?<n>\d+)$", stream),
        // Beyond the conformance example: what a handler sees of a request.
        post("^/seen$", |req: Request| seen(&req)),
    ])
    .workers(1)
    .configure(|config| config.access_log = false)
}

fn sleep(req: Request) -> Result<TimeoutFuture> {
    let duration = Duration::from_millis(req.parse_param("millis")?);
    Ok(TimeoutFuture::new(duration).then(|| "done"))
}

fn panics(_: Request) -> Response {
    panic!("as asked")
}

fn status(req: Request) -> Result<Response> {
    let code: u16 = req.parse_param("code")?;
    Ok(Response::text("status body").status(code))
}

fn stream(req: Request) -> Result<Response> {
    Ok(Response::stream(Parts { next: 0, end: req.parse_param("n")? }))
}

fn seen(req: &Request) -> String {
    let mut seen = format!("host {:?}\n", req.host());
    for (name, value) in req.headers().iter() {
        let _ = writeln!(seen, "field {name}: {}", value.escape_ascii());
    }
    for (name, value) in req.trailers() {
        let _ = writeln!(seen, "trailer {name}: {}", value.as_bytes().escape_ascii());
    }
    let _ = writeln!(seen, "content {}", req.body().escape_ascii());
    seen
}

/// `part0`, `part1` … as a stream whose length nobody knows.
struct Parts {
    next: u64,
    end: u64,
}

impl Stream for Parts {
    type Item = io::Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = (self.next < self.end).then(|| Ok(format!("part{}\n", self.next)));
        self.next += 1;
        Poll::Ready(part)
    }
}

/// What has to come of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// One answer with one of these statuses, which says that it is the last. Nothing behind the
    /// message is taken for a request.
    Refused(&'static [u16]),
    /// One answer with one of these statuses, and the next request is answered too.
    Kept(&'static [u16]),
    /// One 200 with this content, and the next request is answered too.
    Says(&'static str),
    /// One answer with one of these statuses; the server may end the connection, and says whether
    /// it does.
    Either(&'static [u16]),
    /// One answer with one of these statuses, the last because the client wants that.
    Last(&'static [u16]),
}

/// Malformed: refused with a 400.
pub(crate) const BAD: Outcome = Outcome::Refused(&[400]);
/// Well-formed: answered with a 200.
pub(crate) const GOOD: Outcome = Outcome::Kept(&[200]);

/// A message and what has to come of it.
pub(crate) struct Row {
    /// The section of the RFC, or `issue` for a decision of Snow's own.
    pub(crate) rule: &'static str,
    pub(crate) message: Cow<'static, [u8]>,
    pub(crate) outcome: Outcome,
}

/// Makes a row.
pub(crate) fn row(
    rule: &'static str,
    message: impl Into<Cow<'static, [u8]>>,
    outcome: Outcome,
) -> Row {
    Row { rule, message: message.into(), outcome }
}

/// Joins parts to a message.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A way for a message to arrive.
struct Arrival {
    name: String,
    pieces: Vec<Vec<u8>>,
    /// Whether a neighbour's request comes before it, or behind it, in the same piece.
    has_one_before: bool,
    has_one_behind: bool,
}

/// Returns every way in which `message` arrives.
fn arrivals(message: &[u8]) -> Vec<Arrival> {
    let arrival = |name: String, pieces: Vec<Vec<u8>>| Arrival {
        name,
        pieces,
        has_one_before: false,
        has_one_behind: false,
    };
    let before = [NEIGHBOUR.as_bytes(), message].concat();
    let behind = [message, NEIGHBOUR.as_bytes()].concat();
    let both = [NEIGHBOUR.as_bytes(), message, NEIGHBOUR.as_bytes()].concat();
    let pieces = message.chunks(message.len().div_ceil(400).max(1)).map(<[u8]>::to_vec).collect();
    let mut all = vec![
        arrival("whole".to_string(), vec![message.to_vec()]),
        arrival("byte by byte".to_string(), pieces),
        Arrival { has_one_before: true, ..arrival("behind another".to_string(), vec![before]) },
        Arrival { has_one_behind: true, ..arrival("before another".to_string(), vec![behind]) },
        Arrival {
            has_one_before: true,
            has_one_behind: true,
            ..arrival("between two others".to_string(), vec![both])
        },
    ];
    let step = message.len().div_ceil(MOST_SPLITS).max(1);
    for at in (1..message.len()).step_by(step) {
        let (first, second) = message.split_at(at);
        all.push(arrival(format!("split at {at}"), vec![first.to_vec(), second.to_vec()]));
    }
    all
}

/// Checks every row of a table, each message in every way it can arrive; all that fails is told at
/// once.
#[track_caller]
pub(crate) fn check(rows: Vec<Row>) {
    let server = crate::util::serve(app());
    check_at(server.local_addr(), rows);
}

#[track_caller]
pub(crate) fn check_at(addr: SocketAddr, rows: Vec<Row>) {
    let mut failures = Vec::new();
    let count = rows.len();
    for row in rows {
        let arrivals = arrivals(&row.message);
        for batch in arrivals.chunks(BATCH) {
            if let Some(failure) = check_batch(addr, &row, batch) {
                failures.push(failure);
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} rows\n{}", failures.len(), failures.join("\n"));
}

/// Lets a message arrive in several ways side by side, piece by piece; returns what fails first.
fn check_batch(addr: SocketAddr, row: &Row, batch: &[Arrival]) -> Option<String> {
    let mut clients: Vec<Client> = batch.iter().map(|_| Client::connect(addr)).collect();
    let most = batch.iter().map(|arrival| arrival.pieces.len()).max().unwrap_or(0);
    for at in 0..most {
        for (client, arrival) in clients.iter_mut().zip(batch) {
            if let Some(piece) = arrival.pieces.get(at) {
                client.send(piece);
            }
        }
    }
    clients.iter_mut().zip(batch).find_map(|(client, arrival)| {
        let outcome = catch_unwind(AssertUnwindSafe(|| check_one(client, row, arrival)));
        let panic = outcome.err()?;
        let words = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(words), _) => words.as_str(),
            (None, Some(words)) => words,
            (None, None) => "?",
        };
        let start = &row.message[..row.message.len().min(160)];
        Some(format!(
            "- {}: {:?} for \"{}\", {}: {words}",
            row.rule,
            row.outcome,
            start.escape_ascii(),
            arrival.name
        ))
    })
}

fn check_one(client: &mut Client, row: &Row, arrival: &Arrival) {
    if arrival.has_one_before {
        client.read().expect(200, "7");
    }
    let answer = client.read_to(method_of(&row.message));
    let closes = answer.field("connection") == Some("close");
    let (statuses, keeps) = match row.outcome {
        Outcome::Refused(statuses) => {
            expect_refusal(&answer, &row.message);
            (statuses, Some(false))
        }
        Outcome::Last(statuses) => (statuses, Some(false)),
        Outcome::Kept(statuses) => (statuses, Some(true)),
        Outcome::Either(statuses) => (statuses, None),
        Outcome::Says(text) => {
            answer.expect(200, text);
            (&[200][..], Some(true))
        }
    };
    assert!(statuses.contains(&answer.status), "{answer:?}");
    if let Some(keeps) = keeps {
        assert_eq!(!closes, keeps, "whether the connection goes on: {answer:?}");
    }
    if closes {
        client.expect_end();
        return;
    }
    if !arrival.has_one_behind {
        client.send(NEIGHBOUR);
    }
    client.read().expect(200, "7");
}

/// Returns the method of a message, for the framing of its answer.
pub(crate) fn method_of(message: &[u8]) -> &'static str {
    let line = message.strip_prefix(b"\r\n").unwrap_or(message);
    if line.starts_with(b"HEAD ") { "HEAD" } else { "GET" }
}

/// Expects that a refusal is short, plain, and repeats nothing of what was sent.
#[track_caller]
pub(crate) fn expect_refusal(answer: &Answer, message: &[u8]) {
    assert!(answer.body.len() < 200, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"), "{answer:?}");
    if method_of(message) == "HEAD" {
        assert!(answer.body.is_empty(), "{answer:?}");
    } else {
        assert!(answer.body.ends_with(b"\n"), "{answer:?}");
    }
}
