//! Requests that do not wait for answers: each is answered once, in order, for itself alone.

mod edge;
mod util;

use edge::{NEIGHBOUR, join};
use futures_core::Stream;
use snow::{Bytes, Request, Response, Result, Snow, get};
use std::{
    io::Write,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Instant,
};
use util::{Arrival, Client, in_every_arrival, serve};

/// A request and its answer.
struct Exchange {
    request: &'static str,
    status: u16,
    /// `None` where only the length is looked at.
    content: Option<&'static str>,
}

const fn exchange(request: &'static str, status: u16, content: &'static str) -> Exchange {
    Exchange { request, status, content: Some(content) }
}

/// One of every kind: framed differently, answered at once or later, refused without an end.
const KINDS: &[Exchange] = &[
    exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello"),
    exchange("GET /user/42?x HTTP/1.1\r\nHost: a\r\n\r\n", 200, "42"),
    exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""),
    exchange("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""),
    exchange("HEAD /stream/2 HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""),
    exchange("HEAD /nope HTTP/1.1\r\nHost: a\r\n\r\n", 404, ""),
    exchange("GET http://b/user/43 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "43"),
    exchange("\r\nGET /user/44 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "44"),
    exchange("GET /user/45 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "45"),
    exchange("GET /sleep/1 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "done"),
    exchange("GET /sleep/0 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "done"),
    exchange("GET /stream/0 HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""),
    exchange("GET /stream/2 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "part0\npart1\n"),
    Exchange { request: "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, content: None },
    exchange("GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not found\n"),
    exchange("GET /status/204 HTTP/1.1\r\nHost: a\r\n\r\n", 204, ""),
    exchange("GET /status/304 HTTP/1.1\r\nHost: a\r\n\r\n", 304, ""),
    exchange("GET /status/418 HTTP/1.1\r\nHost: a\r\n\r\n", 418, "status body"),
    exchange("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, ""),
    exchange("OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n", 204, ""),
    exchange("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200, ""),
    exchange("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /", 200, "GET /"),
    exchange(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
        200,
        "hello",
    ),
    exchange(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        200,
        "hello",
    ),
    exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\nGET / HTTP/1.1\r\n",
        200,
        "hello",
    ),
    exchange(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\nGET / HTTP/1.1\r\n",
        405,
        "method not allowed\n",
    ),
    exchange(
        "POST /nope HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         10\r\nGET / HTTP/1.1\r\n\r\n0\r\n\r\n",
        404,
        "not found\n",
    ),
    exchange(
        "POST /status/201 HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\nGET / HTTP/1.1\r\n",
        201,
        "status body",
    ),
    exchange(
        "POST /status/204 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\n\r\n\r\n0\r\n\r\n",
        204,
        "",
    ),
    exchange("GET /setheader?v=%0a HTTP/1.1\r\nHost: a\r\n\r\n", 500, "Internal Server Error\n"),
    exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        200,
        "hello",
    ),
];

/// Reads the answer to a request of the table.
#[track_caller]
fn expect_answer(client: &mut Client, kind: &Exchange) {
    let answer = client.read_to(edge::method_of(kind.request.as_bytes()));
    assert_eq!(answer.status, kind.status, "{:?}: {answer:?}", kind.request);
    match kind.content {
        Some(content) => assert_eq!(answer.text(), content, "{:?}: {answer:?}", kind.request),
        None => assert_eq!(answer.body.len(), edge::BIG),
    }
    assert_ne!(answer.field("connection"), Some("close"), "{:?}", kind.request);
}

/// Every kind behind every other, in one write: each is answered as it would be alone.
#[test]
fn every_pair() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for first in KINDS {
        for second in KINDS {
            client.send([first.request, second.request].concat());
            expect_answer(&mut client, first);
            expect_answer(&mut client, second);
        }
    }
}

/// All kinds in one write, from each of them on.
#[test]
fn every_rotation() {
    let server = serve(edge::app());
    for start in 0..KINDS.len() {
        let (behind, before) = KINDS.split_at(start);
        let order: Vec<&Exchange> = before.iter().chain(behind).collect();
        let script: String = order.iter().map(|kind| kind.request).collect();
        let mut client = Client::connect(server.local_addr());
        client.send(&script);
        client.half_close();
        for kind in order {
            expect_answer(&mut client, kind);
        }
        client.expect_end();
    }
}

/// The whole script cut at every byte, and sent byte by byte.
#[test]
fn every_cut() {
    let server = serve(edge::app());
    // Without what takes long to read.
    let kinds: Vec<&Exchange> = KINDS
        .iter()
        .filter(|kind| kind.content.is_some() && !kind.request.contains("Expect"))
        .step_by(2)
        .collect();
    let script: String = kinds.iter().map(|kind| kind.request).collect();
    in_every_arrival(server.local_addr(), script.as_bytes(), |client| {
        for kind in &kinds {
            expect_answer(client, kind);
        }
        client.half_close();
        client.expect_end();
    });
}

/// Cut into pieces of every size, so that heads and content straddle reads in all ways.
#[test]
fn every_stride() {
    let server = serve(edge::app());
    let script: String = KINDS.iter().map(|kind| kind.request).collect();
    for stride in 2..60 {
        let mut client = Client::connect(server.local_addr());
        for piece in script.as_bytes().chunks(stride) {
            client.send(piece);
        }
        for kind in KINDS {
            // Who sees half a message may invite the rest of it.
            if kind.request.contains("Expect") {
                let answer = client.read();
                if answer.status == 100 {
                    client.read().expect(200, "hello");
                } else {
                    answer.expect(200, "hello");
                }
            } else {
                expect_answer(&mut client, kind);
            }
        }
    }
}

/// What ends the connection in the middle of a pipeline, and with which answer.
const ENDS: &[(&str, &[u16])] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &[200]),
    ("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &[200]),
    ("GET / HTTP/1.0\r\n\r\n", &[200]),
    ("GET /stream/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &[200]),
    ("GET /sleep/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &[200]),
    ("POST /nope HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", &[404]),
    ("GET / HTTP/1.1\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", &[400]),
    ("GET /% HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("BAD\r\n\r\n", &[400]),
    ("\r\n\r\n\r\n", &[400]),
    ("\0\0\0\0", &[400]),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[505]),
    ("HEAD / HTTP/2.0\r\nHost: a\r\n\r\n", &[505]),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", &[400]),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", &[400, 501]),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n", &[400]),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        &[400],
    ),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", &[413]),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        &[400],
    ),
];

/// The answers before the end come, the end comes once, and nothing behind it is answered.
#[test]
fn ends_in_the_middle() {
    let server = serve(edge::app());
    for (end, statuses) in ENDS {
        for before in KINDS {
            for behind in [NEIGHBOUR, "\r\n", "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n", "garbage"] {
                let mut client = Client::connect(server.local_addr());
                client.send([before.request, end, behind, NEIGHBOUR].concat());
                expect_answer(&mut client, before);
                let answer = client.read_to(edge::method_of(end.as_bytes()));
                assert!(statuses.contains(&answer.status), "{end:?}: {answer:?}");
                answer.expect_close(true);
                client.expect_end();
            }
        }
    }
}

/// Framing errors in content, met after some of it was taken: what stands behind is not answered.
#[test]
fn faults_in_content_in_the_middle() {
    let server = serve(edge::app());
    let script = format!(
        "{NEIGHBOUR}POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n5 \r\nworld\r\n0\r\n\r\n{NEIGHBOUR}{NEIGHBOUR}"
    );
    in_every_arrival(server.local_addr(), script.as_bytes(), |client| {
        client.read().expect(200, "7");
        client.read().expect_failure(400);
        client.expect_end();
    });
}

/// However many there are: they are answered in turns, and none is lost between two.
#[test]
fn thousands_at_once() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    let script: String =
        (0..5000).map(|number| format!("GET /user/{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let mut stream = client.stream().try_clone().unwrap();
    let sending = std::thread::spawn(move || stream.write_all(script.as_bytes()).unwrap());
    for number in 0..5000 {
        client.read().expect(200, &number.to_string());
    }
    sending.join().unwrap();
    client.get("/").expect(200, "hello");
}

/// The number of a batch, and its neighbours: the turn ends there, the connection does not.
#[test]
fn around_the_bound_of_a_turn() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for count in [1, 2, 31, 32, 33, 63, 64, 65, 128, 500] {
        client.send(NEIGHBOUR.repeat(count));
        for _ in 0..count {
            client.read().expect(200, "7");
        }
        // A slow one at the end of each batch.
        client
            .send([&NEIGHBOUR.repeat(count), "GET /sleep/1 HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        for _ in 0..count {
            client.read().expect(200, "7");
        }
        client.read().expect(200, "done");
    }
}

/// A slow answer holds back the quick ones behind it, and does not change places with them.
#[test]
fn slow_before_quick() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for _ in 0..3 {
        client.send(format!(
            "GET /sleep/40 HTTP/1.1\r\nHost: a\r\n\r\n{NEIGHBOUR}\
             GET /sleep/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /user/8 HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        for answer in ["done", "7", "done", "8"] {
            client.read().expect(200, answer);
        }
    }
}

/// One that arrives while another is answered.
#[test]
fn arriving_while_one_is_answered() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for cut in 1..NEIGHBOUR.len() {
        client.send("GET /sleep/2 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(&NEIGHBOUR[..cut]);
        client.read().expect(200, "done");
        client.send(&NEIGHBOUR[cut..]);
        client.read().expect(200, "7");
    }
}

/// Large answers to a client that reads none of them before it has asked for all.
#[test]
fn large_answers_behind_each_other() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    let big = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!(
        "{big}{NEIGHBOUR}{big}{big}HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n{NEIGHBOUR}"
    ));
    let mut neighbour = Client::connect(server.local_addr());
    let began = Instant::now();
    neighbour.get("/").expect(200, "hello");
    assert!(began.elapsed().as_secs() < 1, "a client that does not read holds up others");
    assert_eq!(client.read().body.len(), edge::BIG);
    client.read().expect(200, "7");
    assert_eq!(client.read().body.len(), edge::BIG);
    assert_eq!(client.read().body.len(), edge::BIG);
    client.read_to("HEAD").expect(200, "");
    client.read().expect(200, "7");
}

/// Large content in both directions, one message behind the other.
#[test]
fn large_content_behind_each_other() {
    let server = serve(edge::app());
    let client = Client::connect(server.local_addr());
    let content = vec![b'z'; 300_000];
    let with_length =
        join(&[b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n", &content]);
    let in_chunks = join(&[
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n",
        &content,
        b"\r\n0\r\n\r\n",
    ]);
    let script = join(&[&with_length, NEIGHBOUR.as_bytes(), &in_chunks, &with_length, &in_chunks]);
    let mut stream = client.stream().try_clone().unwrap();
    let sending = std::thread::spawn(move || stream.write_all(&script).unwrap());
    let mut client = client;
    assert!(client.read().body == content);
    client.read().expect(200, "7");
    for _ in 0..3 {
        assert!(client.read().body == content);
    }
    sending.join().unwrap();
}

/// No connection's bytes count for another, however they are interleaved.
#[test]
fn connections_do_not_mix() {
    let server = serve(edge::app());
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(server.local_addr())).collect();
    let scripts: Vec<String> = (0..clients.len())
        .map(|number| {
            format!(
                "GET /user/{number} HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\n{number:03}\r\n0\r\n\r\n\
                 GET /user/{number} HTTP/1.1\r\nHost: a\r\n\r\n"
            )
        })
        .collect();
    for at in (0..scripts.iter().map(String::len).max().unwrap()).step_by(7) {
        for (client, script) in clients.iter_mut().zip(&scripts) {
            if let Some(rest) = script.as_bytes().get(at..) {
                client.send(&rest[..rest.len().min(7)]);
            }
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.read().expect(200, &number.to_string());
        client.read().expect(200, &format!("{number:03}"));
        client.read().expect(200, &number.to_string());
    }
}

/// A neighbour in the same write changes nothing, whichever way the rest arrives.
#[test]
fn glued_to_a_neighbour() {
    let server = serve(edge::app());
    for kind in KINDS {
        let mut client = Client::connect(server.local_addr());
        client.send_as(Arrival::Glued, kind.request.as_bytes());
        expect_answer(&mut client, kind);
        client.send([kind.request, NEIGHBOUR].concat());
        expect_answer(&mut client, kind);
        client.read().expect(200, "7");
    }
}

/// A stream of one piece.
struct Once(Option<&'static [u8]>);

impl Stream for Once {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Bytes::from_static(piece))))
    }
}

#[test]
fn pipelined_streams_leave_others_their_turns() {
    static STREAMED: AtomicUsize = AtomicUsize::new(0);
    static BEFORE: AtomicUsize = AtomicUsize::new(usize::MAX);
    let stream = |_: Request| {
        STREAMED.fetch_add(1, Ordering::SeqCst);
        Response::stream(Once(Some(b"x")))
    };
    let other = |_: Request| {
        BEFORE.store(STREAMED.load(Ordering::SeqCst), Ordering::SeqCst);
        "other"
    };
    let mut client = Snow::new([get("^/s$", stream), get("^/o$", other)]).test_client().unwrap();
    let (busy, patient) = (client.connect(), client.connect());
    busy.write("GET /s HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000).as_bytes());
    patient.write(b"GET /o HTTP/1.1\r\nHost: a\r\n\r\n");
    client.settle();
    assert!(BEFORE.load(Ordering::SeqCst) <= 64, "{BEFORE:?} requests came first");
}
