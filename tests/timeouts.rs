//! What time completes, on a clock of the test's own; and what it ends, on real sockets.

mod util;

use futures_core::Stream;
use snow::{
    BodyStream, Bytes, Config, Error, Request, Response, Result, Snow, TestClient, TimeoutFuture,
    get, mount, post,
};
use std::{
    cell::RefCell,
    future::pending,
    io::{Read, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    thread,
    time::{Duration, Instant},
};
use util::{Client, PATIENCE, collect_log, logged, millis, serve, wait_until};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks, and expects an answer after so much of the application's time and next to none of ours.
#[track_caller]
fn expect_after(client: &mut TestClient, target: &str, after: Duration, status: u16, text: &str) {
    let (began, real) = (client.elapsed(), Instant::now());
    let answer = client.get(target).send();
    assert_eq!((answer.status(), answer.text()), (status, text), "{target}");
    assert_eq!(client.elapsed() - began, after, "{target}");
    assert!(real.elapsed() < secs(2), "virtual time took {:?}", real.elapsed());
}

#[test]
fn a_timeout_future_answers_504_or_what_it_is_told() {
    let later = |duration| move |_: Request| TimeoutFuture::new(duration);
    let tea = |_: Request| TimeoutFuture::new(millis(50)).then(|| Response::text("tea is ready"));
    let routes = [
        get("^/async/$", later(secs(5))),
        get("^/day$", later(secs(24 * 3600))),
        get("^/now$", later(Duration::ZERO)),
        get("^/tea/$", tea),
        get("^/fails$", |_| TimeoutFuture::new(secs(1)).then(|| None::<String>)),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    for (target, after) in [("/async/", secs(5)), ("/day", secs(24 * 3600)), ("/now", millis(0))] {
        let began = client.elapsed();
        let answer = client.get(target).send();
        assert_eq!((answer.status(), client.elapsed() - began), (504, after), "{target}");
        assert!(answer.text().ends_with('\n'));
    }
    expect_after(&mut client, "/tea/", millis(50), 200, "tea is ready");
    assert_eq!(client.get("/fails").send().status(), 404);
}

#[test]
fn others_are_answered_while_one_waits() {
    let routes = [get("^/async/$", |_| TimeoutFuture::new(secs(5))), get("^/$", |_| "hello")];
    let mut client = Snow::new(routes).test_client().unwrap();
    let pending = client.get("/async/").start();
    expect_after(&mut client, "/", Duration::ZERO, 200, "hello");
    client.advance(secs(3));
    expect_after(&mut client, "/", Duration::ZERO, 200, "hello");
    assert_eq!(client.finish(pending).status(), 504);
    assert_eq!(client.elapsed(), secs(5));
}

#[test]
fn many_wait_each_for_its_own_time() {
    let sleep = |req: Request| -> Result<TimeoutFuture> {
        let ms = req.parse_param("ms")?;
        Ok(TimeoutFuture::new(millis(ms)).then(move || ms.to_string()))
    };
    let mut client = Snow::new([get(r"^/(?<ms>\d+)$", sleep)]).test_client().unwrap();
    let times: Vec<u64> = (0..1000).map(|n| n * 7919 % 100_000).collect();
    let waiting: Vec<_> =
        times.iter().map(|ms| (*ms, client.get(&format!("/{ms}")).start())).collect();
    let mut in_order = waiting;
    in_order.sort_by_key(|(ms, _)| *ms);
    for (ms, pending) in in_order {
        assert_eq!(client.finish(pending).text(), ms.to_string());
        assert_eq!(client.elapsed(), millis(ms));
    }
}

#[test]
fn sleeps_and_timeouts_in_handlers_take_the_applications_time() {
    let routes = [
        get("^/sleep$", async |_| {
            snow::sleep(secs(3600)).await;
            "slept"
        }),
        get("^/twice$", async |_| {
            for _ in 0..2 {
                snow::sleep(secs(10)).await;
            }
            "twice"
        }),
        get("^/in/time$", async |_| {
            let slept = snow::timeout(secs(2), snow::sleep(secs(1))).await;
            if slept.is_ok() { "in time" } else { "late" }
        }),
        get("^/late$", async |_| {
            let slept = snow::timeout(secs(1), snow::sleep(secs(2))).await;
            if slept.is_ok() { "in time" } else { "late" }
        }),
        get("^/question$", async |_| {
            snow::timeout(secs(1), pending::<()>()).await?;
            Ok::<_, Error>("never")
        }),
        get("^/unblock$", async |_| {
            // Real work takes no time of the application's.
            snow::timeout(secs(1), snow::unblock(|| thread::sleep(millis(20)))).await?;
            Ok::<_, Error>("worked")
        }),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    expect_after(&mut client, "/sleep", secs(3600), 200, "slept");
    expect_after(&mut client, "/twice", secs(20), 200, "twice");
    expect_after(&mut client, "/in/time", secs(1), 200, "in time");
    expect_after(&mut client, "/late", secs(1), 200, "late");
    expect_after(&mut client, "/unblock", Duration::ZERO, 200, "worked");
    let began = client.elapsed();
    assert_eq!(client.get("/question").send().status(), 504);
    assert_eq!(client.elapsed() - began, secs(1));
}

#[test]
fn a_handler_that_takes_too_long_is_dropped_and_answered_with_504() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let hang = move |_: Request| {
        let flag = Flag(Arc::clone(&flag));
        async move {
            let _flag = flag;
            pending::<String>().await
        }
    };
    let long = |_: Request| TimeoutFuture::new(secs(30)).then(|| "long");
    let routes = [
        get("^/hang$", hang).timeout(secs(2)),
        get("^/default$", async |_| pending::<String>().await),
        get("^/long$", long).timeout(secs(60)),
        get("^/short$", long).timeout(secs(29)),
        mount(
            "/m",
            [
                get("^/long$", long),
                get("^/hang$", async |_| pending::<()>().await),
                mount("/n", [get("^/own$", long).timeout(secs(3)), get("^/inner$", long)])
                    .timeout(secs(4)),
            ],
        )
        .timeout(secs(1))
        .timeout(secs(31)),
    ];
    let app = Snow::new(routes).configure(|config| config.handler_timeout = Some(secs(7)));
    let mut client = app.test_client().unwrap();
    for (target, status, after) in [
        ("/hang", 504, 2),
        ("/default", 504, 7),
        ("/long", 200, 30),
        ("/short", 504, 29),
        ("/m/long", 200, 30),
        ("/m/hang", 504, 31),
        ("/m/n/own", 504, 3),
        ("/m/n/inner", 504, 4),
    ] {
        let began = client.elapsed();
        assert_eq!(client.get(target).send().status(), status, "{target}");
        assert_eq!(client.elapsed() - began, secs(after), "{target}");
        assert!(dropped.load(Ordering::SeqCst), "the handler's future lives on");
    }
}

#[test]
fn a_test_client_may_be_a_variable_of_its_thread() {
    thread_local! {
        static CLIENT: RefCell<Option<TestClient>> = const { RefCell::new(None) };
    }
    let thread = thread::spawn(|| {
        // Touched first, it is dropped last: behind the variables of the library.
        CLIENT.set(None);
        let mut client =
            Snow::new([get("^/$", async |_| pending::<()>().await)]).test_client().unwrap();
        let waiting = client.get("/").start();
        CLIENT.set(Some(client));
        drop(waiting);
    });
    thread.join().unwrap();
}

/// Settling is for what can be done, and not for ever.
#[test]
fn settling_ends_though_a_task_wakes_itself_for_ever() {
    let (flag, is_asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (its, asks) = (Arc::clone(&flag), Arc::clone(&is_asked));
    let spin = move |_: Request| {
        let (its, asks) = (Arc::clone(&its), Arc::clone(&asks));
        async move {
            while !its.load(Ordering::SeqCst) {
                asks.store(true, Ordering::SeqCst);
                snow::rt::yield_now().await;
            }
            "done"
        }
    };
    let mut client = Snow::new([get("^/$", spin)]).test_client().unwrap();
    let pending = client.get("/").start();
    assert!(is_asked.load(Ordering::SeqCst));
    flag.store(true, Ordering::SeqCst);
    assert_eq!(client.finish(pending).text(), "done");
}

#[test]
fn what_is_due_happens_while_blocking_work_waits_for_it() {
    let handler = async |_: Request| {
        let (go, goes) = std::sync::mpsc::channel();
        snow::spawn(async move {
            snow::sleep(Duration::ZERO).await;
            go.send(()).unwrap();
        })
        .detach();
        snow::unblock(move || goes.recv().is_ok()).await.to_string()
    };
    let mut client = Snow::new([get("^/$", handler)]).test_client().unwrap();
    assert_eq!(client.get("/").send().text(), "true");
}

/// However much that is.
#[test]
fn settling_does_all_that_can_be_done_without_time() {
    let busy = async |_: Request| {
        for _ in 0..5000 {
            snow::rt::yield_now().await;
        }
        "done"
    };
    let routes = [
        post("^/$", |req: Request| req.body().len().to_string()),
        get("^/busy$", busy),
        get("^/later$", |_| TimeoutFuture::new(secs(1)).then(|| "later")),
    ];
    let app = Snow::new(routes).configure(|config| config.max_body_bytes = 16 << 20);
    let mut client = app.test_client().unwrap();
    let mut connection = client.connect();
    connection.write(
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 8 << 20).as_bytes(),
    );
    connection.write(&vec![b'x'; 8 << 20]);
    client.settle();
    assert!(connection.take().ends_with((8 << 20).to_string().as_bytes()));
    for path in ["/busy", "/later"] {
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        client.settle();
        assert_eq!(connection.take().ends_with(b"done"), path == "/busy", "{path}");
    }
    assert_eq!(client.elapsed(), Duration::ZERO);
}

#[test]
fn a_handler_that_takes_too_long_is_logged_and_asked_about() {
    collect_log();
    let slow = get("^/slow/one$", async |_| pending::<()>().await).timeout(secs(1));
    let app = Snow::new([slow]).on_error(|error: &Error| format!("seen: {error}"));
    assert_eq!(
        app.test_client().unwrap().get("/slow/one").send().text(),
        "seen: the handler took too long"
    );
    assert_eq!(logged("^/slow/one$: the handler took too long").len(), 1);
}

#[test]
fn content_that_is_read_slowly_behind_a_half_close_is_read_to_its_end() {
    let slow = async |mut req: Request| {
        let (mut content, mut len) = (req.body_stream(), 0);
        while let Some(piece) = content.next().await {
            len += piece?.len();
            snow::sleep(secs(2)).await;
        }
        Ok::<_, Error>(len.to_string())
    };
    let echo = |mut req: Request| Response::stream(Slowly(req.body_stream(), None));
    let routes = [post("^/slow$", slow).streaming(), post("^/echo$", echo).streaming()];
    let mut client = Snow::new(routes).test_client().unwrap();
    let grace = Config::default().half_close_grace;
    for path in ["/slow", "/echo"] {
        let began = client.elapsed();
        let mut connection = client.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
        connection.write(head.as_bytes());
        connection.write(&vec![b'x'; 400_000]);
        connection.half_close();
        let mut answer = Vec::new();
        while !connection.is_closed() {
            client.advance(secs(1));
            answer.extend(connection.take());
            assert!(client.elapsed() - began < secs(3600), "{path} has no end");
        }
        assert!(client.elapsed() - began > 2 * grace, "{path} was not slow");
        let end = if path == "/slow" { "400000" } else { "\r\n0\r\n\r\n" };
        assert!(answer.ends_with(end.as_bytes()), "{path}: {}", answer.len());
    }
}

/// Gives what a client sends, a piece every two seconds.
struct Slowly(BodyStream, Option<Pin<Box<snow::Sleep>>>);

impl Stream for Slowly {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rest = self.1.get_or_insert_with(|| Box::pin(snow::sleep(secs(2))));
        ready!(rest.as_mut().poll(cx));
        let piece = ready!(Pin::new(&mut self.0).poll_next(cx));
        self.1 = None;
        Poll::Ready(piece)
    }
}

#[test]
fn not_found_has_the_handlers_time_too() {
    let app = Snow::new([]).not_found(async |_| pending::<()>().await);
    let mut client =
        app.configure(|config| config.handler_timeout = Some(secs(3))).test_client().unwrap();
    assert_eq!(client.get("/").send().status(), 504);
    assert_eq!(client.elapsed(), secs(3));
}

#[test]
fn without_a_timeout_a_poll_may_wait_for_hours() {
    let routes = [get("^/$", |_| TimeoutFuture::new(secs(12 * 3600)).then(|| "at last"))];
    let mut client = Snow::new(routes).test_client().unwrap();
    expect_after(&mut client, "/", secs(12 * 3600), 200, "at last");
}

#[test]
fn nothing_of_an_answered_request_stays_on_the_loop() {
    let routes = [
        get("^/$", |_| TimeoutFuture::new(secs(5))),
        get("^/hang$", async |_| snow::timeout(secs(9), pending::<()>()).await.is_ok().to_string())
            .timeout(secs(1)),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    let before = client.counts();
    for _ in 0..10 {
        assert_eq!(client.get("/").send().status(), 504);
        assert_eq!(client.get("/hang").send().status(), 504);
        // A client that does not wait.
        drop(client.get("/").start());
    }
    client.advance(Duration::ZERO);
    assert_eq!(client.counts(), before);
}

/// Serves `GET /`, `GET /big` and `POST /echo` with one worker and these timeouts.
fn served(change: impl FnOnce(&mut Config)) -> snow::Running {
    let big = vec![b'x'; 64 << 20];
    let app = Snow::new([
        get("^/$", |_| "hello"),
        get("^/big$", move |_| big.clone()),
        get("^/endless$", |_| Response::stream(Endless)),
        get("^/slow$", |_| TimeoutFuture::new(millis(300)).then(|| "slow")),
        post("^/echo$", |req: Request| req.into_body()),
    ]);
    serve(app.workers(1).configure(change))
}

/// Content without end.
struct Endless;

impl Stream for Endless {
    type Item = Result<&'static [u8]>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(&[b'x'; 16 * 1024])))
    }
}

/// A timeout that a test waits for, and how much longer it may take on a busy machine.
const SHORT: Duration = millis(100);
const SLACK: Duration = secs(3);

/// Expects that what happened since `began` took the short timeout, or a little longer.
#[track_caller]
fn expect_short(began: Instant) {
    let took = began.elapsed();
    // What is measured begins a little before the server's clock does, and never after.
    assert!((SHORT..SHORT + SLACK).contains(&took), "it took {took:?}");
}

#[test]
fn a_connection_that_asks_nothing_is_closed_without_an_answer() {
    let server = served(|config| config.first_byte_timeout = SHORT);
    let began = Instant::now();
    Client::connect(server.local_addr()).expect_end();
    expect_short(began);
}

#[test]
fn a_head_that_does_not_end_is_answered_with_408() {
    let server = served(|config| config.head_timeout = SHORT);
    for start in ["G", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut client = Client::connect(server.local_addr());
        // The second request of a connection as well as the first.
        for is_first in [true, false] {
            if !is_first {
                client = Client::connect(server.local_addr());
                client.get("/").expect(200, "hello");
            }
            let began = Instant::now();
            client.send(start);
            let answer = client.read();
            answer.expect_failure(408);
            answer.expect_close(true);
            client.expect_end();
            expect_short(began);
        }
    }
}

#[test]
fn a_head_that_drips_gains_no_time() {
    let server = served(|config| config.head_timeout = millis(300));
    let mut client = Client::connect(server.local_addr());
    let began = Instant::now();
    let mut drip = client.stream().try_clone().unwrap();
    let dripping = thread::spawn(move || {
        let deadline = Instant::now() + PATIENCE;
        // Until the server has had enough.
        while Instant::now() < deadline && drip.write_all(b"G").is_ok() {
            thread::sleep(millis(10));
        }
    });
    client.read().expect_failure(408);
    assert!(began.elapsed() < millis(300) + SLACK, "it took {:?}", began.elapsed());
    drop(client);
    dripping.join().unwrap();
}

#[test]
fn a_body_that_stalls_is_answered_with_408() {
    let server = served(|config| config.body_timeout = SHORT);
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"]
    {
        let mut client = Client::connect(server.local_addr());
        let began = Instant::now();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}"));
        let answer = client.read();
        answer.expect_failure(408);
        answer.expect_close(true);
        client.expect_end();
        expect_short(began);
    }
}

#[test]
fn a_body_may_take_longer_than_its_timeout_while_it_moves() {
    let server = served(|config| {
        config.body_timeout = millis(500);
        config.min_body_rate = 1;
    });
    let mut client = Client::connect(server.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    let began = Instant::now();
    for _ in 0..40 {
        client.send("x");
        thread::sleep(millis(20));
    }
    assert!(began.elapsed() > millis(500));
    client.read().expect(200, &"x".repeat(40));
}

#[test]
fn a_body_that_drips_is_answered_with_408() {
    let server = served(|config| {
        config.body_timeout = millis(200);
        config.min_body_rate = 1000;
    });
    let mut client = Client::connect(server.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    let began = Instant::now();
    let mut drip = client.stream().try_clone().unwrap();
    let dripping = thread::spawn(move || {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && drip.write_all(b"x").is_ok() {
            thread::sleep(millis(20));
        }
    });
    let answer = client.read();
    answer.expect_failure(408);
    answer.expect_close(true);
    assert!(began.elapsed() >= millis(200), "it took {:?}", began.elapsed());
    assert!(began.elapsed() < millis(200) + SLACK, "it took {:?}", began.elapsed());
    drop(client);
    dripping.join().unwrap();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = served(|config| config.keep_alive_timeout = SHORT);
    let mut client = Client::connect(server.local_addr());
    let began = Instant::now();
    client.get("/").expect(200, "hello");
    client.expect_end();
    expect_short(began);
}

#[test]
fn an_idle_connection_that_is_used_again_has_all_its_time_again() {
    let server = served(|config| config.keep_alive_timeout = secs(1));
    let mut client = Client::connect(server.local_addr());
    let began = Instant::now();
    while began.elapsed() < millis(1500) {
        client.get("/").expect(200, "hello");
        thread::sleep(millis(300));
    }
    client.get("/").expect(200, "hello");
}

/// When an answer comes later the timer of the answer before it may be armed still, or none: whoever sends
/// nothing any more, or not all of a head, is noticed all the same.
#[test]
fn a_connection_is_timed_after_an_answer_that_came_later() {
    let server = served(|config| {
        config.keep_alive_timeout = millis(600);
        config.head_timeout = SHORT;
    });
    for is_first in [true, false] {
        let answered_later = || {
            let mut client = Client::connect(server.local_addr());
            if !is_first {
                client.get("/").expect(200, "hello");
            }
            let began = Instant::now();
            client.get("/slow").expect(200, "slow");
            (client, began)
        };
        let (mut client, began) = answered_later();
        client.expect_end();
        let (took, least) = (began.elapsed(), millis(300 + 600));
        assert!((least..least + SLACK).contains(&took), "it took {took:?}");

        let (mut client, _) = answered_later();
        let began = Instant::now();
        client.send("GET / HT");
        client.read().expect_failure(408);
        expect_short(began);

        let (mut client, _) = answered_later();
        let both = ["GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"];
        client.send(both.concat());
        client.read().expect(200, "slow");
        client.read().expect(200, "hello");
    }
}

#[test]
fn a_handler_at_work_is_no_idle_connection() {
    let server = served(|config| {
        for timeout in [
            &mut config.keep_alive_timeout,
            &mut config.first_byte_timeout,
            &mut config.head_timeout,
            &mut config.body_timeout,
            &mut config.write_timeout,
        ] {
            // Less than the handler takes.
            *timeout = millis(200);
        }
    });
    let mut client = Client::connect(server.local_addr());
    client.get("/slow").expect(200, "slow");
    client.get("/slow").expect(200, "slow");
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    client.read().expect(200, "hi");
    client.get("/slow").expect(200, "slow");
}

#[test]
fn a_peer_that_does_not_read_is_reset() {
    let server = served(|config| config.write_timeout = SHORT);
    for target in ["/big", "/endless"] {
        let mut client = Client::connect(server.local_addr());
        let began = Instant::now();
        client.ask("GET", target);
        // A reset shows in the socket, without any reading.
        wait_until("the connection is reset", || client.stream().take_error().unwrap().is_some());
        expect_short(began);
        Client::connect(server.local_addr()).get("/").expect(200, "hello");
    }
}

#[test]
fn a_peer_that_reads_slowly_but_steadily_gets_all() {
    let server = served(|config| {
        config.write_timeout = millis(500);
        config.min_write_rate = 1;
    });
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/big");
    let (mut received, mut bytes) = (0, vec![0; 4 << 20]);
    let began = Instant::now();
    // More at a time than all buffers between the two hold, so that the server can go on.
    while received < 64 << 20 {
        thread::sleep(millis(100));
        client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        let most = bytes.len().min((64 << 20) - received);
        client.stream().read_exact(&mut bytes[..most]).expect("the server goes on");
        received += most;
    }
    assert!(began.elapsed() > millis(500));
    // The head came before that much content.
    client.half_close();
    let (rest, is_reset) = client.read_all();
    assert!(!is_reset && !rest.is_empty() && rest.len() < 1000, "{} bytes more", rest.len());
}

#[test]
fn blocking_work_of_another_loop_does_not_hold_the_clock() {
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel();
    let other = thread::spawn(move || {
        snow::block_on(snow::unblock(move || {
            begin.send(()).unwrap();
            finished.recv().unwrap();
        }));
    });
    begun.recv().unwrap();
    let routes = [get("^/$", |_| TimeoutFuture::new(Duration::from_secs(3600)))];
    let mut client = Snow::new(routes).test_client().unwrap();
    assert_eq!(client.get("/").send().status(), 504);
    finish.send(()).unwrap();
    other.join().unwrap();
}

/// Gives small pieces for ever.
struct Crumbs;

impl Stream for Crumbs {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; 16]))))
    }
}

/// Takes 64 KiB at a time, as they fit between it and the server, so often.
fn take_every(pause: Duration, config: impl FnOnce(&mut Config)) -> bool {
    let app = Snow::new([get("^/$", |_| Response::stream(Crumbs))]).configure(config);
    let mut client = app.test_client().unwrap();
    let mut connection = client.connect();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (0..60).all(|_| {
        client.advance(pause);
        connection.take();
        !connection.is_closed()
    })
}

#[test]
fn a_streams_reader_is_judged_by_all_that_it_takes() {
    assert!(take_every(secs(10), |_| {}), "6,500 bytes a second are 25 times the minimum");
    assert!(take_every(secs(10), |config| config.min_write_rate = 6000));
    assert!(!take_every(secs(10), |config| config.min_write_rate = 7000));
}

/// However small its pieces are: the rate is that of the whole response.
#[test]
fn a_stream_whose_reader_is_too_slow_is_given_up() {
    let app = Snow::new([get("^/$", |_| Response::stream(Crumbs))]).workers(1);
    let app = app.configure(|config| {
        config.write_timeout = millis(400);
        config.min_write_rate = 1 << 30;
        config.max_output_bytes = 64;
    });
    let server = serve(app);
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut stream = client.stream();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let began = Instant::now();
    let mut some = vec![0; 256 << 10];
    while stream.read_exact(&mut some).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it is not given up");
        thread::sleep(millis(50));
    }
}

/// The kernel tells of room only when there is much of it, which is not what the timeout is about.
#[test]
fn a_slow_reader_far_above_the_minimum_is_not_given_up() {
    let content = vec![b'x'; 16 << 20];
    let app = Snow::new([get("^/$", move |_| content.clone())]).workers(1);
    let app = app.configure(|config| config.write_timeout = Duration::from_millis(1500));
    let server = app.bind("127.0.0.1:0").unwrap().start().unwrap();
    let mut client = std::net::TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // Some 400 KB a second, for four times the timeout.
    let mut piece = [0; 8192];
    for _ in 0..300 {
        client.read_exact(&mut piece).expect("it is not reset");
        thread::sleep(Duration::from_millis(20));
    }
}
