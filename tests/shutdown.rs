//! How a server stops: from within, by a signal, and when it cannot start at all.

mod util;

use futures_core::Stream;
use snow::{Future, Handler, Request, Response, Result, Snow, TimeoutFuture, get, post};
use std::{
    future::Future as _,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};
#[cfg(unix)]
use util::Process;
use util::{Client, PATIENCE, example, millis, program::Program, serve, wait_until};

/// Long enough to tell a wait from none, on a busy machine too.
const SOON: Duration = Duration::from_secs(3);

type Parked = Arc<Mutex<Vec<Future<String>>>>;

/// `/` answers at once, `/slow` after a while, `/park` and `/park/around` when somebody completes it, `/hang`
/// never.
fn app(parked: &Parked) -> (Snow, Arc<AtomicUsize>) {
    let (parked, begun) = (Arc::clone(parked), Arc::new(AtomicUsize::new(0)));
    let counts = [(); 3].map(|()| Arc::clone(&begun));
    let [slow, park, hang] = counts.map(|count| move || count.fetch_add(1, Ordering::SeqCst));
    let park = move |_: Request| {
        park();
        let future = Future::new(|value: String| Response::text(value));
        parked.lock().unwrap().push(future.clone());
        future
    };
    let around = park.clone();
    let app = Snow::new([
        get("^/$", |_| "hello"),
        get("^/slow$", move |_| {
            slow();
            TimeoutFuture::new(millis(300)).then(|| "slow")
        }),
        get("^/park$", park),
        get("^/park/around$", move |req| around.answer(req).map(|response| response.status(201))),
        get("^/hang$", move |_| {
            hang();
            std::future::pending::<()>()
        }),
        post("^/echo$", |req: Request| req.into_body()),
    ]);
    (app.workers(2), begun)
}

fn wait_for(begun: &AtomicUsize, count: usize) {
    wait_until("the handlers have begun", || begun.load(Ordering::SeqCst) >= count);
}

/// Returns whether nobody listens.
fn is_refused(addr: SocketAddr) -> bool {
    let outcome = TcpStream::connect_timeout(&addr, PATIENCE);
    outcome.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_handle_stops_it_from_another_thread() {
    let (app, _) = app(&Parked::default());
    let server = app.bind("127.0.0.1:0").unwrap();
    let (addr, stop) = (server.local_addr(), server.stop_handle());
    let client = thread::spawn(move || {
        let mut client = Client::connect(addr);
        client.get("/").expect(200, "hello");
        stop.stop();
        client.expect_end();
    });
    // On this thread, as a program would.
    assert!(server.run().is_ok());
    client.join().unwrap();
    assert!(is_refused(addr));
}

#[test]
fn a_stop_before_the_start_is_a_stop() {
    let (app, _) = app(&Parked::default());
    let server = app.bind("127.0.0.1:0").unwrap();
    server.stop_handle().stop();
    let began = Instant::now();
    assert!(server.run().is_ok());
    assert!(began.elapsed() < SOON);
}

/// What is in the queue of a listener that closes is reset, so those who have begun to connect get time to
/// end that: also when the stop comes while the listener waits.
#[test]
#[cfg(target_os = "linux")]
fn nobody_is_refused_before_handshakes_that_have_begun_are_over() {
    let (app, _) = app(&Parked::default());
    let server = serve(app);
    let addr = server.local_addr();
    // Each worker waits.
    thread::sleep(millis(50));
    let began = Instant::now();
    server.stop_handle().stop();
    thread::sleep(millis(10));
    // Who begins to connect now is passed over.
    wait_until("nobody listens", || {
        let outcome = TcpStream::connect_timeout(&addr, millis(1));
        outcome.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    assert!(began.elapsed() >= millis(50), "{:?}", began.elapsed());
}

#[test]
fn dropping_the_handle_in_the_background_stops_it() {
    let (app, _) = app(&Parked::default());
    let server = serve(app);
    let addr = server.local_addr();
    Client::connect(addr).get("/").expect(200, "hello");
    drop(server);
    assert!(is_refused(addr));
}

#[test]
fn what_is_in_flight_is_answered_and_then_closed() {
    let (app, begun) = app(&Parked::default());
    let server = serve(app);
    let mut slow: Vec<_> = (0..4).map(|_| Client::connect(server.local_addr())).collect();
    slow.iter_mut().for_each(|client| client.ask("GET", "/slow"));
    let mut uploading = Client::connect(server.local_addr());
    uploading.get("/").expect(200, "hello");
    uploading.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
    uploading.send("Content-Length: 2\r\n\r\n");
    // The interim answer says that the request is in hand.
    assert_eq!(uploading.read().status, 100);
    wait_for(&begun, 4);
    server.stop_handle().stop();
    wait_until("nobody listens", || is_refused(server.local_addr()));
    uploading.send("hi");
    for (client, text) in
        slow.iter_mut().map(|client| (client, "slow")).chain([(&mut uploading, "hi")])
    {
        let answer = client.read();
        answer.expect(200, text);
        answer.expect_close(true);
        client.expect_end();
    }
    drop((slow, uploading));
    let began = Instant::now();
    assert!(server.wait().is_ok());
    assert!(began.elapsed() < SOON);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let (app, begun) = app(&Parked::default());
    let server = serve(app.configure(|config| config.shutdown_idle_grace = millis(50)));
    let mut fresh = Client::connect(server.local_addr());
    let mut used = Client::connect(server.local_addr());
    used.get("/").expect(200, "hello");
    let mut slow = Client::connect(server.local_addr());
    slow.ask("GET", "/slow");
    wait_for(&begun, 1);
    server.stop_handle().stop();
    fresh.expect_end();
    used.expect_end();
    slow.read().expect(200, "slow");
    drop(slow);
    assert!(server.wait().is_ok());
}

#[test]
fn a_request_that_is_on_its_way_to_an_idle_connection_is_answered() {
    let (app, begun) = app(&Parked::default());
    let server = serve(app.configure(|config| config.shutdown_idle_grace = SOON));
    let mut idle = Client::connect(server.local_addr());
    idle.get("/").expect(200, "hello");
    let mut slow = Client::connect(server.local_addr());
    slow.ask("GET", "/slow");
    wait_for(&begun, 1);
    server.stop_handle().stop();
    wait_until("nobody listens", || is_refused(server.local_addr()));
    let answer = idle.get("/");
    answer.expect(200, "hello");
    answer.expect_close(true);
    idle.expect_end();
}

/// Content that is made slowly: a piece at once, and its end after a while.
enum Slowly {
    Begins,
    Ends(snow::Sleep),
}

impl Stream for Slowly {
    type Item = Result<&'static str>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Slowly::Begins => {
                *self = Slowly::Ends(snow::sleep(millis(300)));
                Poll::Ready(Some(Ok("slowly")))
            }
            Slowly::Ends(sleep) => Pin::new(sleep).poll(cx).map(|()| None),
        }
    }
}

/// A connection becomes idle during the stop where the head of its answer was sent before: it has the time of one
/// that was idle then, and not that of one that is kept. So has one whose content nobody reads.
#[test]
fn a_connection_that_becomes_idle_during_the_stop_is_closed_soon() {
    let app = || {
        let app = Snow::new([
            get("^/$", |_| "hello"),
            get("^/slowly$", |_| Response::stream(Slowly::Begins)),
            post("^/unread$", |_: Request| "unread").streaming(),
        ]);
        app.workers(1).configure(|config| {
            config.keep_alive_timeout = Duration::from_secs(20);
            config.linger_timeout = millis(100);
        })
    };
    let upload = "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1";
    let download = "GET /slowly HTTP/1.1\r\nHost: a\r\n\r\n";
    // How the answer begins before the stop, and what ends the exchange after it.
    let cases = [(download, "slowly", ""), (upload, "unread", "2"), (upload, "unread", "")];
    for (request, begins, rest) in cases {
        let server = serve(app());
        let mut client = Client::connect(server.local_addr());
        client.get("/").expect(200, "hello");
        client.send(request);
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(begins) {
            let mut buf = [0; 1024];
            let count = client.stream().read(&mut buf).unwrap();
            assert_ne!(count, 0, "the connection ended");
            answer.extend_from_slice(&buf[..count]);
        }
        let began = Instant::now();
        server.stop_handle().stop();
        wait_until("nobody listens", || is_refused(server.local_addr()));
        client.send(rest);
        client.read_all();
        assert!(server.wait().is_ok());
        assert!(began.elapsed() < SOON, "{begins}, {rest:?}: it took {:?}", began.elapsed());
    }
}

#[test]
fn nothing_new_is_accepted_while_it_finishes() {
    let (app, begun) = app(&Parked::default());
    let server = serve(app);
    let mut hanging = Client::connect(server.local_addr());
    hanging.ask("GET", "/hang");
    wait_for(&begun, 1);
    server.stop_handle().stop();
    wait_until("nobody listens", || is_refused(server.local_addr()));
    // It still works on the one it has.
    hanging.expect_silence(millis(50));
    server.stop_handle().stop_now();
    assert!(server.wait().is_ok());
}

#[test]
fn parked_requests_are_told_to_come_back() {
    let parked = Parked::default();
    let (app, begun) = app(&parked);
    let server = serve(app);
    let mut waiting: Vec<_> = (0..4).map(|_| Client::connect(server.local_addr())).collect();
    for (client, path) in waiting.iter_mut().zip(["/park", "/park/around"].iter().cycle()) {
        client.ask("GET", path);
    }
    wait_for(&begun, 4);
    let began = Instant::now();
    server.stop_handle().stop();
    for client in &mut waiting {
        let answer = client.read();
        answer.expect_failure(503);
        answer.expect_close(true);
        let seconds = answer.field("retry-after").expect("there is Retry-After");
        assert!(seconds.parse::<u32>().is_ok(), "{seconds}");
        client.expect_end();
    }
    drop(waiting);
    assert!(server.wait().is_ok());
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    for future in parked.lock().unwrap().drain(..) {
        assert_eq!(future.set_result("late".into()), Err("late".to_string()));
    }
}

#[test]
fn on_shutdown_answers_parked_requests() {
    let parked = Parked::default();
    let (app, begun) = app(&parked);
    let server = serve(app.on_shutdown(|| Response::text("reconnect").header("x-node", "next")));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/park");
    wait_for(&begun, 1);
    server.stop_handle().stop();
    let answer = client.read();
    answer.expect(200, "reconnect");
    answer.expect_close(true);
    assert_eq!(answer.field("x-node"), Some("next"));
    client.expect_end();
    drop(client);
    assert!(server.wait().is_ok());
}

#[test]
fn the_deadline_cuts_what_does_not_end() {
    let (app, begun) = app(&Parked::default());
    let app = app.configure(|config| {
        config.shutdown_timeout = millis(200);
        config.shutdown_idle_grace = millis(10);
    });
    let server = serve(app);
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/hang");
    wait_for(&begun, 1);
    let began = Instant::now();
    assert!(server.stop().is_ok());
    assert!((millis(200)..SOON).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    let (bytes, _) = client.read_all();
    assert_eq!(bytes, b"");
}

#[test]
fn stop_now_cuts_at_once() {
    let (app, begun) = app(&Parked::default());
    let server = serve(app);
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/hang");
    wait_for(&begun, 1);
    let began = Instant::now();
    server.stop_handle().stop_now();
    assert!(server.wait().is_ok());
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    assert_eq!(client.read_all().0, b"");
}

#[cfg(unix)]
impl Process {
    /// Starts the example on a free port and waits until it serves.
    fn start() -> Process {
        Process::start_with(&[])
    }

    /// Does so with more in its environment.
    fn start_with(environment: &[(&str, &str)]) -> Process {
        Process::spawn(
            Command::new(example("conformance"))
                .arg("0")
                .env("RUST_LOG", "info")
                .envs(environment.iter().copied()),
        )
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_service_manager_is_told_of_the_start_and_the_stop() {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };

    let name = format!("snow-test-{}", std::process::id());
    let path = std::env::temp_dir().join(format!("{name}.socket"));
    let by_path = SocketAddr::from_pathname(&path).unwrap();
    let by_name = SocketAddr::from_abstract_name(&name).unwrap();
    for (addr, text) in [(by_path, path.display().to_string()), (by_name, format!("@{name}"))] {
        let manager = UnixDatagram::bind_addr(&addr).expect("a socket of its own");
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let hear = || {
            let mut words = [0; 64];
            let len = manager.recv(&mut words).expect("a word in time");
            String::from_utf8(words[..len].to_vec()).unwrap()
        };
        let mut process = Process::start_with(&[("NOTIFY_SOCKET", &text)]);
        assert_eq!(hear(), "READY=1");
        process.signal("TERM");
        assert_eq!(hear(), "STOPPING=1");
        assert_eq!(process.wait().code(), Some(0));
    }
    let _ = std::fs::remove_file(path);
}

#[cfg(unix)]
#[test]
fn sigterm_and_sigint_stop_gracefully_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start();
        let mut idle = Client::connect(process.addr);
        idle.get("/").expect(200, "hello");
        let mut slow = Client::connect(process.addr);
        slow.ask("GET", "/sleep/500");
        // An answer from another connection of the same process does not say that the slow one is
        // in hand, but 500 ms do, and a request that the kernel has is answered all the same.
        idle.get("/").expect(200, "hello");
        process.signal(signal);
        let answer = slow.read();
        answer.expect(200, "done");
        answer.expect_close(true);
        slow.expect_end();
        idle.expect_end();
        drop((slow, idle));
        assert_eq!(process.wait().code(), Some(0), "{signal}");
        assert!(is_refused(process.addr));
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("INT", "INT")] {
        let mut process = Process::start();
        let mut client = Client::connect(process.addr);
        client.get("/").expect(200, "hello");
        client.ask("GET", "/sleep/600000");
        process.signal(first);
        wait_until("it has heard the first", || is_refused(process.addr));
        assert!(process.child.try_wait().unwrap().is_none(), "it waits for the request");
        let began = Instant::now();
        process.signal(second);
        let code = process.wait().code();
        assert_ne!(code, Some(0), "{first} {second}: a request was cut");
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    }
}

#[cfg(unix)]
#[test]
fn the_stop_is_logged_with_what_became_of_the_connections() {
    let mut process = Process::start();
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
    let says_so = || process.lines.lock().unwrap().iter().any(|line| line.contains("stopped"));
    wait_until("it is logged", says_so);
}

/// Runs the example to its end, which is to come soon; returns its exit code and standard error.
fn run_to_end(port: &str) -> (Option<i32>, String) {
    let program = Program::start(
        Command::new(example("conformance"))
            .arg(port)
            .env("RUST_LOG", "info")
            .env_remove("RUST_BACKTRACE"),
    );
    let finished = program.finish();
    (finished.status.code(), finished.stderr)
}

/// Expects one line that a person can read.
#[track_caller]
fn expect_sentence(text: &str) {
    let lines: Vec<_> = text.lines().collect();
    let [line] = lines[..] else { panic!("not one line: {text:?}") };
    for noise in ["{", "}", "Os ", "kind:", "Error(", "\\n", "Some(", "panicked"] {
        assert!(!line.contains(noise), "{line:?} has {noise:?}");
    }
}

#[test]
fn a_port_in_use_is_one_clear_line_and_a_failure() {
    // Held by a server of one worker, of several, and by a program that is not Snow.
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = [1, 2].map(|workers| serve(app(&Parked::default()).0.workers(workers)));
    let mut addrs: Vec<_> = servers.iter().map(|server| server.local_addr()).collect();
    addrs.push(foreign.local_addr().unwrap());
    for addr in addrs {
        let (code, text) = run_to_end(&addr.port().to_string());
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
        expect_sentence(&text);
        assert!(text.contains(&addr.to_string()) && text.contains("in use"), "{text}");
    }
}

#[test]
fn an_address_that_makes_no_sense_is_one_clear_line_and_a_failure() {
    for port in ["65536", "http", "-1", ""] {
        let (code, text) = run_to_end(port);
        assert!(code.is_some_and(|code| code != 0), "{port:?}: {code:?}");
        expect_sentence(&text);
    }
}

#[test]
fn an_error_of_bind_says_what_to_do() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = foreign.local_addr().unwrap();
    let error = Snow::new([]).bind(addr).unwrap_err();
    assert_eq!(error.kind(), snow::ErrorKind::Io);
    // What `main` would show is what a log would.
    assert_eq!(format!("{error:?}").lines().count(), 1);
    expect_sentence(&format!("{error}"));
    assert!(error.to_string().contains("in use"), "{error}");
    // An address of a network for documentation.
    let error = Snow::new([]).bind("192.0.2.1:0").unwrap_err();
    expect_sentence(&format!("{error:?}"));
}

#[test]
fn what_is_no_address_is_shown_with_what_is_missing() {
    for (addr, fault) in [
        ("localhost", r#"a port is missing, as in "localhost:8080""#),
        ("localhost:", r#"a port is missing, as in "localhost:8080""#),
        ("[::1]", r#"a port is missing, as in "[::1]:8080""#),
        ("8000", r#"a host is missing, as in "localhost:8000""#),
        (":8000", r#"a host is missing, as in "localhost:8000""#),
        ("", r#"a host and a port are missing, as in "localhost:8080""#),
        ("localhost:http", r#"the port is no number up to 65535, as in "localhost:8080""#),
    ] {
        let error = Snow::new([]).bind(addr).unwrap_err();
        assert_eq!(error.kind(), snow::ErrorKind::Config, "{error}");
        let line = format!("cannot listen: {addr:?} is no address: {fault}");
        assert_eq!(format!("{error:?}"), line);
    }
    let none: [&str; 0] = [];
    assert_eq!(Snow::new([]).bind(none).unwrap_err().kind(), snow::ErrorKind::Config);
}

#[test]
fn several_addresses_are_served_and_stopped() {
    let (app, _) = app(&Parked::default());
    let server = app.bind("127.0.0.1:0").unwrap().also("127.0.0.1:0").unwrap();
    let addrs = server.local_addrs().to_vec();
    assert_eq!(addrs.len(), 2);
    assert_ne!(addrs[0].port(), 0);
    assert_ne!(addrs[0], addrs[1]);
    let running = server.start().unwrap();
    assert_eq!(running.local_addrs(), addrs);
    for addr in &addrs {
        Client::connect(*addr).get("/").expect(200, "hello");
    }
    assert!(running.stop().is_ok());
    assert!(addrs.into_iter().all(is_refused));
}

/// Whoever keeps coming does not keep the server.
#[test]
fn a_stop_ends_in_its_time_though_clients_keep_coming() {
    let handler = |_| {
        thread::sleep(millis(3));
        "slow for a thread"
    };
    for at_once in [false, true] {
        let app = Snow::new([get("^/$", handler)]).workers(1);
        let server = serve(app.configure(|config| config.shutdown_timeout = millis(500)));
        let addr = server.local_addr();
        let is_over = Arc::new(AtomicUsize::new(0));
        let clients = [(); 3].map(|()| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                let mut kept = Vec::new();
                while is_over.load(Ordering::SeqCst) == 0 {
                    if let Ok(client) = TcpStream::connect_timeout(&addr, millis(200)) {
                        let _ = (&client).write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                        kept.push(client);
                        kept.drain(..kept.len().saturating_sub(100));
                    }
                }
            })
        });
        thread::sleep(millis(500));
        let began = Instant::now();
        if at_once {
            server.stop_handle().stop_now();
        }
        server.stop().unwrap();
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
        is_over.store(1, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
}
