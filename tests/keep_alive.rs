//! How long a connection lives: `Connection`, both versions, half-closes, ends in the middle,
//! idleness.

mod edge;
mod util;

use edge::{
    BAD,
    Outcome::{self, Either, Kept, Last, Says},
    check, join, row,
};
use snow::{Counters, Request, Snow, route};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Mutex, OnceLock, mpsc},
    time::{Duration, Instant},
};
use util::{Client, PATIENCE, serve, wait_until};

type Part = &'static [u8];

/// What a client says about the connection (RFC 9110, section 7.6.1; RFC 9112, section 9.3).
#[test]
fn both_versions_and_their_options() {
    let heads: &[(&str, Part, Outcome)] = &[
        ("9112 9.3", b"HTTP/1.1\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: keep-alive\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection:\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: ,\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: foo\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: closed\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: not-close\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: clos\r\nX: e\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: TE\r\nTE: trailers\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nKeep-Alive: timeout=1, max=1\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nX-Connection: close\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nProxy-Connection: close\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.1\r\nConnection: Host\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.9\r\nConnection: keep-alive\r\n", Says("hello")),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nconnection:close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: Close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: CLOSE \r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: close, foo\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: foo,close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: foo ,\t close ,bar\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: ,close,\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: keep-alive, close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: close, keep-alive\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: foo\r\nConnection: close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.1\r\nConnection: close\r\nConnection: close\r\n", Last(&[200])),
        ("9112 9.6", b"HTTP/1.9\r\nConnection: close\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: close\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: foo\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: keep-alive, close\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\nKeep-Alive: timeout=5\r\n", Last(&[200])),
        ("9112 C.2.2", b"HTTP/1.0\r\nProxy-Connection: keep-alive\r\n", Last(&[200])),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: keep-alive\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: Keep-Alive\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: foo, KEEP-ALIVE\r\n", Says("hello")),
        ("9112 9.3", b"HTTP/1.0\r\nConnection: keep-alive\r\nKeep-Alive: 300\r\n", Says("hello")),
        // An upgrade that is not taken changes nothing.
        ("9110 7.8", b"HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", Says("hello")),
        ("9110 7.8", b"HTTP/1.1\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n", Last(&[200])),
        ("9110 7.8", b"HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n", Last(&[200])),
        ("9110 5.5", b"HTTP/1.1\r\nConnection: close\x00\r\n", BAD),
        ("9112 5.1", b"HTTP/1.1\r\nConnection : close\r\n", BAD),
    ];
    let message = |head| join(&[b"GET / ", head, b"Host: a\r\n\r\n"]);
    check(heads.iter().map(|&(rule, head, outcome)| row(rule, message(head), outcome)).collect());
}

/// HTTP/1.0 clients are told that the connection is kept; of others it goes without saying.
#[test]
fn a_kept_connection_is_announced_to_http_10() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for target in ["/", "/nope", "/status/204", "/panic", "/setheader?v=%0a"] {
        client.send(format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let answer = client.read();
        assert_eq!(answer.field("connection"), Some("keep-alive"), "{target}");
    }
}

/// The wish to close is kept with every kind of answer, and what comes behind it is not answered.
#[test]
fn the_last_request_is_the_last() {
    let lines: &[(&str, Part, Outcome)] = &[
        ("9112 9.6", b"GET / HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"HEAD / HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"HEAD /big HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"GET /nope HTTP/1.1\r\n", Last(&[404])),
        ("9112 9.6", b"POST / HTTP/1.1\r\n", Last(&[405])),
        ("9112 9.6", b"FOO / HTTP/1.1\r\n", Last(&[501])),
        ("9112 9.6", b"OPTIONS * HTTP/1.1\r\n", Last(&[200, 204])),
        ("9112 9.6", b"GET /panic HTTP/1.1\r\n", Last(&[500])),
        ("9112 9.6", b"GET /setheader?v=%0a HTTP/1.1\r\n", Last(&[500])),
        ("9112 9.6", b"GET /sleep/1 HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"GET /stream/2 HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"HEAD /stream/2 HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"GET /status/204 HTTP/1.1\r\n", Last(&[204])),
        ("9112 9.6", b"GET /status/304 HTTP/1.1\r\n", Last(&[304])),
        ("9112 9.6", b"PUT /status/201 HTTP/1.1\r\n", Last(&[201])),
        ("9112 9.6", b"GET /stream/2 HTTP/1.0\r\n", Last(&[200])),
        ("9112 9.6", b"GET /sleep/1 HTTP/1.0\r\n", Last(&[200])),
    ];
    let message = |line| join(&[line, b"Host: a\r\nConnection: close\r\n\r\n"]);
    check(lines.iter().map(|&(rule, line, outcome)| row(rule, message(line), outcome)).collect());
    let with_content: &[(&str, Part, Outcome)] = &[
        ("9112 9.6", b"POST /echo HTTP/1.1\r\n", Last(&[200])),
        ("9112 9.6", b"POST / HTTP/1.1\r\n", Last(&[405])),
        ("9112 9.6", b"POST /nope HTTP/1.1\r\n", Last(&[404])),
        ("9112 9.6", b"POST /status/200 HTTP/1.1\r\n", Last(&[200])),
    ];
    for framing in [
        b"Content-Length: 40\r\n\r\nGET /user/666 HTTP/1.1\r\nHost: hidden\r\n\r\n".as_slice(),
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let message = |line| join(&[line, b"Host: a\r\nConnection: close\r\n", framing]);
        let rows = with_content.iter();
        check(rows.map(|&(rule, line, outcome)| row(rule, message(line), outcome)).collect());
    }
}

/// A handler that fails costs an answer and not what comes behind it.
#[test]
fn failures_are_answered_and_gone() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for _ in 0..20 {
        let answer = client.get("/panic");
        answer.expect_failure(500);
        assert!(!answer.text().contains("as asked"), "internals leak: {answer:?}");
        client = match answer.field("connection") {
            Some("close") => Client::connect(server.local_addr()),
            _ => client,
        };
        client.get("/").expect(200, "hello");
    }
}

#[test]
fn many_requests_on_one_connection() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for number in 0..2000 {
        client.get(&format!("/user/{number}")).expect(200, &number.to_string());
    }
}

/// Responses that fill buffers, one after the other on one connection.
#[test]
fn much_content_on_one_connection() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    for _ in 0..5 {
        assert_eq!(client.get("/big").body.len(), edge::BIG);
        assert_eq!(client.request("HEAD", "/big").body.len(), 0);
    }
    client.get("/").expect(200, "hello");
}

/// A client that has said all it has to say still gets its answers (RFC 9112, section 9.6), whether
/// its FIN comes with the request or after it.
#[test]
fn a_half_close_gets_its_answers() {
    let server = serve(edge::app());
    let scripts: &[(&str, &[&str])] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &["hello"]),
        ("GET / HTTP/1.0\r\n\r\n", &["hello"]),
        ("GET /sleep/40 HTTP/1.1\r\nHost: a\r\n\r\n", &["done"]),
        ("GET /stream/2 HTTP/1.1\r\nHost: a\r\n\r\n", &["part0\npart1\n"]),
        ("GET /stream/2 HTTP/1.0\r\n\r\n", &["part0\npart1\n"]),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", &["hello"]),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
            &["hello"],
        ),
        (
            "GET /user/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /sleep/20 HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /user/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /sleep/20 HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /user/3 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["1", "done", "2", "done", "3"],
        ),
        ("", &[]),
    ];
    for (script, answers) in scripts {
        let pauses = [None, Some(0), Some(5)];
        for pause in pauses {
            let mut client = Client::connect(server.local_addr());
            client.send(script);
            // Nothing is waited for here: the FIN is to come at different moments.
            if let Some(millis) = pause {
                std::thread::sleep(Duration::from_millis(millis));
            }
            client.half_close();
            for answer in *answers {
                client.read().expect(200, answer);
            }
            client.expect_end();
        }
    }
    for _ in 0..3 {
        let mut client = Client::connect(server.local_addr());
        client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4));
        client.half_close();
        for _ in 0..4 {
            assert_eq!(client.read().body.len(), edge::BIG);
        }
        client.expect_end();
    }
}

/// A client that goes away at any point takes nobody with it.
#[test]
fn ends_at_every_point() {
    let server = serve(edge::app());
    let script = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\nGET /sleep/5000 HTTP/1.1\r\nHost: a\r\n\r\nGET / HT";
    let mut neighbour = Client::connect(server.local_addr());
    for len in 0..=script.len() {
        for resets in [false, true] {
            let mut stream = TcpStream::connect(server.local_addr()).unwrap();
            stream.write_all(&script[..len]).unwrap();
            if resets {
                // A close with something unread would be a reset as well; this one is certain.
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        neighbour.get("/user/8").expect(200, "8");
    }
}

#[test]
fn connects_without_a_word() {
    let server = serve(edge::app());
    let mut neighbour = Client::connect(server.local_addr());
    for _ in 0..10 {
        let streams: Vec<_> =
            (0..50).map(|_| TcpStream::connect(server.local_addr()).unwrap()).collect();
        neighbour.get("/").expect(200, "hello");
        drop(streams);
    }
    neighbour.get("/").expect(200, "hello");
}

/// An answer arrives although the client sends on: a close must not become a reset that overtakes
/// it.
#[test]
fn the_last_answer_is_not_lost_to_a_reset() {
    let server = serve(edge::app());
    let last = "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let endings = [
        last.to_string(),
        "GET /big HTTP/1.0\r\n\r\n".to_string(),
        "POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n".to_string(),
        "BAD\r\n\r\n".to_string(),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
    ];
    for ending in endings {
        for garbage in [1, 1000, 200_000] {
            let mut client = Client::connect(server.local_addr());
            client.send(&ending);
            client.send("x".repeat(garbage));
            let answer = client.read();
            assert!([200, 400, 404, 414, 501].contains(&answer.status), "{answer:?}");
            answer.expect_close(true);
            client.expect_end();
        }
    }
}

/// What comes while the last answer is made is behind the server's last look, so that its close is a reset:
/// the answer is on its way by then.
#[test]
fn the_last_answer_is_not_lost_to_what_comes_while_it_is_made() {
    let (begins, begun) = mpsc::channel();
    let (ends, end) = mpsc::channel();
    let shared = Mutex::new((begins, end));
    let slow = move |_: Request| {
        let (begins, end) = &*shared.lock().unwrap();
        begins.send(()).unwrap();
        end.recv_timeout(PATIENCE).unwrap();
        "hello"
    };
    let server = serve(Snow::new([route("^/$", slow)]).workers(1));
    for last in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    ] {
        for behind in ["\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut client = Client::connect(server.local_addr());
            client.send(last);
            begun.recv_timeout(PATIENCE).unwrap();
            client.send(behind);
            ends.send(()).unwrap();
            client.read().expect(200, "hello");
            client.expect_end();
        }
    }
}

/// Whoever has sent more behind its last request may be sending still: the server reads on for a moment,
/// however the answer was made.
#[test]
fn the_last_answer_lingers_when_more_has_come_behind_its_request() {
    async fn later(_: Request) -> &'static str {
        snow::rt::yield_now().await;
        "hello"
    }
    let routes = [route("^/now$", |_: Request| "hello"), route("^/later$", later)];
    let server = serve(Snow::new(routes));
    let counters = server.counters();
    for path in ["/now", "/later"] {
        let mut client = Client::connect(server.local_addr());
        client.send(format!("GET {path} HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n"));
        client.read().expect(200, "hello");
        client.expect_end();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(counters.connections(), 1, "{path}");
        drop(client);
        wait_until("it has left", || counters.connections() == 0);
    }
}

/// Who has said that a request is its last, and sent nothing behind it, is not waited for once it has the answer.
#[test]
fn a_last_answer_does_not_linger_for_who_is_done() {
    let server = serve(impatient(|config| config.linger_timeout = Duration::from_secs(60)));
    let counters = server.counters();
    for request in ["GET /", "HEAD /", "HEAD /stream/2", "GET /nowhere"] {
        let mut client = Client::connect(server.local_addr());
        client.send(format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        client.read_all();
        wait_until(request, || counters.connections() == 0);
    }
}

/// The server's end comes at once after the last answer, not after its time to linger.
#[test]
fn the_end_does_not_linger_for_the_client() {
    let server = serve(edge::app());
    let began = Instant::now();
    for message in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\n",
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(message);
        client.read();
        client.expect_end();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// Serves with timeouts that a test can wait for.
fn impatient(change: impl FnOnce(&mut snow::Config)) -> Snow {
    edge::app().configure(change)
}

/// Expects that the server ends the connection after `timeout`, and returns what it said.
#[track_caller]
fn expect_end_after(mut client: Client, began: Instant, timeout: Duration) -> String {
    let (rest, _) = client.read_all();
    let elapsed = began.elapsed();
    assert!(elapsed + Duration::from_millis(20) >= timeout, "too soon: {elapsed:?}");
    assert!(elapsed < timeout + Duration::from_secs(3), "too late: {elapsed:?}");
    String::from_utf8(rest).unwrap()
}

const SHORT: Duration = Duration::from_millis(100);

/// Who asks nothing is left without a word: before the first request and after each.
#[test]
fn idle_connections_end_in_silence() {
    let server = serve(impatient(|config| {
        config.first_byte_timeout = SHORT;
        config.keep_alive_timeout = SHORT;
    }));
    let began = Instant::now();
    let client = Client::connect(server.local_addr());
    assert_eq!(expect_end_after(client, began, SHORT), "");
    for head in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"]
    {
        let mut client = Client::connect(server.local_addr());
        client.send(head);
        client.read().expect(200, "hello");
        let began = Instant::now();
        assert_eq!(expect_end_after(client, began, SHORT), "");
    }
}

/// An empty line is no start of a request: who sends one is idle still.
#[test]
fn an_empty_line_leaves_a_connection_idle() {
    let server = serve(impatient(|config| {
        config.first_byte_timeout = SHORT;
        config.keep_alive_timeout = SHORT;
        config.head_timeout = SHORT;
    }));
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n");
    client.read().expect(200, "hello");
    assert_eq!(expect_end_after(client, Instant::now(), Duration::ZERO), "");
    let mut client = Client::connect(server.local_addr());
    client.send("\r\n");
    assert_eq!(expect_end_after(client, Instant::now(), Duration::ZERO), "");
}

#[test]
fn half_a_head_is_timed_out_with_408() {
    let server = serve(impatient(|config| config.head_timeout = SHORT));
    for start in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\nG"] {
        for neighbour in ["", edge::NEIGHBOUR] {
            let mut client = Client::connect(server.local_addr());
            let began = Instant::now();
            client.send([neighbour, start].concat());
            if !neighbour.is_empty() {
                client.read().expect(200, "7");
            }
            let answer = client.read();
            answer.expect_failure(408);
            answer.expect_close(true);
            assert_eq!(expect_end_after(client, began, SHORT), "");
        }
    }
}

/// A byte now and then does not buy more time for a head.
#[test]
fn a_dripped_head_is_timed_out() {
    let server = serve(impatient(|config| config.head_timeout = SHORT));
    let client = Client::connect(server.local_addr());
    let began = Instant::now();
    let mut stream = client.stream().try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyy".chunks(1) {
            if stream.write_all(byte).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let said = expect_end_after(client, began, SHORT);
    assert!(said.starts_with("HTTP/1.1 408 ") && said.matches("HTTP/").count() == 1, "{said}");
    dripping.join().unwrap();
}

#[test]
fn content_that_stalls_is_timed_out_with_408() {
    let server = serve(impatient(|config| config.body_timeout = SHORT));
    for (field, start) in [
        ("Content-Length: 5", ""),
        ("Content-Length: 5", "hell"),
        ("Transfer-Encoding: chunked", ""),
        ("Transfer-Encoding: chunked", "5\r\nhell"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX: y"),
    ] {
        let mut client = Client::connect(server.local_addr());
        let began = Instant::now();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n{start}"));
        let answer = client.read();
        answer.expect_failure(408);
        answer.expect_close(true);
        assert_eq!(expect_end_after(client, began, SHORT), "");
    }
}

/// Content that drips is too slow, though no pause is too long; also content that nobody reads.
#[test]
fn dripped_content_is_timed_out() {
    let server = serve(impatient(|config| {
        config.body_timeout = Duration::from_millis(100);
        config.min_body_rate = 10_000;
    }));
    for (path, status) in [("/echo", "408"), ("/nope", "404")] {
        let client = Client::connect(server.local_addr());
        let began = Instant::now();
        let mut stream = client.stream().try_clone().unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n");
        let dripping = std::thread::spawn(move || {
            stream.write_all(head.as_bytes()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(8);
            while Instant::now() < deadline && stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut client = client;
        let (said, _) = client.read_all();
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert_eq!(said.matches("HTTP/").count(), 1, "{said}");
        assert!(began.elapsed() < Duration::from_secs(6), "{path}: {:?}", began.elapsed());
        client.stream().shutdown(Shutdown::Both).ok();
        dripping.join().unwrap();
    }
}

/// A peer that does not read is let go, and others are served meanwhile.
#[test]
fn a_peer_that_does_not_read_is_let_go() {
    let server = serve(impatient(|config| config.write_timeout = SHORT));
    for target in ["/big", "/stream/9000000"] {
        let mut stream = TcpStream::connect(server.local_addr()).unwrap();
        socket2::SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(20);
        stream.write_all(request.as_bytes()).unwrap();
        let mut neighbour = Client::connect(server.local_addr());
        let began = Instant::now();
        while began.elapsed() < SHORT * 3 {
            neighbour.get("/").expect(200, "hello");
        }
        // Whatever was in flight is all that is left.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = 0;
        let mut bytes = vec![0; 65_536];
        while let Ok(len @ 1..) = stream.read(&mut bytes) {
            received += len;
        }
        assert!(received < 16 << 20, "{target}: {received} bytes");
        assert!(began.elapsed() < PATIENCE, "{target}: the connection did not end");
    }
}

/// A client that has closed its sending side and is gone is not waited for longer than the grace.
#[test]
fn a_half_close_has_a_grace() {
    let server = serve(impatient(|config| config.half_close_grace = SHORT));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    assert_eq!(expect_end_after(client, Instant::now(), SHORT), "");
}

#[test]
fn options_of_the_connection_belong_to_one_request() {
    let server = serve(edge::app());
    let mut client = Client::connect(server.local_addr());
    client.send(
        "GET /user/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
         GET /user/2 HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /stream/1 HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /user/3 HTTP/1.0\r\n\r\n\
         GET /user/4 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let first = client.read();
    first.expect(200, "1");
    assert_eq!(first.field("connection"), Some("keep-alive"));
    let second = client.read();
    second.expect(200, "2");
    assert_eq!(second.field("connection"), None);
    client.read().expect(200, "part0\n");
    let third = client.read();
    third.expect(200, "3");
    third.expect_close(true);
    client.expect_end();
    let kept = Kept(&[200]);
    check(vec![
        row("9112 9.3", &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], kept),
        row("9112 9.3", &b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\n\r\n"[..], Either(&[200])),
    ]);
}

#[test]
fn who_is_there_with_a_request_is_answered_before_the_next_is_accepted() {
    static COUNTERS: OnceLock<Counters> = OnceLock::new();
    let connections = |_: Request| COUNTERS.get().unwrap().connections().to_string();
    let server = Snow::new([route("^/$", connections)]).workers(1).bind("127.0.0.1:0").unwrap();
    COUNTERS.set(server.counters()).unwrap();
    let mut clients = [0, 1, 2].map(|_| Client::connect(server.local_addr()));
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    let _running = server.start().unwrap();
    for client in &mut clients {
        client.read().expect(200, "1");
    }
}
