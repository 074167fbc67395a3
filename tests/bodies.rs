//! Content in both directions: what delimits it, what becomes of it, and what of it nobody reads.

mod edge;
mod util;

use edge::{
    BAD, GOOD, NEIGHBOUR,
    Outcome::{self, Either, Kept, Last, Refused, Says},
    Row, check, check_at, join, row,
};
use futures_core::Stream;
use snow::{Bytes, Request, Response, Snow, get, post};
use socket2::SockRef;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use util::{Client, PATIENCE, serve, wait_until};

type Part = &'static [u8];

/// Rows of chunked messages to `path`.
fn chunked(path: &str, parts: &[(&'static str, Part, Outcome)]) -> Vec<Row> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let made =
        |&(rule, part, outcome): &(_, Part, _)| row(rule, join(&[head.as_bytes(), part]), outcome);
    parts.iter().map(made).collect()
}

/// What a client may send in chunks (RFC 9112, section 7.1).
const WELL_CHUNKED: &[(&str, Part, Outcome)] = &[
    ("9112 7.1", b"0\r\n\r\n", Says("")),
    ("9112 7.1", b"5\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1", b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1", b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1", b"05\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1", b"0005\r\nhello\r\n000\r\n\r\n", Says("hello")),
    ("9112 7.1", b"a\r\n0123456789\r\n0\r\n\r\n", Says("0123456789")),
    ("9112 7.1", b"A\r\n0123456789\r\n0\r\n\r\n", Says("0123456789")),
    (
        "9112 7.1",
        b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
        Says("abcdefghijklmnopqrstuvwxyz"),
    ),
    (
        "9112 7.1",
        b"1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
        Says("abcdefghijklmnopqrstuvwxyz"),
    ),
    // Content is content, whatever it looks like.
    ("9112 7.1", b"2\r\n\r\n\r\n0\r\n\r\n", Says("\r\n")),
    ("9112 7.1", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", Says("0\r\n\r\n")),
    ("9112 7.1", b"4\r\n\n\r\n\r\r\n0\r\n\r\n", Says("\n\r\n\r")),
    ("9112 7.1", b"12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n", Says("GET / HTTP/1.1\r\n\r\n")),
    // Extensions are read over.
    ("9112 7.1.1", b"5;a\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=b\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=b;c=d;e\r\nhello\r\n0;f=g\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=\"b\"\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=\"\"\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=\"b;c=d\"\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=\"b\\\"c\\\\\"\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;a=\" \t,\xc3\xa9\"\r\nhello\r\n0\r\n\r\n", Says("hello")),
    ("9112 7.1.1", b"5;!#$%&'*+-.^_`|~=5\r\nhello\r\n0\r\n\r\n", Says("hello")),
    // Blanks around the semicolon and the equals sign are bad, and to be read over by the grammar;
    // they may as well be refused as what desynchronises others.
    ("9112 7.1.1", b"5 ;a=b\r\nhello\r\n0\r\n\r\n", Either(&[200, 400])),
    ("9112 7.1.1", b"5; a=b\r\nhello\r\n0\r\n\r\n", Either(&[200, 400])),
    ("9112 7.1.1", b"5;a = b\r\nhello\r\n0\r\n\r\n", Either(&[200, 400])),
    ("9112 7.1.1", b"5\t;\ta\t=\tb\r\nhello\r\n0\r\n\r\n", Either(&[200, 400])),
    // Trailers.
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", Says("hello")),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX:\r\nY: z\r\nX: y\r\n\r\n", Says("hello")),
    ("9112 7.1.2", b"0\r\nX: y\r\n\r\n", Says("")),
    ("9110 6.5.1", b"5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n", Either(&[200, 400])),
    ("9110 6.5.1", b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", Either(&[200, 400])),
    ("9110 6.5.1", b"5\r\nhello\r\n0\r\nHost: b\r\nHost: c\r\n\r\n", Either(&[200, 400])),
    ("9110 6.5.1", b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n", Either(&[200, 400])),
    ("9110 6.5.1", b"5\r\nhello\r\n0\r\nExpect: foo\r\n\r\n", Either(&[200, 400])),
];

/// What nobody may send for chunks: each of these has split two parsers apart somewhere.
const ILL_CHUNKED: &[(&str, Part, Outcome)] = &[
    // Sizes.
    ("9112 7.1", b"\r\n5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b" 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"\t5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5 \r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\t\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5 a\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0 \r\n\r\n", BAD),
    ("9112 7.1", b"+5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"-5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n-0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n+0\r\n\r\n", BAD),
    ("9112 7.1", b"0x5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0x0\r\n\r\n", BAD),
    ("9112 7.1", b"x5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5h\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"g\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5_0\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5.0\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5,5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"\"5\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\x00\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"\x005\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\x0b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"\xd9\xa5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"hello", BAD),
    ("9112 7.1", b";a=b\r\nhello\r\n0\r\n\r\n", BAD),
    // Sizes beyond 64 bits, which must not come out as 5 or 0.
    ("9112 7.1", b"10000000000000005\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"10000000000000000\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    // Sizes that fit into 64 bits and into no limit: there is nothing to wait for.
    ("9112 7.1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"fffffffffffffffe\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"8000000000000000\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"100000005\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"ffffffff\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"80000000\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("9112 7.1", b"5\r\nhello\r\nffffffff\r\nhello\r\n0\r\n\r\n", Refused(&[400, 413])),
    ("issue", b"5\r\nhello\r\n000000000000000000000000000000000000000000\r\n\r\n", BAD),
    ("issue", b"00000000000000000000000000000000000000000000000000", BAD),
    // Line ends.
    ("9112 7.1", b"5\nhello\n0\n\n", BAD),
    ("9112 7.1", b"5\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\rhello\r0\r\r", BAD),
    ("9112 7.1", b"5\r\rhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\n\rhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhelloXX0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello world\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"4\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"6\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0\n\r\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0\r\n\n", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0\r\n\r\r", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0\r\n\rX", BAD),
    ("9112 7.1", b"5\r\nhello\r\n0\r\r\n", BAD),
    // Extensions.
    ("9112 7.1.1", b"5;\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;;\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;;a\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a;\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a;;b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;=\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;=b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=;b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a==b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=b c\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a \r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=b \r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5; \r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a,b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"b\\\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=b\"c\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;\"a\"=b\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a\rb\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a\r\rhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=b\n\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;\x00\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\x01\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"\x00\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5;\xc3\xa9\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112 7.1.1", b"5\r\nhello\r\n0;\r\n\r\n", BAD),
    // Trailers.
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX y\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\n: y\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\n X: y\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\n \r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX(: y\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\n\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\r\n\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: \x7f\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX\x00: y\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\nX: y\r\nGET /user/666 HTTP/1.1\r\n\r\n", BAD),
    ("9112 7.1.2", b"5\r\nhello\r\n0\r\n5\r\nhello\r\n\r\n", BAD),
];

#[test]
fn chunks_well_made() {
    check(chunked("/echo", WELL_CHUNKED));
}

#[test]
fn chunks_ill_made() {
    check(chunked("/echo", ILL_CHUNKED));
}

/// Nobody reads these, and still their framing is what it is: an answer there may be, and one that
/// came before the fault may not say that it is the last. What stands behind is never a request.
#[test]
fn ill_made_chunks_that_nobody_reads() {
    let server = serve(edge::app());
    for path in ["/", "/nope", "/status/201"] {
        for row in chunked(path, ILL_CHUNKED) {
            let mut client = Client::connect(server.local_addr());
            client.send([&*row.message, NEIGHBOUR.as_bytes()].concat());
            let answer = client.read();
            let message = row.message.escape_ascii();
            assert!([201, 400, 404, 405, 413].contains(&answer.status), "{message}: {answer:?}");
            client.expect_end();
        }
    }
}

#[test]
fn forbidden_trailers_are_dropped_and_none_is_a_field() {
    let message = b"POST /seen HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: field\r\n\r\n\
        5\r\nhello\r\n0\r\nX: trailer\r\nHost: b\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\
        Connection: close\r\nContent-Type: a/b\r\nAuthorization: c\r\nCookie: d=e\r\nSet-Cookie: f\r\n\
        Content-Encoding: gzip\r\nContent-Range: bytes 0-1/2\r\nTrailer: X\r\nTE: x\r\nExpect: x\r\n\
        Upgrade: x\r\nForwarded: for=g\r\nX-Forwarded-For: g\r\nWWW-Authenticate: h\r\n\
        Proxy-Authenticate: h\r\nKeep-Alive: 5\r\nIf-Range: i\r\nX-Sum: 7\r\n\r\n";
    let server = serve(edge::app());
    util::in_every_arrival(server.local_addr(), message, |client| {
        client.read().expect(
            200,
            "host Some(\"a\")\nfield Host: a\nfield Transfer-Encoding: chunked\nfield X: field\n\
             trailer x: trailer\ntrailer x-sum: 7\ncontent hello\n",
        );
        client.get("/user/7").expect(200, "7");
    });
}

#[test]
fn content_of_a_declared_length() {
    let messages: &[(&str, Part, Outcome)] = &[
        ("9112 6.3", b"POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", Kept(&[200, 411])),
        ("9112 6.3", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", Says("")),
        ("9112 6.3", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\r", Says("\r")),
        ("9112 6.3", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\r\n", Says("\r\n")),
        (
            "9112 6.3",
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            Says("GET / HTTP/1.1\r\n\r\n"),
        ),
        (
            "9112 6.3",
            b"POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
            Last(&[200]),
        ),
        (
            "9112 9.3",
            b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            Last(&[200]),
        ),
        // Content has no meaning in these, and is still taken off (RFC 9110, section 9.3.1).
        ("9110 9.3.1", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", GOOD),
        ("9110 9.3.1", b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", GOOD),
        ("9110 9.3.2", b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", GOOD),
        ("9110 9.3.2", b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", GOOD),
        (
            "9110 9.3.7",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            Kept(&[200, 204]),
        ),
        (
            "9110 9.3.7",
            b"OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Kept(&[200, 204]),
        ),
        (
            "9110 9.3.8",
            b"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            Either(&[400, 405, 501]),
        ),
    ];
    check(messages.iter().map(|&(rule, message, outcome)| row(rule, message, outcome)).collect());
}

/// Content that no handler reads is read over or the connection ends; it is never a request.
#[test]
fn content_that_nobody_reads() {
    const HIDDEN: &str = "GET /user/666 HTTP/1.1\r\nHost: hidden\r\n\r\n";
    let refusals = [
        ("POST", "/", 405),
        ("PUT", "/user/1", 405),
        ("DELETE", "/echo", 405),
        ("POST", "/nope", 404),
        ("FOO", "/", 501),
        ("POST", "/status/200", 200),
        ("POST", "/status/404", 404),
        ("POST", "/status/204", 204),
        ("POST", "/status/304", 304),
        ("POST", "/status/500", 500),
        ("POST", "/status/101", 500),
        ("HEAD", "/status/200", 200),
        ("HEAD", "/echo", 405),
        ("GET", "/panic", 500),
        ("OPTIONS", "/", 204),
    ];
    let mut rows = Vec::new();
    for (method, path, status) in refusals {
        let statuses: &'static [u16] = vec![status].leak();
        let line = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n");
        let length = HIDDEN.len();
        let message = format!("{line}Content-Length: {length}\r\n\r\n{HIDDEN}");
        rows.push(row("9112 9.3", message.into_bytes(), Either(statuses)));
        let message = format!(
            "{line}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n2;a=b\r\n\r\n\r\n\
             0\r\nX: y\r\n\r\n"
        );
        rows.push(row("9112 9.3", message.into_bytes(), Either(statuses)));
    }
    check(rows);
}

/// The same with more content than is read over: the answer arrives although the client still
/// sends.
#[test]
fn much_content_that_nobody_reads() {
    let server = serve(edge::app());
    let content = "GET /user/666 HTTP/1.1\r\nHost: hidden\r\n\r\n".repeat(200_000);
    for path in ["/", "/nope", "/status/404"] {
        for is_chunked in [false, true] {
            let mut client = Client::connect(server.local_addr());
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n");
            if is_chunked {
                client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
                for part in content.as_bytes().chunks(65_536) {
                    let size = format!("{:x}\r\n", part.len());
                    client.send([size.as_bytes(), part, b"\r\n"].concat());
                }
                client.send(format!("0\r\n\r\n{NEIGHBOUR}"));
            } else {
                let length = content.len();
                client.send(format!("{head}Content-Length: {length}\r\n\r\n"));
                client.send(&content);
                client.send(NEIGHBOUR);
            }
            let answer = client.read();
            assert!([404, 405, 413].contains(&answer.status), "{answer:?}");
            client.expect_end();
        }
    }
}

/// A server that will not read the whole content says so (RFC 9112, section 9.6).
#[test]
fn an_answer_before_much_content_says_that_it_is_the_last() {
    let server = serve(edge::app());
    for path in ["/", "/nope", "/status/404"] {
        let mut client = Client::connect(server.local_addr());
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"));
        client.read().expect_close(true);
    }
}

/// Content that ends too soon is no content: no handler is told that this was all.
#[test]
fn content_that_ends_too_soon() {
    let server = serve(edge::app());
    let messages: [&[u8]; 2] = [
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ];
    for message in messages {
        let head = message.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        for len in head..message.len() {
            let mut client = Client::connect(server.local_addr());
            client.send(&message[..len]);
            client.half_close();
            let (rest, is_reset) = client.read_all();
            assert!(!is_reset, "reset after {len} bytes");
            let is_refusal = rest.starts_with(b"HTTP/1.1 400 ");
            assert!(rest.is_empty() || is_refusal, "{len} bytes: {}", rest.escape_ascii());
        }
        // All of it, with the FIN behind it.
        let mut client = Client::connect(server.local_addr());
        client.send(message);
        client.half_close();
        client.read().expect(200, "hello");
        client.expect_end();
    }
}

/// Every byte comes back, whatever the sizes of content, chunks and writes.
#[test]
fn content_is_what_was_sent() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    let all: Vec<u8> = (0..2_usize << 20).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
    let sizes =
        [1, 2, 15, 16, 17, 255, 256, 4095, 4096, 4097, 8191, 65_535, 65_536, 65_537, 300_000];
    for size in sizes.into_iter().chain([1 << 20, 2 << 20]) {
        let content = &all[..size];
        let line = "POST /echo HTTP/1.1\r\nHost: a\r\n";
        client.send([format!("{line}Content-Length: {size}\r\n\r\n").as_bytes(), content].concat());
        assert!(client.read().body == content, "{size} bytes");
        for chunk in [1000, 4096, 65_536, 1 << 20] {
            if size / chunk > 1000 {
                continue;
            }
            let mut message = format!("{line}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for part in content.chunks(chunk) {
                message.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
                message.extend_from_slice(part);
                message.extend_from_slice(b"\r\n");
            }
            message.extend_from_slice(b"0\r\n\r\n");
            for piece in message.chunks(7919 * 13) {
                client.send(piece);
            }
            assert!(client.read().body == content, "{size} bytes in chunks of {chunk}");
        }
    }
}

#[test]
fn one_byte_in_each_chunk() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    let message = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "1\r\nx\r\n".repeat(10_000)
    );
    client.send(&message);
    client.read().expect(200, &"x".repeat(10_000));
    client.get("/").expect(200, "hello");
}

// 100-continue (RFC 9110, section 10.1.1).

/// Reads the interim answer that invites the content.
#[track_caller]
fn expect_continue(client: &mut Client) {
    let interim = client.read();
    assert_eq!((interim.status, interim.fields.len(), interim.body.len()), (100, 0, 0));
}

#[test]
fn content_is_invited() {
    let server = serve(edge::app());
    for (field, content) in
        [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut client = Client::connect(server.local_addr());
        for expect in ["100-continue", "100-Continue", " 100-CONTINUE "] {
            client.send(format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\n{field}\r\n\r\n"
            ));
            expect_continue(&mut client);
            client.send(content);
            client.read().expect(200, "hello");
        }
        client.get("/").expect(200, "hello");
    }
}

#[test]
fn an_invitation_comes_after_the_answers_before_it() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    let asks =
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let slow = "GET /sleep/30 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("{slow}{NEIGHBOUR}{asks}"));
    client.read().expect(200, "done");
    client.read().expect(200, "7");
    expect_continue(&mut client);
    client.send("hello");
    client.read().expect(200, "hello");
}

/// A response that is made of the content begins before it: behind its head an invitation would be
/// content.
#[test]
fn an_invitation_comes_before_the_response_that_is_made_of_the_content() {
    let echo = |mut req: Request| Response::stream(req.body_stream());
    let later = async |mut req: Request| Response::stream(req.body_stream());
    let deaf = |mut req: Request| {
        drop(req.body_stream());
        Response::stream(Pieces(vec![Ok("part")]))
    };
    let routes = [
        post("^/echo$", echo).streaming(),
        post("^/later$", later).streaming(),
        post("^/deaf$", deaf).streaming(),
    ];
    let server = serve(Snow::new(routes));
    for path in ["/echo", "/later"] {
        let mut client = Client::connect(server.local_addr());
        for _ in 0..2 {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"));
            client.send("Content-Length: 5\r\n\r\n");
            expect_continue(&mut client);
            client.send("hello");
            client.read().expect(200, "hello");
        }
    }
    // Nobody is left who could read it.
    let mut client = Client::connect(server.local_addr());
    client.send("POST /deaf HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
    client.send("Content-Length: 5\r\n\r\n");
    client.read().expect(200, "part");
    client.expect_end();
}

#[test]
fn an_invitation_of_a_handler_that_reads_at_once_comes_after_the_answers_before_it() {
    let eager = |mut req: Request| {
        let mut content = req.body_stream();
        let asked = Pin::new(&mut content).poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(asked.is_pending());
        async move {
            let piece = content.next().await.expect("there is some")?;
            Ok::<_, snow::Error>(String::from_utf8_lossy(&piece).into_owned())
        }
    };
    let routes = [get("^/$", |_| "first"), post("^/eager$", eager).streaming()];
    let server = serve(Snow::new(routes));
    let mut client = Client::connect(server.local_addr());
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /eager HTTP/1.1\r\nHost: a\r\n\
         Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    client.read().expect(200, "first");
    expect_continue(&mut client);
    client.send("hello");
    client.read().expect(200, "hello");
}

/// Who sends content without waiting needs no invitation, and who waits a while gets at most one.
#[test]
fn content_that_arrives_is_not_invited_twice() {
    let server = serve(edge::app());
    let head =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let message = join(&[head, b"hello"]);
    let mut client = Client::connect(server.local_addr());
    client.send([&*message, &message].concat());
    client.read().expect(200, "hello");
    client.read().expect(200, "hello");
    for at in 1..message.len() {
        let mut client = Client::connect(server.local_addr());
        client.send(&message[..at]);
        client.send(&message[at..]);
        let mut answer = client.read();
        // Only between head and content may the server have thought that it is waited for.
        if answer.status == 100 && at == head.len() {
            answer = client.read();
        }
        answer.expect(200, "hello");
    }
}

#[test]
fn a_final_answer_comes_in_place_of_an_invitation() {
    let server = serve(edge::app());
    for (line, status) in [
        ("POST /nope HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("PUT /echo HTTP/1.1", 405),
        ("FOO / HTTP/1.1", 501),
        ("POST /status/401 HTTP/1.1", 401),
        ("POST /status/200 HTTP/1.1", 200),
        ("POST /echo HTTP/2.0", 505),
        ("POST /%zz HTTP/1.1", 400),
    ] {
        for field in ["Content-Length: 40", "Transfer-Encoding: chunked"] {
            let mut client = Client::connect(server.local_addr());
            client.send(format!("{line}\r\nHost: a\r\nExpect: 100-continue\r\n{field}\r\n\r\n"));
            let answer = client.read();
            assert_eq!(answer.status, status, "{line}: {answer:?}");
            // The client may send its content or the next request: a server that keeps the
            // connection could not tell which.
            client.send("GET /user/666 HTTP/1.1\r\nHost: hidden\r\n\r\n");
            answer.expect_close(true);
            client.expect_end();
        }
    }
    for length in ["3000000", "99999999999999999999999"] {
        let mut client = Client::connect(server.local_addr());
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
        client.send(format!("{head}Content-Length: {length}\r\n\r\n"));
        let answer = client.read();
        assert!([400, 413].contains(&answer.status), "{answer:?}");
        client.expect_end();
    }
}

#[test]
fn no_invitation_for_http_10_nor_without_content() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for head in ["GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nContent-Length: 0\r\n"] {
        client.send(format!("{head}Host: a\r\nExpect: 100-continue\r\n\r\n"));
        client.read().expect(200, "hello");
    }
    client.send("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.send(NEIGHBOUR.get(..5).unwrap());
    client.read().expect(200, &NEIGHBOUR[..5]);
    client.expect_end();
}

// Responses (RFC 9110, sections 6.4.1 and 9.3.2; RFC 9112, section 6.3).

/// `HEAD` is answered as `GET` would be, less the content. The parser of these tests refuses an
/// answer that is framed twice, that has content where there can be none, or that lacks its `Date`.
#[test]
fn head_is_as_get_without_content() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for target in [
        "/",
        "/user/42",
        "/sleep/1",
        "/big",
        "/setheader?v=a",
        "/setheader?v=%0a",
        "/panic",
        "/nope",
        "/echo",
        "/stream/0",
        "/stream/3",
        "/status/200",
        "/status/204",
        "/status/205",
        "/status/304",
        "/status/404",
        "/status/999",
        "/status/101",
        "/status/99999",
    ] {
        let got = client.get(target);
        let headed = client.request("HEAD", target);
        assert_eq!(headed.status, got.status, "{target}");
        assert!(headed.body.is_empty(), "{target}");
        for name in ["content-length", "content-type", "transfer-encoding", "x-v", "allow"] {
            assert_eq!(headed.field(name), got.field(name), "{name} of {target}");
        }
    }
}

#[test]
fn every_status_is_framed_as_it_must_be() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for code in (200..600).chain([600, 999]) {
        for method in ["GET", "POST", "HEAD", "FOO"] {
            let answer = client.request(method, &format!("/status/{code}"));
            assert_eq!(answer.status, code);
            // What there is none of has no type.
            let has_type = answer.field("content-type").is_some();
            assert_eq!(has_type, ![204, 304].contains(&code), "{code}");
            match code {
                204 => assert_eq!(answer.field("content-length"), None),
                304 => assert!([None, Some("11")].contains(&answer.field("content-length"))),
                205 => assert_eq!(answer.body.len(), 0),
                _ if method == "HEAD" => assert_eq!(answer.body.len(), 0),
                _ => answer.expect(code, "status body"),
            }
        }
    }
    // A handler has no interim answers to give, and no status of another length.
    for code in ["100", "101", "102", "103", "199", "0", "1", "99", "1000", "65535"] {
        let answer = client.get(&format!("/status/{code}"));
        assert_eq!(answer.status, 500, "{code}");
    }
    client.get("/").expect(200, "hello");
}

#[test]
fn a_stream_is_framed_for_its_reader() {
    let server = serve(edge::app());
    for (count, content) in [(0, ""), (1, "part0\n"), (3, "part0\npart1\npart2\n")] {
        let mut client = Client::connect(server.local_addr());
        let answer = client.get(&format!("/stream/{count}"));
        answer.expect(200, content);
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.field("content-length"), None);
        client.get("/").expect(200, "hello");
        // HTTP/1.0 has no chunks: the close ends the content, kept alive or not.
        for field in ["", "Connection: keep-alive\r\n", "TE: chunked\r\n"] {
            let mut client = Client::connect(server.local_addr());
            client.send(format!("GET /stream/{count} HTTP/1.0\r\n{field}\r\n"));
            let answer = client.read();
            answer.expect(200, content);
            assert_eq!(answer.field("transfer-encoding"), None);
            assert_eq!(answer.field("content-length"), None);
            answer.expect_close(true);
            client.expect_end();
        }
        let mut client = Client::connect(server.local_addr());
        client.send(format!("HEAD /stream/{count} HTTP/1.0\r\n\r\n"));
        let answer = client.read_to("HEAD");
        assert_eq!((answer.status, answer.field("transfer-encoding")), (200, None));
        client.expect_end();
    }
}

#[test]
fn a_long_stream_arrives() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    let content: String = (0..50_000).map(|number| format!("part{number}\n")).collect();
    client.get("/stream/50000").expect(200, &content);
    client.get("/").expect(200, "hello");
}

/// Neither CR nor LF nor NUL enters a field, however often it is escaped.
#[test]
fn field_values_cannot_break_out() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for (value, expected) in [
        ("abc", "abc"),
        ("a%20b", "a b"),
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%26b%3Dc", "a&b=c"),
        ("%22%3C%3E%5C", "\"<>\\"),
        ("a%09b", "a\tb"),
        ("%250d%250aX:%20y", "%0d%0aX: y"),
        ("%C3%A9", "\u{e9}"),
        ("%E5%98%8D%E5%98%8AX:%20y", "\u{560d}\u{560a}X: y"),
        ("", ""),
    ] {
        let answer = client.get(&format!("/setheader?v={value}"));
        assert_eq!((answer.status, answer.field("x-v")), (200, Some(expected)), "{value}");
        assert_eq!(answer.fields.len(), 4, "{answer:?}");
    }
    for value in [
        "%0d%0aX:%20y",
        "a%0d%0a%0d%0a%3Chtml%3E",
        "%0a",
        "%0d",
        "%0A%20folded",
        "a%0db",
        "a%0ab",
        "%00",
        "a%00b",
        "%01",
        "%08",
        "%0b",
        "%0c",
        "%1b%5B31m",
        "%1f",
        "%7f",
    ] {
        let answer = client.get(&format!("/setheader?v={value}"));
        assert_eq!((answer.status, answer.field("x-v")), (500, None), "{value}");
        assert_eq!(answer.field("x"), None);
        assert!(answer.body.len() < 100);
    }
    client.get("/").expect(200, "hello");
}

/// Gives its pieces, then fails or ends.
struct Pieces(Vec<io::Result<&'static str>>);

impl Stream for Pieces {
    type Item = io::Result<&'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
        Poll::Ready(next)
    }
}

fn broken(_: Request) -> Response {
    Response::stream(Pieces(vec![Ok("part"), Err(io::Error::other("as asked"))]))
}

fn too_short(_: Request) -> Response {
    Response::stream(Pieces(vec![Ok("part")])).header("content-length", 10)
}

fn too_long(_: Request) -> Response {
    Response::stream(Pieces(vec![Ok("part"), Ok("and more")])).header("content-length", 6)
}

fn too_long_by_a_piece(_: Request) -> Response {
    Response::stream(Pieces(vec![Ok("part"), Ok(""), Ok("and more")])).header("content-length", 4)
}

fn broken_behind_its_length(_: Request) -> Response {
    let pieces = vec![Ok("part"), Err(io::Error::other("as asked"))];
    Response::stream(Pieces(pieces)).header("content-length", 4)
}

/// A response that cannot be kept is visibly broken, and nothing is answered behind it.
#[test]
fn a_response_that_fails_is_not_taken_for_whole() {
    let app = Snow::new([
        get("^/broken$", broken),
        get("^/short$", too_short),
        get("^/long$", too_long),
        get("^/more$", too_long_by_a_piece),
        get("^/behind$", broken_behind_its_length),
        get(r"^/user/(\d+)$", |_| "7"),
    ]);
    let server = serve(app.workers(1));
    for path in ["/broken", "/short", "/long", "/more", "/behind"] {
        for version in ["1.1", "1.0"] {
            let mut client = Client::connect(server.local_addr());
            client.send(format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n{NEIGHBOUR}"));
            let (answer, is_reset) = client.read_all();
            let text = String::from_utf8_lossy(&answer);
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{path}: {text}");
            assert!(!text.ends_with("0\r\n\r\n"), "{path}: {text}");
            let (head, content) = text.split_once("\r\n\r\n").expect("there is a head");
            let length = head.split("Content-Length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let is_short = length.is_some_and(|length: usize| content.len() < length);
            let is_chunked = head.contains("chunked");
            assert!(is_reset || is_short || is_chunked, "{path} in {version}: {text}");
        }
    }
}

/// What only the close delimits looks whole when it just ends (RFC 9112, section 8): whoever cuts it resets.
#[test]
fn a_response_that_is_cut_is_not_taken_for_whole() {
    /// Goes on after its first piece, but with nothing.
    struct Hanging(Option<&'static str>);

    impl Stream for Hanging {
        type Item = io::Result<&'static str>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(piece))))
        }
    }

    static LARGE: [u8; 16 << 20] = [b'x'; 16 << 20];
    let large = || Pieces(vec![Ok(std::str::from_utf8(&LARGE).unwrap())]);
    let begin = |path: &str| {
        let app = Snow::new([
            get("^/hanging$", |_| Response::stream(Hanging(Some("part")))),
            get("^/large$", move |_| Response::stream(large())),
        ]);
        let server = serve(app.configure(|config| {
            config.workers = 1;
            config.half_close_grace = Duration::from_millis(20);
        }));
        let mut client = Client::connect(server.local_addr());
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        client.stream().peek(&mut [0]).expect("it has begun");
        (client, server)
    };
    let expect_cut = |mut client: Client| {
        let (answer, is_reset) = client.read_all();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.len() < LARGE.len());
        assert!(is_reset, "{} bytes", answer.len());
    };

    let (client, _server) = begin("/hanging");
    client.half_close();
    expect_cut(client);

    for path in ["/hanging", "/large"] {
        let (client, server) = begin(path);
        server.stop_handle().stop_now();
        assert!(server.wait().is_ok());
        expect_cut(client);
    }
}

/// A reset takes back what the kernel has not sent: nobody is reset whose answer is visibly cut as it is.
#[test]
fn a_whole_answer_before_one_that_is_cut_arrives() {
    const FIRST: usize = 512 << 10;
    let big = Bytes::from(vec![b'x'; 64 << 20]);
    let app = Snow::new([
        get("^/first$", |_| vec![b'a'; FIRST]),
        get("^/big$", move |_| Response::bytes(big.clone())),
    ]);
    let server = serve(app.workers(1));
    let mut client = Client::connect(server.local_addr());
    SockRef::from(client.stream()).set_recv_buffer_size(64 << 10).unwrap();
    client.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    client.stream().peek(&mut [0]).expect("it has begun");
    // Until the kernel takes no more, which the server alone can tell.
    thread::sleep(Duration::from_millis(200));
    server.stop_handle().stop_now();
    assert!(server.wait().is_ok());
    let (bytes, _) = client.read_all();
    assert!(bytes.len() > FIRST + 1000, "{} bytes", bytes.len());
    assert!(bytes.len() < 64 << 20, "the second was cut");
}

/// What a handler says about framing does not count against what is sent.
#[test]
fn handlers_do_not_choose_the_framing() {
    let app = Snow::new([
        get("^/length$", |_| Response::text("hello").header("content-length", 99)),
        get("^/coding$", |_| Response::text("hello").header("transfer-encoding", "chunked")),
        get("^/both$", |_| {
            let response = Response::stream(Pieces(vec![Ok("hello")]));
            response.header("transfer-encoding", "gzip").header("content-length", 5)
        }),
        get("^/none$", |_| Response::text("hello").status(204).header("content-length", 5)),
        get("^/date$", |_| Response::text("hello").header("date", "never")),
        post("^/user$", |_| Response::text("7")),
    ]);
    let server = serve(app.workers(1));
    let mut client = Client::connect(server.local_addr());
    // Reading them is the test: the parser refuses what is framed twice or not at all.
    for path in ["/length", "/coding", "/both", "/date"] {
        client.get(path).expect(200, "hello");
    }
    client.get("/none").expect(204, "");
    client.request("POST", "/user").expect(200, "7");
}

/// The connection next to one with malformed content notices nothing.
#[test]
fn neighbours_notice_nothing() {
    let server = serve(edge::app());
    let mut neighbour = Client::connect(server.local_addr());
    for row in chunked("/echo", ILL_CHUNKED) {
        let mut client = Client::connect(server.local_addr());
        client.send(&row.message);
        neighbour.get("/user/8").expect(200, "8");
    }
    check_at(server.local_addr(), chunked("/echo", &WELL_CHUNKED[..3]));
}

/// Storage of a request is used again, whatever its handler has taken out of it.
#[test]
fn trailers_are_of_one_request_only() {
    let takes: [fn(Request) -> usize; 2] =
        [|req| req.into_body().len(), |mut req| size_of_val(&req.body_stream())];
    for take in takes {
        let routes = [
            post("^/take$", move |req| take(req).to_string()),
            get("^/$", |req: Request| req.trailers().len().to_string()),
        ];
        let server = serve(Snow::new(routes).workers(1));
        let mut client = Client::connect(server.local_addr());
        client.send(
            "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\nx\r\n0\r\nX-Secret: alice\r\n\r\n",
        );
        assert_eq!(client.read().status, 200);
        Client::connect(server.local_addr()).get("/").expect(200, "0");
    }
}

/// What comes with the head is content too, for the minimum rate.
#[test]
fn content_that_came_at_once_counts_for_the_rate() {
    let app = Snow::new([post("^/$", |req: Request| req.body().len().to_string())]);
    let app = app.configure(|config| {
        config.body_timeout = Duration::from_millis(500);
        config.min_body_rate = 1000;
    });
    let mut client = app.test_client().unwrap();
    let mut connection = client.connect();
    connection.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20008\r\n\r\n");
    connection.write(&[b'x'; 20_000]);
    for _ in 0..8 {
        client.advance(Duration::from_millis(300));
        connection.write(b"y");
    }
    client.settle();
    let answer = String::from_utf8(connection.take()).unwrap();
    assert!(answer.ends_with("\r\n\r\n20008"), "{answer}");
}

/// Content that a handler does not get round to reading is held, and there is a bound for what is held.
#[test]
fn content_that_waits_for_its_handler_is_counted() {
    const LEN: usize = 30_000;
    const CLIENTS: usize = 10;
    for is_sent_with_its_head in [true, false] {
        let (entered, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let shared = (Arc::clone(&entered), Arc::clone(&is_open));
        let late = move |mut req: Request| {
            let (entered, is_open) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
            async move {
                entered.fetch_add(1, Ordering::SeqCst);
                while !is_open.load(Ordering::SeqCst) {
                    snow::sleep(Duration::from_millis(5)).await;
                }
                let (mut body, mut len) = (req.body_stream(), 0);
                while let Some(piece) = body.next().await {
                    len += piece?.len();
                }
                Ok::<_, snow::Error>(len.to_string())
            }
        };
        let routes = [post("^/late$", late).streaming(), get("^/$", |_: Request| "here")];
        // Two fit.
        let app =
            Snow::new(routes).workers(1).configure(|config| config.max_buffered_bytes = 70_000);
        let running = serve(app);
        let mut neighbour = Client::connect(running.local_addr());
        let head = format!("POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: {LEN}\r\n\r\n");
        let send = || {
            let mut client = Client::connect(running.local_addr());
            if is_sent_with_its_head {
                client.send([head.as_bytes(), &[b'x'; LEN]].concat());
                return client;
            }
            let before = entered.load(Ordering::SeqCst);
            client.send(&head);
            wait_until("it is called", || entered.load(Ordering::SeqCst) > before);
            client.send([b'x'; LEN]);
            client
        };
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| send()).collect();
        // Once these are answered, what came before them has been read.
        for _ in 0..3 {
            assert_eq!(neighbour.get("/").status, 200);
        }
        is_open.store(true, Ordering::SeqCst);
        let statuses: Vec<_> = clients.iter_mut().map(|client| client.read().status).collect();
        let taken = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 503).count();
        assert!((1..=2).contains(&taken) && taken + refused == CLIENTS, "{statuses:?}");
        drop(clients);
        for _ in 0..3 {
            send().read().expect(200, &LEN.to_string());
        }
    }
}
