//! Bounds: what just fits is served, what does not is refused, and the refusal can be read.
//!
//! The bounds are those of a server whose author has set nothing.

mod edge;
mod util;

use edge::{
    GOOD, NEIGHBOUR,
    Outcome::{self, Refused},
    Row, check, join, row,
};
use snow::{Config, Response, Snow, get};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};
use util::{Client, serve, wait_until};

const TARGET_TOO_LONG: Outcome = Refused(&[414]);
const HEAD_TOO_LARGE: Outcome = Refused(&[431]);
const CONTENT_TOO_LARGE: Outcome = Refused(&[413]);

fn defaults() -> Config {
    Config::default()
}

#[test]
fn targets_up_to_the_bound() {
    let most = defaults().max_target_bytes;
    let get = |len: usize| {
        // A query, so that the route is found.
        let target = format!("/?{}", "a".repeat(len - 2));
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    };
    let path = |len: usize| {
        let target = format!("/{}", "a".repeat(len - 1));
        format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    };
    check(vec![
        // What any server should take (RFC 9112, section 3).
        row("9112 3", get(8000), GOOD),
        row("issue", get(most), GOOD),
        row("9110 15.5.15", get(most + 1), TARGET_TOO_LONG),
        row("9110 15.5.15", get(2 * most), TARGET_TOO_LONG),
        row("9110 15.5.15", get(60_000), TARGET_TOO_LONG),
        row("9110 15.5.15", path(most + 1), TARGET_TOO_LONG),
        row(
            "9110 15.5.15",
            format!("GET http://a/{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(most)).into_bytes(),
            TARGET_TOO_LONG,
        ),
    ]);
}

/// A request line without an end is refused when it is too long, not when the time is up.
#[test]
fn lines_without_an_end() {
    let server = serve(edge::app());
    for (start, statuses) in [
        ("GET /", &[414][..]),
        ("GET /?", &[414]),
        ("GET http://a/", &[414]),
        ("A", &[400, 501]),
        ("GET / HTTP/1.1\r\nHost: ", &[431]),
        ("GET / HTTP/1.1\r\nX: ", &[431]),
        ("GET / HTTP/1.1\r\nX", &[431]),
        ("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=", &[431]),
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(start);
        client.send("a".repeat(100_000));
        let answer = client.read();
        assert!(statuses.contains(&answer.status), "{start:?}: {answer:?}");
        answer.expect_close(true);
        client.expect_end();
    }
}

#[test]
fn heads_up_to_the_bound() {
    let most = defaults().max_head_bytes;
    let of_len = |len: usize, fields: usize| {
        let mut head = "GET / HTTP/1.1\r\nHost: a\r\n".to_string();
        for left in (1..=fields).rev() {
            let size = (len - "\r\n".len() - head.len()) / left;
            head += &format!("X: {}\r\n", "y".repeat(size - "X: \r\n".len()));
        }
        format!("{head}\r\n").into_bytes()
    };
    assert_eq!(of_len(most, 20).len(), most);
    check(vec![
        row("9110 5.4", of_len(8192, 1), GOOD),
        row("issue", of_len(most, 1), GOOD),
        row("issue", of_len(most, 20), GOOD),
        row("6585 5", of_len(most + 1, 1), HEAD_TOO_LARGE),
        row("6585 5", of_len(most + 1, 20), HEAD_TOO_LARGE),
        row("6585 5", of_len(2 * most, 50), HEAD_TOO_LARGE),
        row(
            "6585 5",
            format!("HEAD / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(most)).into_bytes(),
            HEAD_TOO_LARGE,
        ),
    ]);
}

#[test]
fn fields_up_to_the_bound() {
    let most = defaults().max_headers;
    let of_count = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1)).into_bytes()
    };
    check(vec![
        row("issue", of_count(24), GOOD),
        row("issue", of_count(25), GOOD),
        row("issue", of_count(most), GOOD),
        row("6585 5", of_count(most + 1), HEAD_TOO_LARGE),
        row("6585 5", of_count(2 * most), HEAD_TOO_LARGE),
    ]);
}

/// Makes a message of `len` bytes of content in chunks.
fn in_chunks(path: &str, len: usize, chunk: usize) -> Vec<u8> {
    let mut message =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    let content = vec![b'x'; chunk];
    let mut left = len;
    while left > 0 {
        let part = left.min(chunk);
        message.extend_from_slice(format!("{part:x}\r\n").as_bytes());
        message.extend_from_slice(&content[..part]);
        message.extend_from_slice(b"\r\n");
        left -= part;
    }
    message.extend_from_slice(b"0\r\n\r\n");
    message
}

fn with_length(path: &str, len: usize) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
    join(&[head.as_bytes(), &vec![b'x'; len]])
}

#[test]
fn content_up_to_the_bound() {
    let most = defaults().max_body_bytes as usize;
    let server = serve(edge::app());
    for message in [
        with_length("/echo", most),
        in_chunks("/echo", most, 65_536),
        in_chunks("/echo", most, most),
        in_chunks("/echo", most, 4096),
    ] {
        let mut client = Client::connect(server.local_addr());
        let mut stream = client.stream().try_clone().unwrap();
        let sending = std::thread::spawn(move || stream.write_all(&message));
        assert_eq!(client.read().body.len(), most);
        client.get("/user/7").expect(200, "7");
        sending.join().unwrap().unwrap();
    }
    for message in [
        with_length("/echo", most + 1),
        in_chunks("/echo", most + 1, 65_536),
        in_chunks("/echo", most + 1, most + 1),
        in_chunks("/echo", most + 1, most),
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send([&*message, NEIGHBOUR.as_bytes()].concat());
        let answer = client.read();
        answer.expect_failure(413);
        answer.expect_close(true);
        client.expect_end();
    }
}

/// What is declared to be too large is refused before it comes, and nothing is set aside for it.
#[test]
fn content_declared_too_large() {
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\n";
    let rows = |fields: &[&'static [u8]]| -> Vec<Row> {
        let made = fields.iter().map(|field| join(&[head, field]));
        made.map(|message| row("9110 15.5.14", message, CONTENT_TOO_LARGE)).collect()
    };
    check(rows(&[
        b"Content-Length: 2097153\r\n\r\n",
        b"Content-Length: 4294967296\r\n\r\n",
        b"Content-Length: 9223372036854775807\r\n\r\n",
        b"Content-Length: 2097153\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n200001\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n200001\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1ffffc\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n200001;a=b\r\n",
    ]));
}

/// A client that first sends everything and then reads still reads why that was in vain.
#[test]
fn refusals_reach_a_client_that_is_still_sending() {
    let server = serve(edge::app());
    let megabytes = 24;
    let filler = vec![b'x'; 1 << 20];
    for (start, status) in [
        (
            format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                megabytes << 20
            ),
            413,
        ),
        (format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", megabytes << 20), 405),
        (
            format!(
                "POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                megabytes << 20
            ),
            404,
        ),
        ("GET /".to_string(), 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: ".to_string(), 431),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_string(), 400),
        ("GET / HTTP/4.0\r\n\r\n".to_string(), 505),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx".to_string(), 400),
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(&start);
        for _ in 0..megabytes {
            client.send(&filler);
        }
        let answer = client.read();
        assert_eq!(answer.status, status, "{start:?}");
        client.expect_end();
    }
    for chunk in [1000, 65_536, 1 << 20] {
        let mut client = Client::connect(server.local_addr());
        client.send(in_chunks("/echo", megabytes << 20, chunk));
        client.read().expect_failure(413);
        client.expect_end();
    }
}

/// Framing is bounded as content is: lines, the sum of it, and what comes behind the content.
#[test]
fn chunked_framing_up_to_its_bounds() {
    let config = defaults();
    let chunk_line = |len: usize| {
        let extension = "a".repeat(len - "5;\r\n".len());
        format!("5;{extension}\r\nhello\r\n0\r\n\r\n")
    };
    let trailers = |count: usize| format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(count));
    let trailer = |len: usize| {
        let value = "y".repeat(len - "X: \r\n\r\n".len());
        format!("5\r\nhello\r\n0\r\nX: {value}\r\n\r\n")
    };
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let made = |body: String, outcome| row("issue", format!("{head}{body}").into_bytes(), outcome);
    let hello = Outcome::Says("hello");
    check(vec![
        made(chunk_line(100), hello),
        made(chunk_line(config.max_chunk_line_bytes), hello),
        made(chunk_line(config.max_chunk_line_bytes + 10), Refused(&[400, 413, 431])),
        made(chunk_line(5000), Refused(&[400, 413, 431])),
        made(format!("5;a=\"{}", "b".repeat(5000)), Refused(&[400, 413, 431])),
        made(format!("5{}", " ".repeat(5000)), Refused(&[400, 413, 431])),
        made(format!("5;a{}", " ".repeat(5000)), Refused(&[400, 413, 431])),
        made("0".repeat(5000), Refused(&[400, 413, 431])),
        made(trailers(10), hello),
        made(trailers(config.max_trailers), hello),
        made(trailers(config.max_trailers + 1), Refused(&[400, 431])),
        made(trailers(2000), Refused(&[400, 431])),
        made(trailer(1000), hello),
        made(trailer(config.max_trailer_bytes), hello),
        made(trailer(config.max_trailer_bytes + 1), Refused(&[400, 431])),
        made(trailer(60_000), Refused(&[400, 431])),
        made(format!("5\r\nhello\r\n0\r\nX: {}", "y".repeat(60_000)), Refused(&[400, 431])),
        // Mostly framing: a little content in long lines.
        made(
            format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(500)),
            Refused(&[400, 413]),
        ),
    ]);
}

/// Bodies that never end are refused in the end, and the neighbour does not wait for that.
#[test]
fn endless_content() {
    let server =
        serve(edge::app().configure(|config| config.linger_timeout = Duration::from_millis(100)));
    for (path, piece) in [
        ("/echo", "10\r\n0123456789abcdef\r\n".repeat(500)),
        ("/echo", "1\r\nx\r\n".repeat(500)),
        ("/echo", format!("1;{}\r\nx\r\n", "a".repeat(100)).repeat(50)),
        ("/nope", "10\r\n0123456789abcdef\r\n".repeat(500)),
        ("/nope", "1\r\nx\r\n".repeat(500)),
        ("/status/404", "1\r\nx\r\n".repeat(500)),
    ] {
        let mut client = Client::connect(server.local_addr());
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        let mut stream = client.stream().try_clone().unwrap();
        let deadline = Instant::now() + util::PATIENCE;
        let sending = std::thread::spawn(move || {
            while Instant::now() < deadline && stream.write_all(piece.as_bytes()).is_ok() {}
            Instant::now() < deadline
        });
        let mut neighbour = Client::connect(server.local_addr());
        neighbour.get("/").expect(200, "hello");
        let answer = client.read();
        assert!([400, 404, 413].contains(&answer.status), "{answer:?}");
        assert!(sending.join().unwrap(), "{path}: the connection did not end");
    }
}

/// Half of every kind of message, on many connections at once: others are served as ever.
#[test]
fn many_that_stall() {
    let server =
        serve(edge::app().configure(|config| config.half_close_grace = Duration::from_millis(100)));
    let starts = [
        "",
        "\r\n",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1ff",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1ffff0\r\nx",
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        "POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        "GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let stalled: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(server.local_addr()).unwrap();
            stream.write_all(starts[number % starts.len()].as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut neighbour = Client::connect(server.local_addr());
    let began = Instant::now();
    for _ in 0..100 {
        neighbour.get("/").expect(200, "hello");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(stalled);
    neighbour.get("/").expect(200, "hello");
}

/// A bound is the author's to move, in both directions.
#[test]
fn bounds_can_be_moved() {
    let server = serve(edge::app().configure(|config| {
        config.max_target_bytes = 20;
        config.max_head_bytes = 200;
        config.max_headers = 3;
        config.max_body_bytes = 10;
    }));
    for (message, status) in [
        ("GET /user/7 HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), 200),
        ("GET /user/7?xxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), 200),
        ("GET /user/7?xxxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), 200),
        ("GET /user/7?xxxxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n".to_string(), 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n".to_string(), 200),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\nX: y\r\n\r\n".to_string(), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(100)), 200),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(200)), 431),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789".to_string(), 200),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n0123456789a".to_string(),
            413,
        ),
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(&message);
        assert_eq!(client.read().status, status, "{message:?}");
    }
}

#[test]
fn a_server_that_is_full_says_so_to_the_program() {
    let app = edge::app().workers(1).configure(|config| {
        config.max_connections = 2;
        config.max_connections_per_address = 2;
    });
    let server = serve(app);
    let counters = server.counters();
    let mut clients = [0, 1].map(|_| Client::connect(server.local_addr()));
    clients[0].get("/").expect(200, "hello");
    clients[1].get("/").expect(200, "hello");
    wait_until("it is full", || counters.starved() == 1);
    assert_eq!(counters.connections(), 2);
    let mut third = Client::connect(server.local_addr());
    third.ask("GET", "/");
    drop(clients);
    third.read().expect(200, "hello");
    wait_until("they have left", || counters.connections() == 1);
    assert_eq!(counters.starved(), 1, "once for all of the time");
}

#[test]
fn shared_content_that_waits_is_not_memory_held() {
    static BIG: [u8; 8 << 20] = [b'x'; 8 << 20];
    let routes = [get("^/big$", |_| Response::bytes(&BIG[..])), get("^/$", |_| "hello")];
    let app = Snow::new(routes).workers(1).configure(|config| config.max_buffered_bytes = 1 << 20);
    let server = app.bind("127.0.0.1:0").unwrap().start().unwrap();
    let ask = |target: &str| {
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut start = [0; 15];
        client.read_exact(&mut start).unwrap();
        (client, start)
    };
    // They read the first bytes and no more.
    let deaf: Vec<_> = (0..8).map(|_| ask("/big")).collect();
    let (_, start) = ask("/");
    assert_eq!(start, *b"HTTP/1.1 200 OK");
    drop(deaf);
}

#[test]
fn a_limit_that_nothing_could_be_served_with_is_refused() {
    type Configure = fn(&mut Config);
    let cases: [(Configure, &str); 13] = [
        (|config| config.workers = 0, "workers is 0, and must be at least 1"),
        (|config| config.max_target_bytes = 0, "max_target_bytes is 0, and must be at least 1"),
        (|config| config.max_head_bytes = 0, "max_head_bytes is 0, and must be at least 1"),
        (|config| config.max_headers = 0, "max_headers is 0, and must be at least 1"),
        (|config| config.max_pipelined = 0, "max_pipelined is 0, and must be at least 1"),
        (|config| config.max_output_bytes = 0, "max_output_bytes is 0, and must be at least 1"),
        (|config| config.max_connections = 0, "max_connections is 0, and must be at least 1"),
        (
            |config| config.max_connections_per_address = 0,
            "max_connections_per_address is 0, and must be at least 1",
        ),
        (
            |config| config.max_head_bytes = 65_536,
            "max_head_bytes is 65536, and must be at most 65535",
        ),
        (|config| config.max_headers = 129, "max_headers is 129, and must be at most 128"),
        (|config| config.max_trailers = 129, "max_trailers is 129, and must be at most 128"),
        (|config| config.max_trailers = 0, ""),
        (|config| config.max_headers = 128, ""),
    ];
    for (configure, line) in cases {
        let error = Snow::new([]).configure(configure).test_client().err();
        assert!(error.as_ref().is_none_or(|error| error.kind() == snow::ErrorKind::Config));
        assert_eq!(error.map(|error| error.to_string()).unwrap_or_default(), line);
    }
}

#[test]
fn a_worker_that_is_full_refuses_what_would_take_memory() {
    let routes = [
        get("^/own$", |_| vec![b'x'; 1 << 20]),
        get("^/shared$", |_| Response::bytes(&[b'x'; 32 << 10][..])),
        get("^/file$", |_| Response::file("Cargo.toml")),
        get("^/$", |_| "hello"),
    ];
    let app = Snow::new(routes).configure(|config| config.max_buffered_bytes = 256 << 10);
    let mut client = app.test_client().unwrap();
    let deaf = client.connect();
    deaf.write(b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
    client.settle();
    for (method, path, status) in [
        ("GET", "/own", 503),
        // Here it is read and not sent by the kernel.
        ("GET", "/file", 503),
        ("HEAD", "/own", 200),
        ("HEAD", "/file", 200),
        ("GET", "/shared", 200),
        ("GET", "/", 200),
    ] {
        assert_eq!(client.request(method, path).send().status(), status, "{method} {path}");
    }
    drop(deaf);
    assert_eq!(client.get("/own").send().status(), 200);
    assert_eq!(client.get("/file").send().status(), 200);
}
