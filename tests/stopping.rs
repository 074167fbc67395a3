//! Stopping under load: no request is lost, nobody holds the exit, another process takes over.
//!
//! The servers are processes of their own: this test, started again with [`SERVED`] set. `shutdown.rs`
//! has what a stop looks like from within.
#![cfg(target_os = "linux")]

mod util;

use futures_core::Stream;
use snow::{Bytes, Config, Future, Request, Response, Snow, TimeoutFuture, get, post};
use std::{
    env, fs,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    pin::Pin,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};
use util::{Client, Folder, PATIENCE, Process, Spawned, millis, wait_until};

/// Holds the port that the process serves on; unless it is set, this is a test and no server.
const SERVED: &str = "SNOW_STOPPING_SERVED";

/// Set when that process is to have run another server before.
const AFTER_ANOTHER: &str = "SNOW_STOPPING_AFTER_ANOTHER";

/// Holds how often what is left to chance is repeated; a few times unless it is set.
const ROUNDS: &str = "SNOW_STOPPING_ROUNDS";

/// How long the served processes wait for what is in flight: longer than for clients that have their
/// answers and do not leave.
const DEADLINE: Duration = Duration::from_secs(3);

const CLIENTS: usize = 48;

fn rounds() -> usize {
    env::var(ROUNDS).map_or(4, |rounds| rounds.parse().expect("a number"))
}

/// A stream that never ends.
struct Endless;

impl Stream for Endless {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; 4096]))))
    }
}

fn app() -> Snow {
    let large = Bytes::from(vec![b'x'; 16 << 20]);
    Snow::new([
        get("^/$", |_| "hello"),
        get("^/page$", |_| "x".repeat(10_000)),
        get(r"^/sleep/(?<millis>\d+)$", |req: Request| -> snow::Result<TimeoutFuture> {
            Ok(TimeoutFuture::new(millis(req.parse_param("millis")?)).then(|| "done"))
        }),
        get("^/park$", |_| {
            let future = Future::new(|value: String| Response::text(value));
            let waiting = future.clone();
            snow::spawn(async move {
                while !waiting.is_cancelled() {
                    snow::sleep(millis(50)).await;
                }
            })
            .detach();
            future
        }),
        get("^/hang$", |_| std::future::pending::<()>()),
        get("^/worker$", |_| thread::current().name().unwrap_or_default().to_string()),
        get(r"^/block/(?<millis>\d+)$", |req: Request| -> snow::Result<&str> {
            thread::sleep(millis(req.parse_param("millis")?));
            Ok("done")
        }),
        get("^/endless$", |_| Response::stream(Endless)),
        get("^/large$", move |_| Response::bytes(large.clone())),
        post("^/echo$", |req: Request| req.into_body()),
    ])
}

/// Serves, when another test has started this process for that.
#[test]
fn a_server_in_a_process_of_its_own() {
    let Ok(port) = env::var(SERVED) else { return };
    if env::var(AFTER_ANOTHER).is_ok() {
        let earlier = app().bind("127.0.0.1:0").unwrap();
        earlier.stop_handle().stop();
        earlier.run().unwrap();
    }
    env_logger::builder().filter_level("info".parse().unwrap()).init();
    let app = app().configure(|config| {
        config.workers = 2;
        config.access_log = false;
        config.share_port = true;
        config.shutdown_timeout = DEADLINE;
    });
    let server = app.bind(format!("127.0.0.1:{port}"));
    assert!(server.and_then(snow::Server::run).is_ok());
}

impl Process {
    fn start() -> Process {
        Process::start_on(0, None)
    }

    /// Starts it on a port, with a supervisor's socket if there is one, and waits until it serves.
    fn start_on(port: u16, supervisor: Option<&PathBuf>) -> Process {
        let supervisor = supervisor.map(|path| ("NOTIFY_SOCKET", path));
        Process::spawn(Process::command(port).envs(supervisor))
    }

    fn command(port: u16) -> Command {
        let mut command = Command::new(env::current_exe().expect("the test has a path"));
        command
            .args(["--exact", "a_server_in_a_process_of_its_own", "--nocapture"])
            .env(SERVED, port.to_string())
            .env_remove("NOTIFY_SOCKET");
        command
    }

    fn start_after_another() -> Process {
        Process::spawn(Process::command(0).env(AFTER_ANOTHER, "1"))
    }

    fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits for the end, which is to be a success.
    #[track_caller]
    fn expect_success(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{status}");
    }

    /// Returns the line that says what became of the connections, and its two numbers.
    #[track_caller]
    fn outcome(&self) -> (usize, usize) {
        let find = || {
            let lines = self.lines.lock().unwrap();
            let line = lines.iter().find_map(|line| line.split_once("stopped: "))?.1;
            let mut numbers = line.split(|c: char| !c.is_ascii_digit());
            let mut number = || numbers.find_map(|number| number.parse::<usize>().ok());
            Some((number()?, number()?))
        };
        wait_until("it says what became of the connections", || find().is_some());
        find().unwrap()
    }
}

// What clients do.

/// What clients have seen, all together.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    /// Answers that said that they were the last.
    last: AtomicUsize,
    /// Connections that ended between an answer and the next request.
    idle: AtomicUsize,
    refused: AtomicUsize,
    /// Requests that were written and not answered.
    lost: AtomicUsize,
    is_done: AtomicBool,
}

impl Tally {
    fn count(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }
}

/// How a connection fares.
#[derive(PartialEq, Eq)]
enum Fate {
    Kept,
    /// The answer said that it was the last.
    Last,
    /// It had ended before anything was asked.
    Gone,
    Lost,
}

/// Returns whether the server's end of the connection is there to be seen.
fn is_ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let outcome = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Sends one request and reads its answer.
fn exchange(mut stream: &TcpStream, request: &[u8]) -> Fate {
    if is_ended(stream) {
        return Fate::Gone;
    }
    let mut received = Vec::new();
    let mut bytes = [0; 16 * 1024];
    // Whether the write fails or what comes after it: it was not seen to have ended before.
    if stream.write_all(request).is_err() {
        return Fate::Lost;
    }
    loop {
        match stream.read(&mut bytes) {
            Ok(len) if len > 0 => received.extend_from_slice(&bytes[..len]),
            _ => return Fate::Lost,
        }
        let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head_text = String::from_utf8_lossy(&received[..head]).to_lowercase();
        assert!(head_text.starts_with("http/1.1 200 "), "{head_text}");
        let field = |name: &str| head_text.lines().find_map(|line| line.strip_prefix(name));
        let len: usize = field("content-length: ").expect("a length").parse().unwrap();
        if received.len() >= head + 4 + len {
            assert_eq!(received.len(), head + 4 + len, "more than one answer");
            return if field("connection: ") == Some("close") { Fate::Last } else { Fate::Kept };
        }
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The requests of the clients, each of which has one of its own.
fn requests() -> Vec<Vec<u8>> {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let post = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    vec![get("/"), get("/page"), get("/sleep/5"), post, get("/")]
}

/// Asks on one connection until that ends; `pause` is how long it is idle in between.
fn keep_asking(stream: &TcpStream, request: &[u8], pause: Duration, tally: &Tally) {
    loop {
        match exchange(stream, request) {
            Fate::Kept => Tally::count(&tally.answered),
            Fate::Last => {
                Tally::count(&tally.answered);
                return Tally::count(&tally.last);
            }
            Fate::Gone => return Tally::count(&tally.idle),
            Fate::Lost => return Tally::count(&tally.lost),
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
}

/// Asks on connection after connection, `most` times on each, until all is done.
fn keep_connecting(addr: SocketAddr, request: &[u8], most: usize, tally: &Tally) {
    while !tally.is_done() {
        let Ok(stream) = connect(addr) else {
            Tally::count(&tally.refused);
            continue;
        };
        for _ in 0..most {
            if tally.is_done() {
                break;
            }
            match exchange(&stream, request) {
                Fate::Kept => Tally::count(&tally.answered),
                Fate::Last => {
                    Tally::count(&tally.answered);
                    Tally::count(&tally.last);
                    break;
                }
                Fate::Gone => {
                    Tally::count(&tally.idle);
                    break;
                }
                Fate::Lost => {
                    Tally::count(&tally.lost);
                    break;
                }
            }
        }
    }
}

fn read(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

#[test]
fn sigterm_under_load_leaves_no_request_unanswered() {
    for round in 0..rounds() {
        let mut process = Process::start();
        let (tally, requests) = (Tally::default(), requests());
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let request = &requests[number % requests.len()];
                // Some of them leave a little time between their requests.
                let pause = millis(if number % 3 == 0 { 2 } else { 0 });
                let (stream, tally) = (connect(process.addr).expect("connects"), &tally);
                scope.spawn(move || keep_asking(&stream, request, pause, tally));
            }
            wait_until("the load is there", || read(&tally.answered) > 20 * CLIENTS);
            process.terminate();
        });
        let (answered, last, idle, lost) =
            (read(&tally.answered), read(&tally.last), read(&tally.idle), read(&tally.lost));
        eprintln!("round {round}: {answered} answered, {last} last, {idle} idle, {lost} lost");
        assert_eq!(lost, 0, "requests were not answered");
        assert_eq!(last + idle, CLIENTS);
        process.expect_success();
        assert_eq!(process.outcome(), (CLIENTS, 0), "finished and cut");
    }
}

/// Connections that are made all the time: those that were made before the end are answered.
#[test]
fn what_connected_before_the_end_is_answered() {
    for round in 0..rounds() {
        let mut process = Process::start();
        let (tally, requests) = (Tally::default(), requests());
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let request = &requests[number % requests.len()];
                let (addr, tally) = (process.addr, &tally);
                scope.spawn(move || {
                    while read(&tally.refused) == 0 {
                        let Ok(stream) = connect(addr) else {
                            return Tally::count(&tally.refused);
                        };
                        match exchange(&stream, request) {
                            Fate::Kept | Fate::Last => Tally::count(&tally.answered),
                            Fate::Gone => Tally::count(&tally.idle),
                            Fate::Lost => Tally::count(&tally.lost),
                        }
                    }
                });
            }
            wait_until("the load is there", || read(&tally.answered) > 10 * CLIENTS);
            process.terminate();
        });
        let (answered, idle, lost) = (read(&tally.answered), read(&tally.idle), read(&tally.lost));
        eprintln!("round {round}: {answered} answered, {idle} closed unasked, {lost} lost");
        assert_eq!(lost, 0, "requests were not answered");
        process.expect_success();
    }
}

#[test]
fn stalled_clients_do_not_hold_the_exit() {
    assert!(Config::default().shutdown_timeout <= Duration::from_secs(10));
    let mut process = Process::start();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let scripts = [
        String::new(),
        "GET / HTTP/1.1\r\nHo".to_string(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf".to_string(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf".to_string(),
        get("/hang"),
        get("/park"),
        get("/endless"),
        get("/large"),
        get("/").repeat(3),
    ];
    let clients: Vec<_> = (0..5 * scripts.len())
        .map(|number| {
            let mut client = Client::connect(process.addr);
            client.send(&scripts[number % scripts.len()]);
            client
        })
        .collect();
    Client::connect(process.addr).get("/").expect(200, "hello");
    let began = Instant::now();
    process.terminate();
    process.expect_success();
    let time = began.elapsed();
    eprintln!("it ended after {time:?}");
    assert!(time < DEADLINE + Duration::from_secs(2), "it ended after {time:?}");
    // Half a head, half a body in two ways, the handler, the stream and what is too large.
    let (_, cut) = process.outcome();
    assert_eq!(cut, 30, "of {}", clients.len());
}

#[test]
fn parked_requests_are_told_to_come_back_at_once() {
    let mut process = Process::start();
    let mut parked: Vec<_> = (0..100).map(|_| Client::connect(process.addr)).collect();
    parked.iter_mut().for_each(|client| client.ask("GET", "/park"));
    Client::connect(process.addr).get("/sleep/50").expect(200, "done");
    let began = Instant::now();
    process.terminate();
    for client in &mut parked {
        let answer = client.read();
        answer.expect_failure(503);
        answer.expect_close(true);
        assert!(answer.field("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()));
        client.expect_end();
    }
    drop(parked);
    process.expect_success();
    assert!(began.elapsed() < DEADLINE, "it took {:?}", began.elapsed());
    assert_eq!(process.outcome(), (100, 0));
}

/// One process takes over from the other, on one port and under load.
#[test]
fn a_rolling_restart_loses_no_request() {
    let mut process = Process::start();
    let (addr, port) = (process.addr, process.addr.port());
    let (tally, requests) = (Tally::default(), requests());
    thread::scope(|scope| {
        for number in 0..16 {
            let request = &requests[number % requests.len()];
            // One request on a connection, a few, or as many as it is kept for.
            let most = [1, 5, usize::MAX][number % 3];
            let tally = &tally;
            scope.spawn(move || keep_connecting(addr, request, most, tally));
        }
        for _ in 0..rounds() {
            let answered = read(&tally.answered);
            let is_busy = || read(&tally.answered) > answered + 500;
            wait_until("the load is there", is_busy);
            let next = Process::start_on(port, None);
            process.terminate();
            process.expect_success();
            process = next;
            let (lost, refused) = (read(&tally.lost), read(&tally.refused));
            eprintln!("{} answered, {lost} lost, {refused} refused", read(&tally.answered));
        }
        tally.is_done.store(true, Ordering::Relaxed);
    });
    process.terminate();
    assert_eq!((read(&tally.lost), read(&tally.refused)), (0, 0), "lost and refused");
    process.expect_success();
}

/// A supervisor is told when it serves and when it stops.
#[test]
fn a_supervisor_is_notified() {
    let folder = Folder::new();
    let path = folder.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let receive = || {
        let mut bytes = [0; 4096];
        let len = socket.recv(&mut bytes).expect("the supervisor is told");
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    let mut process = Process::start_on(0, Some(&path));
    assert!(receive().lines().any(|line| line == "READY=1"));
    process.terminate();
    assert!(receive().lines().any(|line| line == "STOPPING=1"));
    process.expect_success();
}

#[test]
fn a_server_that_comes_after_another_hears_signals_as_the_first_does() {
    let mut process = Process::start_after_another();
    process.terminate();
    process.expect_success();
}

#[test]
fn a_worker_that_is_busy_does_not_keep_the_others_from_hearing() {
    let mut process = Process::start();
    let is_on_first = |client: &mut Client| client.get("/worker").text() != "snow-1";
    let mut client = process.connect();
    while !is_on_first(&mut client) {
        client = process.connect();
    }
    let began = Instant::now();
    client.ask("GET", "/block/5000");
    // A signal that comes before the request is in hand is heard in any case.
    thread::sleep(millis(100));
    process.terminate();
    wait_until("it has heard", || process.logged("stopping: ") > 0);
    assert!(began.elapsed() < millis(4000), "it heard after {:?}", began.elapsed());
    client.read().expect(200, "done");
    drop(client);
    process.expect_success();
}

/// Returns whether a process has a handler for SIGINT, which it gets after that for SIGTERM. For a moment after a
/// handler is there it does nothing: `signal-hook` first installs it, and then notes what for.
fn catches_sigint(process: &Spawned) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << 1 != 0
}

#[test]
fn a_signal_while_it_starts_is_not_lost() {
    for _ in 0..5 * rounds() {
        let mut process =
            Spawned::new(Process::command(0).stdout(Stdio::null()).stderr(Stdio::null()));
        let deadline = Instant::now() + PATIENCE;
        while !catches_sigint(&process) {
            assert!(Instant::now() < deadline, "it never listens");
        }
        process.signal("TERM");
        // As a failure, if it does not listen yet.
        process.ended_within(PATIENCE);
    }
}
