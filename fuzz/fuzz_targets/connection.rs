//! Connections: whatever arrives, cut however, while handlers take their time and clients leave, every
//! request is answered at most once and in order, what is sent is well-formed, nothing follows an end,
//! and all that was begun is over when the client and its time are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    USUAL_LIMITS, app, chunked,
    request::{self, Framing, Head, Verdict},
    response::{self, Asked},
    script::Script,
};
use snow::{TestClient, TestConnection, rt::Counts};
use std::{cell::RefCell, sync::LazyLock, time::Duration};

thread_local! {
    static CLIENT: RefCell<TestClient> = RefCell::new(
        app::application()
            .configure(|config| config.access_log = false)
            .test_client()
            .expect("the table is sound"),
    );
}

/// Longer than a server waits for anything.
const ALL_TIME: Duration = Duration::from_secs(200);

/// Shorter than a server waits for those who do not read.
const STEP: Duration = Duration::from_secs(10);

/// Whether to print what is done, to read a failure by.
static IS_TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_SHOW").is_some());

/// Requests, for a script to pick.
const REQUESTS: [&str; 24] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /poll HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /tell HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /late HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /panic-later HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /panic-drop HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /stream/aswbl HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /stream/lllls HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /stream/asp HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /stream/wzz HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /lazy HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    "POST /mirror HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
    "POST /abandon-late HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n",
];

/// Moments, in milliseconds, around those at which something is due.
const MOMENTS: [u64; 12] =
    [1, 300, 700, 1500, 1999, 3000, 5000, 8000, 15_000, 20_000, 49_000, 51_000];

fuzz_target!(init: app::let_planned_panics_pass(), |data: &[u8]| {
    CLIENT.with_borrow_mut(|client| run(client, &mut Script(data)));
});

/// A connection as its client sees it.
struct Peer {
    connection: TestConnection,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// Whether it takes what it is sent.
    is_reading: bool,
    /// Whether it has ever let something lie that it was sent.
    has_dawdled: bool,
    has_half_closed: bool,
    has_reset: bool,
}

impl Peer {
    fn new(client: &mut TestClient) -> Peer {
        Peer {
            connection: client.connect(),
            sent: Vec::new(),
            received: Vec::new(),
            is_reading: true,
            has_dawdled: false,
            has_half_closed: false,
            has_reset: false,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        // What is sent behind an end reaches nobody.
        if !self.has_half_closed && !self.has_reset && !self.connection.is_closed() {
            if *IS_TOLD {
                eprintln!("  sends {}", bytes.escape_ascii());
            }
            self.connection.write(bytes);
            self.sent.extend_from_slice(bytes);
        }
    }

    /// Takes what has come and returns how much; nothing comes once the server has ended its side.
    fn take(&mut self) -> usize {
        if !self.is_reading {
            self.has_dawdled = true;
            return 0;
        }
        let was_closed = self.connection.is_closed();
        let taken = self.connection.take();
        if *IS_TOLD && !taken.is_empty() {
            eprintln!("  takes {}", taken[..taken.len().min(600)].escape_ascii());
        }
        self.received.extend_from_slice(&taken);
        if was_closed {
            assert!(self.connection.take().is_empty(), "bytes behind the end");
        }
        taken.len()
    }
}

fn run(client: &mut TestClient, script: &mut Script<'_>) {
    let before = client.counts();
    let mut peers = [Peer::new(client), Peer::new(client)];
    while !script.is_over() {
        step(client, &mut peers, script);
    }
    finish(client, &mut peers);
    peers.iter().for_each(check);
    drop(peers);
    client.settle();
    app::tell();
    client.settle();
    assert_counts(client, before);
}

fn assert_counts(client: &mut TestClient, before: Counts) {
    let after = client.counts();
    assert_eq!((after.tasks, after.timers), (before.tasks, before.timers), "something is left");
}

/// Does one thing.
fn step(client: &mut TestClient, peers: &mut [Peer; 2], script: &mut Script<'_>) {
    let order = script.byte();
    if *IS_TOLD {
        eprintln!("{:?} peer {}: order {}", client.elapsed(), order >> 7, order & 15);
    }
    let peer = &mut peers[usize::from(order >> 7)];
    match order & 15 {
        0..=3 => peer.write(script.one_of(&REQUESTS).as_bytes()),
        4 => {
            let request = script.one_of(&REQUESTS).as_bytes();
            let (start, rest) = request.split_at(usize::from(script.byte()) % request.len());
            peer.write(start);
            pass(client, peers, Duration::from_millis(script.one_of(&MOMENTS)));
            peers[usize::from(order >> 7)].write(rest);
        }
        5 | 6 => {
            let len = usize::from(script.byte());
            peer.write(script.slice(len));
        }
        7 => peer.is_reading = !peer.is_reading,
        8 => {
            app::tell();
        }
        9 => {
            peer.has_half_closed = true;
            peer.connection.half_close();
        }
        10 => {
            peer.has_reset = true;
            peer.connection.reset();
        }
        11 | 12 => pass(client, peers, Duration::from_millis(script.one_of(&MOMENTS))),
        _ => pass(client, peers, Duration::ZERO),
    }
}

/// Lets time pass, in steps shorter than a server's patience with those who do not read.
fn pass(client: &mut TestClient, peers: &mut [Peer; 2], mut duration: Duration) {
    look(client, peers);
    while duration > Duration::ZERO {
        let step = duration.min(STEP);
        client.advance(step);
        look(client, peers);
        duration -= step;
    }
}

/// Lets all happen that can happen now, while those who read do so.
fn look(client: &mut TestClient, peers: &mut [Peer; 2]) {
    loop {
        client.settle();
        let taken = peers.iter_mut().map(Peer::take).sum::<usize>();
        if taken == 0 {
            return;
        }
    }
}

/// Lets everything come to its end: who waits is told, who reads reads all.
fn finish(client: &mut TestClient, peers: &mut [Peer; 2]) {
    for peer in peers.iter_mut() {
        peer.is_reading = true;
    }
    let mut waited = Duration::ZERO;
    let mut received = 0;
    while waited < ALL_TIME && !peers.iter().all(|peer| peer.connection.is_closed()) {
        app::tell();
        pass(client, peers, STEP);
        waited += STEP;
        let sum = peers.iter().map(|peer| peer.received.len()).sum();
        if std::mem::replace(&mut received, sum) != sum {
            waited = Duration::ZERO;
        }
    }
}

/// What a connection was sent, taken apart by a strict reader.
struct Sent {
    heads: Vec<Head>,
    /// Whether the content of the last head is complete.
    is_complete: bool,
    /// Whether something is behind the last request that is none.
    has_more: bool,
    /// Whether that looks like a `HEAD`, so that its refusal may have no content.
    may_be_head: bool,
}

fn take_apart(mut input: &[u8]) -> Sent {
    let mut sent =
        Sent { heads: Vec::new(), is_complete: true, has_more: false, may_be_head: false };
    while !input.is_empty() {
        let Verdict::Accepted(head, len) = request::read(input, &USUAL_LIMITS) else {
            sent.has_more = true;
            sent.may_be_head = input.trim_ascii_start().starts_with(b"HEAD ");
            break;
        };
        input = &input[len..];
        let content = content_len(&head, input);
        let goes_on = head.is_keep_alive;
        sent.heads.push(*head);
        match content {
            Some(len) if goes_on => input = &input[len..],
            Some(_) => break,
            None => {
                sent.is_complete = false;
                break;
            }
        }
    }
    sent
}

/// Returns how many bytes of `input` are the content of a request; `None` when it is not complete.
fn content_len(head: &Head, input: &[u8]) -> Option<usize> {
    match head.framing {
        Framing::Length(length) => {
            usize::try_from(length).ok().filter(|&length| length <= input.len())
        }
        Framing::Chunked => match chunked::read(input, &USUAL_LIMITS) {
            chunked::Verdict::Complete(_, _, len) => Some(len),
            chunked::Verdict::Partial | chunked::Verdict::Refused(_) => None,
        },
    }
}

/// Checks what a connection got for what it sent.
fn check(peer: &Peer) {
    let sent = take_apart(&peer.sent);
    let is_closed = peer.connection.is_closed();
    let mut output = &*peer.received;
    let (mut answers, mut interim, mut has_ended) = (0, 0, false);
    while !output.is_empty() {
        assert!(!has_ended, "an answer behind the last one");
        let head = sent.heads.get(answers);
        assert!(head.is_some() || sent.has_more && answers == sent.heads.len(), "too many answers");
        let Some(answer) = response::read(output, asked(head), is_closed) else {
            assert!(peer.has_reset || peer.has_dawdled, "half a head");
            return;
        };
        output = &output[answer.len..];
        if answer.status < 200 {
            interim += 1;
            assert_eq!(interim, 1, "two interim answers");
            continue;
        }
        (answers, interim) = (answers + 1, 0);
        has_ended = answer.is_last || !answer.is_complete;
        let is_refused_head = head.is_none() && sent.may_be_head && answer.content.is_empty();
        let may_break_off = head.is_some_and(|head| app::may_break_off(&head.target));
        let is_cut = peer.has_reset || peer.has_dawdled || peer.has_half_closed;
        let may_be_half = may_break_off || is_cut || is_refused_head;
        assert!(answer.is_complete || may_be_half, "half an answer");
        assert!(head.is_some() || matches!(answer.status, 400..=599) && answer.is_last);
        has_ended |= sent.heads.len() == answers && !sent.is_complete && is_closed;
    }
    if peer.has_reset || peer.has_half_closed || peer.has_dawdled {
        return;
    }
    if sent.heads.iter().any(|head| app::may_wait_for_ever(&head.target)) {
        return;
    }
    assert!(is_closed, "still open");
    assert!(has_ended || answers >= sent.heads.len(), "a request without an answer");
}

fn asked(head: Option<&Head>) -> Asked {
    Asked {
        is_head: head.is_some_and(|head| head.method == b"HEAD"),
        is_http10: head.is_some_and(|head| head.is_http10),
        expects_continue: head.is_some_and(|head| head.expects_continue),
    }
}
