//! Pressure: no descriptors, slow clients, storms, greedy handlers. Nobody else notices, memory stays
//! bounded, and what is counted returns to the start.
//!
//! What is measured of a process is measured of a server in a process of its own: this test, started
//! again with [`SERVED`] set. Bounds on time are wide, as machines are busy; those on counts are not.
#![cfg(target_os = "linux")]

mod util;

use futures_core::Stream;
use snow::{
    Bytes, Config, Counters, Error, Future, Request, Response, Snow, StatusCode, TimeoutFuture,
    get, post, route,
};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    env, fs,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    pin::Pin,
    process::Command,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};
use util::{Client, PATIENCE, Process, millis, wait_until};

/// Names the limits that the process serves with; unless it is set, this is a test and no server.
const SERVED: &str = "SNOW_PRESSURE_SERVED";

/// How long others may wait at the most, on a machine that is busy with something else too.
const BEARABLE: Duration = Duration::from_secs(1);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// What is served.

/// Bytes that [`Endless`] has made, in this process.
static MADE: AtomicU64 = AtomicU64::new(0);

const PIECE: usize = 16 * 1024;

/// A stream that never ends, of pieces of one length.
struct Endless(Bytes);

impl Stream for Endless {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        MADE.fetch_add(self.0.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(self.0.clone())))
    }
}

/// A future that wakes itself for ever.
struct Restless;

impl std::future::Future for Restless {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What panics when it is dropped, and as a future or a stream when it is polled.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("as asked, in a drop");
        }
    }
}

impl Stream for Grenade {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        panic!("as asked, in a stream");
    }
}

/// One piece, then what `end` says, with something that panics when it is dropped.
struct Brief {
    has_begun: bool,
    end: fn() -> Option<io::Result<Bytes>>,
    _grenade: Option<Grenade>,
}

impl Stream for Brief {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let begins = !std::mem::replace(&mut self.has_begun, true);
        Poll::Ready(if begins { Some(Ok(Bytes::from_static(b"piece"))) } else { (self.end)() })
    }
}

fn brief(end: fn() -> Option<io::Result<Bytes>>, grenade: Option<Grenade>) -> Response {
    Response::stream(Brief { has_begun: false, end, _grenade: grenade })
}

async fn minute(_: Request) -> &'static str {
    snow::sleep(Duration::from_secs(60)).await;
    "late"
}

/// Keeps the content without reading it, for a minute.
async fn swallow(mut req: Request) -> &'static str {
    let _body = req.body_stream();
    snow::sleep(Duration::from_secs(60)).await;
    "late"
}

async fn fail(_: Request) -> &'static str {
    panic!("as asked, in a future")
}

/// Tasks, timers and sockets of the loop, and descriptors of the process.
fn counts(_: Request) -> String {
    let counts = snow::rt::counts();
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    format!("{} {} {} {descriptors}", counts.tasks, counts.timers, counts.sockets)
}

/// What the server of this process counts.
static COUNTERS: OnceLock<Counters> = OnceLock::new();

fn starved(_: Request) -> String {
    COUNTERS.get().expect("set before it serves").starved().to_string()
}

fn app() -> Snow {
    let large = Bytes::from(vec![b'x'; 4 << 20]);
    let files: Mutex<Vec<fs::File>> = Mutex::default();
    let files = Arc::new(files);
    let (holding, releasing) = (Arc::clone(&files), files);
    let file = || Response::file(env::current_exe().expect("the test has a path"));
    let empty = concat!(env!("CARGO_TARGET_TMPDIR"), "/empty");
    fs::write(empty, "").expect("the folder for it is there");
    Snow::new([
        get("^/$", |_| "hello"),
        get("^/counts$", counts),
        get("^/starved$", starved),
        get("^/made$", |_| MADE.load(Ordering::Relaxed).to_string()),
        post("^/echo$", |req: Request| req.into_body()),
        get(r"^/sleep/(?<millis>\d+)$", |req: Request| -> snow::Result<TimeoutFuture> {
            Ok(TimeoutFuture::new(millis(req.parse_param("millis")?)).then(|| "done"))
        }),
        get("^/park$", |_| {
            let future = Future::new(|value: String| Response::text(value));
            let waiting = future.clone();
            // Whoever is to complete it looks now and then whether it is still worth it.
            snow::spawn(async move {
                while !waiting.is_cancelled() {
                    snow::sleep(millis(50)).await;
                }
            })
            .detach();
            future
        }),
        get("^/minute$", minute),
        route("^/swallow$", swallow).streaming(),
        route("^/ignore$", |req: Request| {
            drop(req);
            TimeoutFuture::new(Duration::from_secs(60)).then(|| "late")
        })
        .streaming(),
        get("^/endless$", |_| Response::stream(Endless(Bytes::from(vec![b'x'; PIECE])))),
        get("^/nothing$", |_| Response::stream(Endless(Bytes::new()))),
        get("^/file$", move |_| file()),
        get("^/known$", move |_| file().status(StatusCode::NOT_MODIFIED)),
        get("^/empty$", move |_| Response::file(empty)),
        get("^/large$", move |_| Response::bytes(large.clone())),
        get("^/own$", |_| vec![b'x'; 4 << 20]),
        get("^/page$", |_| "x".repeat(4096)),
        get("^/restless$", |_| Restless),
        get("^/hold$", move |_| {
            let mut files = holding.lock().unwrap();
            while let Ok(file) = fs::File::open("/dev/null") {
                files.push(file);
            }
            files.len().to_string()
        }),
        post("^/release$", move |_| releasing.lock().unwrap().pop().is_some().to_string()),
        get("^/panic/handler$", |_| -> &'static str { panic!("as asked, in a handler") }),
        get("^/panic/future$", fail),
        get("^/panic/stream$", |_| Response::stream(Grenade)),
        get("^/panic/end$", |_| brief(|| panic!("as asked, at the end"), None)),
        get("^/panic/trailers$", |_| {
            brief(|| None, None).trailers(|| panic!("as asked, in trailers"))
        }),
        get("^/panic/drop$", |_| brief(|| None, Some(Grenade))),
        get("^/panic/drop/future$", |_| {
            let grenade = Grenade;
            async move {
                let _grenade = grenade;
                snow::sleep(millis(1)).await;
                "never"
            }
        }),
        get("^/panic/callback$", |_| {
            let future = Future::new(|(): ()| -> Response { panic!("as asked, in a callback") });
            assert!(future.set_result(()).is_ok());
            future
        }),
        get("^/panic/timeout$", |_| {
            TimeoutFuture::new(millis(1)).then(|| -> Response { panic!("as asked, in time") })
        }),
        get("^/panic/task$", |_| async {
            snow::spawn(async { panic!("as asked, in a task") }).detach();
            let _ = snow::unblock(|| panic!("as asked, on a thread")).await;
        }),
        get("^/error/panic$", |_| Err::<(), _>(Error::from("no luck"))),
    ])
    .on_error(|error: &Error| {
        assert!(!error.to_string().contains("no luck"), "as asked, in on_error");
        Response::text("failed\n").status(error.status())
    })
}

/// Changes the limits as the name of a server says.
fn configure(config: &mut Config, name: &str) {
    config.workers = 1;
    config.access_log = false;
    match name {
        "defaults" => {}
        // Descriptors run out before connections do.
        "roomy" => {
            config.max_connections = 100_000;
            config.max_connections_per_address = 100_000;
        }
        "hasty" => {
            config.first_byte_timeout = millis(500);
            config.head_timeout = millis(500);
            config.body_timeout = millis(500);
            config.keep_alive_timeout = millis(500);
            config.linger_timeout = millis(200);
        }
        "patient" => {
            config.first_byte_timeout = Duration::from_secs(10);
            config.keep_alive_timeout = Duration::from_secs(6);
        }
        "few" => {
            config.max_connections = 6;
            config.max_connections_per_address = 4;
        }
        "narrow" => config.max_buffered_bytes = 1 << 20,
        _ => panic!("no server is called {name}"),
    }
}

/// Serves, when another test has started this process for that.
#[test]
fn a_server_in_a_process_of_its_own() {
    let Ok(name) = env::var(SERVED) else { return };
    env_logger::builder().filter_level("info".parse().unwrap()).init();
    let app = app().configure(|config| configure(config, &name));
    let server = app.bind("127.0.0.1:0").expect("a free port");
    COUNTERS.set(server.counters()).expect("set once");
    assert!(server.run().is_ok());
}

/// What lives in a process.
type Counts = [usize; 4];

impl Process {
    fn start(name: &str) -> Process {
        Process::start_limited(name, None)
    }

    /// Starts it with so many descriptors at the most, and waits until it serves.
    fn start_limited(name: &str, descriptors: Option<usize>) -> Process {
        let limit = descriptors.map_or(String::new(), |most| format!("ulimit -n {most}; "));
        Process::spawn(
            Command::new("sh")
                .args(["-c", &format!(r#"{limit}exec "$0" "$@""#)])
                .arg(env::current_exe().expect("the test has a path"))
                .args(["--exact", "a_server_in_a_process_of_its_own", "--nocapture"])
                .env(SERVED, name),
        )
    }

    /// Returns the hundredths of a second that it has worked.
    #[track_caller]
    fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Returns the bytes of memory that are its own.
    #[track_caller]
    fn memory(&self) -> usize {
        let rollup = self.proc("smaps_rollup");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Returns how often its threads have gone to sleep by themselves.
    #[track_caller]
    fn switches(&self) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of_one = |task: io::Result<fs::DirEntry>| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let mut lines = status.lines();
            let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            count.unwrap().trim().parse::<usize>().unwrap()
        };
        tasks.map(of_one).sum()
    }

    #[track_caller]
    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(path).expect("the server is alive")
    }

    /// Asks what lives in it, over a connection that counts each time.
    #[track_caller]
    fn counts(&self) -> Counts {
        let answer = self.connect().get("/counts");
        let mut numbers = answer.text().split(' ').map(|number| number.parse().unwrap());
        std::array::from_fn(|_| numbers.next().unwrap())
    }

    fn sockets(&self) -> usize {
        self.counts()[2]
    }

    /// Expects that its counts are back at the start within `patience`; returns when they were.
    #[track_caller]
    fn expect_back(&self, start: Counts, patience: Duration) -> Duration {
        let began = Instant::now();
        loop {
            // One that has just been closed may be counted still, never the other way round.
            let counts = self.counts();
            if counts.iter().zip(start).all(|(now, before)| *now <= before) {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < patience,
                "tasks, timers, sockets, descriptors are {counts:?} and were {start:?}"
            );
            thread::sleep(millis(20));
        }
    }
}

// What clients do.

/// Returns `wanted`, or what the limit on descriptors of the tests allows one of them.
fn affordable(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit = line.split_whitespace().next().and_then(|soft| soft.parse().ok());
    wanted.min(limit.unwrap_or(1024_usize) / 3)
}

/// Closes so that the server sees a reset.
fn reset(client: Client) {
    SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).expect("has SO_LINGER");
}

/// Connects from another address of this machine.
fn connect_from(last: u8, addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())?;
    socket.connect(&addr.into())?;
    Ok(socket.into())
}

/// Asks for `/` again and again until it is dropped; then says how long that took, sorted.
struct Prober {
    is_done: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Vec<Duration>>>,
}

impl Prober {
    fn start(addr: SocketAddr) -> Prober {
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let thread = thread::spawn(move || {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                // A connection for a few requests, so that new ones are probed as well.
                let began = Instant::now();
                let mut client = Client::connect(addr);
                for _ in 0..4 {
                    client.get("/").expect(200, "hello");
                }
                times.push(began.elapsed());
                thread::sleep(millis(1));
            }
            times.sort();
            times
        });
        Prober { is_done, thread: Some(thread) }
    }

    /// Expects that all were answered and none had to wait long.
    #[track_caller]
    fn expect_calm(mut self, what: &str) {
        self.is_done.store(true, Ordering::Relaxed);
        let times = self.thread.take().unwrap().join().expect("everybody was answered");
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        eprintln!("{what}: others waited {median:?}, at the most {longest:?}, {}x", times.len());
        assert!(longest < 2 * BEARABLE, "{what}: one waited for {longest:?}");
        assert!(median < BEARABLE / 4, "{what}: half waited for {median:?} and longer");
    }
}

// Out of descriptors.

/// Connects and asks until one is not answered; returns the answered, and that one.
#[track_caller]
fn starve(process: &Process) -> (Vec<Client>, Client) {
    let mut served = Vec::new();
    loop {
        let mut client = process.connect();
        client.ask("GET", "/");
        let stream = client.stream();
        stream.set_read_timeout(Some(millis(300))).unwrap();
        match stream.peek(&mut [0]) {
            Ok(1) => client.read().expect(200, "hello"),
            Ok(_) => panic!("a connection was closed"),
            Err(_) => return (served, client),
        }
        served.push(client);
        assert!(served.len() < 200, "it does not run out of descriptors");
    }
}

/// Each round, one leaves and the one that waits is served.
#[track_caller]
fn take_turns(
    process: &Process,
    mut served: Vec<Client>,
    mut waiting: Client,
    rounds: usize,
) -> Vec<Duration> {
    let mut times: Vec<_> = (0..rounds)
        .map(|round| {
            drop(served.remove(round % served.len()));
            let began = Instant::now();
            waiting.read().expect(200, "hello");
            let time = began.elapsed();
            let next = process.connect();
            served.push(std::mem::replace(&mut waiting, next));
            waiting.ask("GET", "/");
            waiting.expect_silence(millis(10));
            time
        })
        .collect();
    times.sort();
    eprintln!("resumed after {:?}, at the most {:?}", times[rounds / 2], times[rounds - 1]);
    times
}

#[track_caller]
fn expect_prompt(times: &[Duration]) {
    assert!(times[times.len() / 2] < millis(100), "half took {:?}", times[times.len() / 2]);
    assert!(times[times.len() - 1] < BEARABLE, "one took {:?}", times[times.len() - 1]);
}

/// Expects about no work within a second in which somebody waits to be accepted.
#[track_caller]
fn expect_rest(process: &Process) {
    let before = process.ticks();
    thread::sleep(Duration::from_secs(1));
    let ticks = process.ticks() - before;
    assert!(ticks <= 10, "it worked for {ticks} % of a second in which there was nothing to do");
}

#[test]
fn out_of_descriptors_it_rests_and_resumes_at_once() {
    let process = Process::start_limited("roomy", Some(64));
    let (mut served, waiting) = starve(&process);
    assert!(served.len() > 40, "only {} were served", served.len());
    expect_rest(&process);
    // Those who are in have their answers.
    for client in &mut served {
        client.get("/").expect(200, "hello");
    }
    let rounds = 100;
    expect_prompt(&take_turns(&process, served, waiting, rounds));
    let lines = process.logged("cannot accept");
    assert!((1..=rounds + 1).contains(&lines), "{lines} lines for {rounds} episodes");
    // The last that waited has been served, so there is room.
    let counted = process.connect().get("/starved").text().to_string();
    assert_eq!(counted, process.logged("cannot accept").to_string(), "the program knows, too");
}

#[test]
fn descriptors_that_files_took_are_as_good_when_they_are_free_again() {
    let process = Process::start_limited("roomy", Some(64));
    let mut greedy = process.connect();
    assert_ne!(greedy.get("/hold").text(), "0");
    let mut times: Vec<_> = (0..10)
        .map(|_| {
            let mut waiting = process.connect();
            waiting.ask("GET", "/");
            waiting.expect_silence(millis(60));
            let began = Instant::now();
            greedy.request("POST", "/release").expect(200, "true");
            waiting.read().expect(200, "hello");
            let time = began.elapsed();
            drop(waiting);
            // The descriptor goes to a file again when the server has seen that this one left.
            let deadline = Instant::now() + PATIENCE;
            while greedy.get("/counts").text().split(' ').nth(2) != Some("2") {
                assert!(Instant::now() < deadline, "the server does not see that it left");
            }
            greedy.get("/hold");
            time
        })
        .collect();
    times.sort();
    eprintln!("resumed after {:?}, at the most {:?}", times[5], times[9]);
    expect_prompt(&times);
}

/// With the defaults a reserve is left to files, and connections wait for each other.
#[test]
fn the_reserve_is_not_for_connections() {
    let process = Process::start_limited("defaults", Some(128));
    let (mut served, waiting) = {
        // From several addresses, so that the bound for one is not what is met.
        let most = 128 - 64;
        let mut others: Vec<_> =
            (0..most / 2).map(|_| connect_from(2, process.addr).unwrap()).collect();
        others.iter_mut().for_each(|other| other.write_all(GET).unwrap());
        let (served, waiting) = starve(&process);
        assert!((most / 2 - 1..=most / 2).contains(&served.len()), "{} served", served.len());
        expect_rest(&process);
        (served, waiting)
        // The others leave: that makes room, and the one that waits is served.
    };
    let mut waiting = waiting;
    waiting.read().expect(200, "hello");
    let files: usize = served[0].get("/hold").text().parse().unwrap();
    assert!(files >= 32, "only {files} descriptors were left to files");
}

/// A download takes two descriptors, and one address is not to have all.
#[test]
fn downloads_of_one_address_leave_descriptors_to_others() {
    let process = Process::start_limited("defaults", Some(160));
    // 96 connections, and so 72, and 32 descriptors more, for one address.
    let ask = |last| {
        let mut client = connect_from(last, process.addr).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut start = [0; 12];
        // There may be no room for the connection already.
        (client.read_exact(&mut start).is_ok() && start == *b"HTTP/1.1 200").then_some(client)
    };
    let [mut idle, _other] = [(); 2].map(|()| Client::over(connect_from(2, process.addr).unwrap()));
    let downloads: Vec<_> = std::iter::from_fn(|| ask(2)).take(160).collect();
    assert_eq!(downloads.len(), 51);
    // What keeps no file open is answered still.
    assert_eq!(idle.get("/file").status, 503);
    idle.request("HEAD", "/file").expect(200, "");
    idle.get("/known").expect(304, "");
    idle.get("/empty").expect(200, "");
    let mut other = ask(3).expect("another address has its own");
    other.read_exact(&mut [0; 1000]).unwrap();
    drop(downloads);
    wait_until("the files are closed", || ask(2).is_some());
}

#[test]
fn an_episode_without_room_is_one_line_in_the_log() {
    let process = Process::start_limited("defaults", Some(80));
    // The bound is 16, three quarters of which may come from one address.
    let others: Vec<_> = (0..8).map(|_| connect_from(2, process.addr).unwrap()).collect();
    let (mut served, mut waiting) = starve(&process);
    wait_until("it is logged", || process.logged("accept") > 0);
    drop(others);
    waiting.read().expect(200, "hello");
    served[0].get("/").expect(200, "hello");
    let lines = process.logged("cannot accept");
    assert_eq!(lines, 1);
}

/// Connections that are gone before they are accepted do not end the accepting.
#[test]
fn connections_that_left_the_queue_are_passed_over() {
    let process = Process::start("defaults");
    let start = process.counts();
    for _ in 0..3 {
        process.signal("STOP");
        for round in 0..200 {
            let mut client = process.connect();
            if round % 2 == 0 {
                client.send(GET);
            }
            if round % 3 > 0 {
                reset(client);
            }
        }
        process.signal("CONT");
        process.connect().get("/").expect(200, "hello");
    }
    process.expect_back(start, PATIENCE);
}

// Slow clients.

#[test]
fn thousands_that_stall_are_shed_while_others_are_answered() {
    let process = Process::start("hasty");
    let start = process.counts();
    let prober = Prober::start(process.addr);
    let halves: [&[u8]; 4] = [
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ];
    let mut stalled: Vec<_> = (0..affordable(3000))
        .map(|number| {
            let mut client = process.connect();
            client.send(halves[number % halves.len()]);
            client
        })
        .collect();
    process.expect_back(start, PATIENCE);
    prober.expect_calm("thousands that stall");
    for client in stalled.iter_mut().step_by(7) {
        let answer = client.read();
        answer.expect_failure(408);
        client.expect_end();
    }
}

/// Measures what each of `count` clients costs while they have sent `bytes` and wait.
#[track_caller]
fn cost(process: &Process, count: usize, bytes: &[u8]) -> usize {
    // The buffers of the loop are there from the first ones on.
    let first = stall(process, 16, bytes);
    let before = process.memory();
    let clients = stall(process, count, bytes);
    let cost = process.memory().saturating_sub(before) / count;
    eprintln!("{} bytes for each that sent {}", cost, bytes.len());
    drop((first, clients));
    cost
}

fn stall(process: &Process, count: usize, bytes: &[u8]) -> Vec<Client> {
    // The server may not have seen yet that others have left.
    let looks = (0..5).map(|_| {
        thread::sleep(millis(10));
        process.sockets()
    });
    let start = looks.min().unwrap();
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = process.connect();
            client.send(bytes);
            client
        })
        .collect();
    wait_until("they are accepted", || process.sockets() >= start + count);
    clients
}

#[test]
fn a_client_that_stalls_costs_a_kibibyte_and_what_it_sent() {
    let count = affordable(1500);
    let filler = "f".repeat(300);
    for half in [
        "GET / HTTP/1.1\r\nHost: a\r\nX-".to_string(),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-Filler: {filler}"),
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{filler}"),
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{filler}"
        ),
    ] {
        // What was freed by those before may be handed out again: each kind has a process.
        let process = Process::start("defaults");
        let cost = cost(&process, count, half.as_bytes());
        assert!(cost <= 1024 + half.len(), "{cost} bytes for each that sent {half}");
    }
}

/// Waits until nothing more is made for anybody.
#[track_caller]
fn wait_for_calm(process: &Process) {
    let made = || process.connect().get("/made").text().to_string();
    let deadline = Instant::now() + PATIENCE;
    let mut before = made();
    loop {
        thread::sleep(millis(200));
        let now = made();
        if now == before {
            return;
        }
        assert!(Instant::now() < deadline, "it goes on making what nobody reads");
        before = now;
    }
}

#[test]
fn a_client_that_does_not_read_costs_one_chunk() {
    let chunk = Config::default().max_output_bytes + PIECE;
    for (target, most) in [("/endless", 1024 + chunk), ("/large", 1024 + 256)] {
        let process = Process::start("defaults");
        let ask = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let clients = stall(&process, 4, ask.as_bytes());
        wait_for_calm(&process);
        let before = process.memory();
        let count = 20;
        let more = stall(&process, count, ask.as_bytes());
        wait_for_calm(&process);
        let cost = process.memory().saturating_sub(before) / count;
        eprintln!("{target}: {cost} bytes for each");
        // Pages that are only begun are counted whole.
        assert!(cost <= most + 4096, "{target}: {cost} bytes for each");
        drop((clients, more));
    }
}

/// Sends `bytes` again and again until they are not taken any more, or `most` have been.
fn pour(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    stream.set_write_timeout(Some(millis(300))).unwrap();
    let mut poured = 0;
    while poured < most {
        // A part of a write that timed out is of no interest: nothing follows it.
        match stream.write(bytes) {
            Ok(len) if len == bytes.len() => poured += len,
            _ => break,
        }
    }
    poured
}

#[test]
fn a_pipelining_client_that_does_not_read_has_256_kib_at_the_most() {
    for target in ["/", "/page", "/large"] {
        let process = Process::start("defaults");
        let ask = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(100);
        let connect = || {
            let stream = TcpStream::connect(process.addr).unwrap();
            // The less the kernel takes, the sooner the server has to.
            SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
            stream
        };
        let mut first = connect();
        pour(&mut first, ask.as_bytes(), 32 << 20);
        let before = process.memory();
        let mut clients: Vec<_> = (0..8).map(|_| connect()).collect();
        for client in &mut clients {
            pour(client, ask.as_bytes(), 32 << 20);
        }
        let cost = process.memory().saturating_sub(before) / clients.len();
        eprintln!("{target}: {cost} bytes for each");
        assert!(cost <= 256 << 10, "{target}: {cost} bytes for each");
        process.connect().get("/").expect(200, "hello");
    }
}

#[test]
fn fifty_endless_bodies_in_tiny_chunks_stay_within_2_mib() {
    for target in ["/echo", "/swallow", "/ignore"] {
        for chunk in ["1\r\nx\r\n", "2\r\nxx\r\n"] {
            // Chunks of two bytes are within the bounds for a body, and of that there may be 2 MiB.
            if (target, chunk.len()) == ("/echo", 7) {
                continue;
            }
            let process = Process::start("defaults");
            process.connect().send(GET);
            let head =
                format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut clients: Vec<_> = (0..50).map(|_| process.connect()).collect();
            clients.iter_mut().for_each(|client| client.send(&head));
            process.sockets();
            let before = process.memory();
            let mut most = 0;
            let batch = chunk.repeat(256);
            for _ in 0..160 {
                for client in &clients {
                    let mut stream = client.stream();
                    stream.set_nonblocking(true).unwrap();
                    // One that has had its answer, or is not read any more, is left as it is.
                    let _ = stream.write(batch.as_bytes());
                    stream.set_nonblocking(false).unwrap();
                }
                most = most.max(process.memory().saturating_sub(before));
            }
            eprintln!("{target} in {chunk:?}: {} KiB for all", most >> 10);
            assert!(most <= 2 << 20, "{target} in {chunk:?}: {most} bytes for all");
            process.connect().get("/").expect(200, "hello");
        }
    }
}

// Storms.

#[test]
fn storms_leave_nothing_behind() {
    let process = Process::start("defaults");
    let start = process.counts();
    let scripts: [&[u8]; 4] = [
        GET,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"GET /minute HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let prober = Prober::start(process.addr);
    for _ in 0..1000 {
        process.connect();
        reset(process.connect());
    }
    for script in scripts {
        for at in 0..=script.len() {
            let send = || {
                let mut client = process.connect();
                client.send(&script[..at]);
                client
            };
            reset(send());
            drop(send());
            // In the middle of an answer, too.
            let mut client = send();
            client.half_close();
            if at % 5 == 0 {
                reset(client);
            } else if !script.starts_with(b"GET /minute") {
                let (bytes, _) = client.read_all();
                let is_answered = bytes.starts_with(b"HTTP/1.1 200 ");
                assert_eq!(is_answered, at == script.len(), "{}", bytes.escape_ascii());
            }
        }
    }
    prober.expect_calm("storms");
    process.expect_back(start, millis(8000));
}

/// A request and the FIN behind it in one packet, and in two.
#[test]
fn a_half_close_after_the_request_gets_its_answer_every_time() {
    let process = Process::start("defaults");
    for round in 0..400 {
        let mut client = process.connect();
        let socket = SockRef::from(client.stream());
        // Held back until the end, which then goes with it.
        socket.set_tcp_cork(round % 2 == 0).unwrap();
        (&*socket).write_all(GET).unwrap();
        client.stream().shutdown(Shutdown::Write).unwrap();
        client.read().expect(200, "hello");
        client.expect_end();
    }
    // The same when the answer takes its time, and when there are several.
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let mut client = process.connect();
            SockRef::from(client.stream()).set_tcp_cork(true).unwrap();
            client.send(b"GET /sleep/50 HTTP/1.1\r\nHost: a\r\n\r\n");
            client.send(GET);
            client.half_close();
            client
        })
        .collect();
    for mut client in clients {
        client.read().expect(200, "done");
        client.read().expect(200, "hello");
        client.expect_end();
    }
}

/// Has clients ask, then leave in one way or the other, and expects that all is back within 6 s.
#[track_caller]
fn leave(scripts: &[&[u8]], count: usize) {
    let process = Process::start("defaults");
    let start = process.counts();
    for end in [reset, drop] {
        let mut clients = Vec::new();
        for number in 0..count {
            let mut client = process.connect();
            client.send(scripts[number % scripts.len()]);
            clients.push(client);
        }
        wait_until("they are accepted", || process.sockets() >= start[2] + count);
        process.connect().get("/").expect(200, "hello");
        clients.into_iter().for_each(end);
        // Six seconds, and what a busy machine adds.
        let time = process.expect_back(start, millis(8000));
        eprintln!("all is back after {time:?}");
    }
}

#[test]
fn a_thousand_that_leave_take_all_with_them() {
    leave(
        &[
            b"GET /minute HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /park HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /minute HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
        affordable(1000),
    );
}

/// A handler that does not read the content that its client has sent, or not in full.
#[test]
fn those_who_leave_unread_content_behind_take_all_with_them() {
    let large = format!(
        "POST /swallow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(150_000)
    );
    for script in [
        "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        "POST /swallow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        "POST /swallow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        &large,
    ] {
        eprintln!("{}", &script[..script.len().min(99)]);
        leave(&[script.as_bytes()], 20);
    }
}

// Fairness.

#[test]
fn futures_that_wake_themselves_for_ever_leave_others_their_turns() {
    let process = Process::start("defaults");
    let mut restless: Vec<_> = (0..20).map(|_| process.connect()).collect();
    restless.iter_mut().for_each(|client| client.ask("GET", "/restless"));
    wait_until("they are accepted", || process.sockets() >= 20);
    let prober = Prober::start(process.addr);
    // Timers and new connections have their turns as well.
    for _ in 0..20 {
        process.connect().get("/sleep/10").expect(200, "done");
    }
    prober.expect_calm("futures that wake themselves");
}

#[test]
fn streams_that_never_end_leave_others_their_turns() {
    let process = Process::start("defaults");
    let is_done = Arc::new(AtomicBool::new(false));
    let readers = [(); 3].map(|()| {
        let mut client = process.connect();
        client.ask("GET", "/endless");
        let (done, mut bytes) = (Arc::clone(&is_done), vec![0; 1 << 20]);
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                assert_ne!(Read::read(&mut client.stream(), &mut bytes).unwrap(), 0);
            }
        })
    });
    let prober = Prober::start(process.addr);
    for _ in 0..20 {
        process.connect().get("/sleep/10").expect(200, "done");
    }
    is_done.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    prober.expect_calm("streams that never end");
}

/// A stream that is always ready with nothing.
#[test]
fn streams_of_empty_pieces_leave_others_their_turns() {
    let process = Process::start("defaults");
    let mut client = process.connect();
    client.ask("GET", "/nothing");
    let answers = || {
        let mut other = process.connect();
        other.send(GET);
        other.stream().set_read_timeout(Some(2 * BEARABLE)).unwrap();
        matches!(other.stream().peek(&mut [0]), Ok(1))
    };
    for _ in 0..20 {
        assert!(answers(), "nobody else is answered");
    }
}

#[test]
fn clients_that_pipeline_for_ever_leave_others_their_turns() {
    let process = Process::start("defaults");
    let is_done = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..2)
        .flat_map(|_| {
            let stream = TcpStream::connect(process.addr).unwrap();
            let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
            let (done, batch) = (Arc::clone(&is_done), GET.repeat(1000));
            let writing = thread::spawn(move || {
                while !done.load(Ordering::Relaxed) && writer.write_all(&batch).is_ok() {}
                let _ = writer.shutdown(Shutdown::Both);
            });
            let reading = thread::spawn(move || {
                let mut bytes = vec![0; 1 << 20];
                while Read::read(&mut reader, &mut bytes).is_ok_and(|len| len > 0) {}
            });
            [writing, reading]
        })
        .collect();
    let prober = Prober::start(process.addr);
    for _ in 0..20 {
        process.connect().get("/sleep/10").expect(200, "done");
    }
    is_done.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    prober.expect_calm("clients that pipeline");
}

// Bounds.

#[test]
fn connections_are_bounded_in_all_and_for_each_address() {
    let process = Process::start("few");
    let mut own: Vec<_> = (0..4).map(|_| process.connect()).collect();
    own.iter_mut().for_each(|client| client.get("/").expect(200, "hello"));
    // One more from this address is closed at once, and costs those who are in nothing.
    for _ in 0..50 {
        let (bytes, _) = process.connect().read_all();
        assert_eq!(bytes, b"");
    }
    own.iter_mut().for_each(|client| client.get("/").expect(200, "hello"));
    // Another address has its own; then all are taken, and one more waits for its turn.
    let mut others: Vec<_> = (0..3).map(|_| connect_from(2, process.addr).unwrap()).collect();
    for (number, other) in others.iter_mut().enumerate() {
        other.write_all(GET).unwrap();
        other.set_read_timeout(Some(if number < 2 { PATIENCE } else { millis(200) })).unwrap();
        assert_eq!(other.peek(&mut [0]).is_ok(), number < 2, "number {number}");
    }
    let began = Instant::now();
    drop(own.pop());
    others[2].set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(others[2].peek(&mut [0]).unwrap(), 1);
    assert!(began.elapsed() < BEARABLE, "it took {:?}", began.elapsed());
}

#[test]
fn bodies_beyond_the_bound_for_all_are_answered_with_503() {
    let process = Process::start("narrow");
    let half = "x".repeat(350_000);
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n";
    let mut clients: Vec<_> = (0..2).map(|_| process.connect()).collect();
    for client in &mut clients {
        client.send(head);
        client.send(&half);
    }
    // They fit; this one does not, whatever it sends first.
    process.connect().get("/").expect(200, "hello");
    let mut client = process.connect();
    client.send(head);
    client.send(&half);
    client.send(&half);
    let answer = client.read();
    answer.expect_failure(503);
    answer.expect_close(true);
    drop((clients, client));
    wait_until("there is room again", || {
        let mut client = process.connect();
        client.send(head);
        client.send(&half);
        client.send(&half);
        client.read().status == 200
    });
}

/// Answers that wait are held as much as bodies are.
#[test]
fn requests_while_too_much_waits_for_others_are_answered_with_503() {
    let process = Process::start("narrow");
    let mut deaf = Vec::new();
    let before = process.memory();
    // More than all of them fit into what the kernel buffers.
    for _ in 0..16 {
        let stream = TcpStream::connect(process.addr).unwrap();
        SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
        let mut client = stream.try_clone().unwrap();
        client.write_all(&b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4)).unwrap();
        deaf.push((stream, client));
    }
    let is_shed = || {
        let mut client = process.connect();
        client.ask("GET", "/own");
        client.read().status == 503
    };
    wait_until("one is answered with 503", is_shed);
    // What takes no memory is answered still.
    process.connect().get("/").expect(200, "hello");
    let held = process.memory().saturating_sub(before);
    eprintln!("{} KiB held where 1 MiB may be", held >> 10);
    drop(deaf);
    wait_until("they are served again", || process.connect().get("/own").status == 200);
}

/// Halves of large heads are held as much as bodies are.
#[test]
fn half_heads_are_within_the_bound_for_all() {
    let process = Process::start("narrow");
    process.connect().get("/").expect(200, "hello");
    let before = process.memory();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Filler: {}", "x".repeat(30_000));
    // Fifteen times as much as there is room for.
    let mut clients: Vec<_> = (0..500).map(|_| process.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&head));
    // Those who are refused leave, which makes room for others: not each that comes late is refused.
    let is_answered = |client: &Client| {
        client.stream().set_nonblocking(true).unwrap();
        let is_answered = client.stream().peek(&mut [0]).is_ok();
        client.stream().set_nonblocking(false).unwrap();
        is_answered
    };
    wait_until("one is refused", || clients.iter().any(is_answered));
    clients.iter_mut().find(|client| is_answered(client)).unwrap().read().expect_failure(503);
    let held = process.memory().saturating_sub(before);
    eprintln!("{} KiB held where 1 MiB may be", held >> 10);
    // Beside what the connections and the allocator cost.
    assert!(held <= 4 << 20, "{held} bytes held where 1 MiB may be");
}

/// So are heads of requests whose content is still to come.
#[test]
fn heads_that_wait_for_content_are_within_the_bound_for_all() {
    let process = Process::start("narrow");
    let filler = "x".repeat(30_000);
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nX-Filler: {filler}\r\n");
    let head = format!("{head}Content-Length: 10\r\n\r\nx");
    let mut clients: Vec<_> = (0..50).map(|_| process.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&head));
    let mut last = process.connect();
    last.send(&head);
    last.read().expect_failure(503);
    process.connect().get("/").expect(200, "hello");
}

// Time.

/// Neither a tick nor a timer that was left behind wakes a server with nothing to do.
#[test]
fn idle_connections_wake_nobody() {
    let process = Process::start("defaults");
    let mut clients: Vec<_> = (0..affordable(1000)).map(|_| process.connect()).collect();
    clients.iter_mut().for_each(|client| client.get("/").expect(200, "hello"));
    thread::sleep(millis(300));
    let before = process.switches();
    // The bound for the first byte, which none of them has before it any more, is 15 s.
    thread::sleep(Duration::from_secs(16));
    assert_eq!(process.switches(), before, "times that a thread went to sleep again");
    clients[0].get("/").expect(200, "hello");
}

#[test]
fn a_process_that_was_paused_answers_what_came_meanwhile() {
    let process = Process::start("patient");
    // More than one look at the sockets brings.
    let mut clients: Vec<_> = (0..affordable(1200)).map(|_| process.connect()).collect();
    let mut slow = process.connect();
    slow.ask("GET", "/sleep/100");
    clients.iter_mut().for_each(|client| client.get("/").expect(200, "hello"));
    process.signal("STOP");
    // What they ask is there before their time is over, though nobody looks.
    clients.iter_mut().for_each(|client| client.ask("GET", "/"));
    let mut fresh = process.connect();
    fresh.ask("GET", "/");
    thread::sleep(millis(6500));
    process.signal("CONT");
    slow.read().expect(200, "done");
    fresh.read().expect(200, "hello");
    let lost = clients.iter_mut().filter(|client| {
        client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        !matches!(client.stream().peek(&mut [0]), Ok(1))
    });
    assert_eq!(lost.count(), 0, "requests were not answered");
    expect_rest(&process);
}

// Panics.

#[test]
fn panics_cost_nobody_else_anything() {
    let process = Process::start("defaults");
    let start = process.counts();
    let prober = Prober::start(process.addr);
    for _ in 0..20 {
        for (target, expected) in [
            ("/panic/handler", "HTTP/1.1 500 "),
            ("/panic/future", "HTTP/1.1 500 "),
            ("/panic/stream", "HTTP/1.1 200 "),
            ("/panic/end", "HTTP/1.1 200 "),
            ("/panic/trailers", "HTTP/1.1 200 "),
            ("/panic/drop", "HTTP/1.1 200 "),
            ("/panic/drop/future", "HTTP/1.1 500 "),
            ("/panic/callback", "HTTP/1.1 500 "),
            ("/panic/timeout", "HTTP/1.1 500 "),
            ("/error/panic", "HTTP/1.1 500 "),
        ] {
            let mut client = process.connect();
            client.ask("GET", target);
            client.half_close();
            let (bytes, _) = client.read_all();
            let text = bytes.escape_ascii().to_string();
            assert!(text.starts_with(expected), "{target}: {text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{target}: {text}");
            // What broke off in its content does not look whole.
            let is_whole = text.ends_with("\\r\\n0\\r\\n\\r\\n");
            let breaks = ["/panic/stream", "/panic/end", "/panic/trailers"].contains(&target);
            assert!(!(breaks && is_whole), "{target}: {text}");
        }
        // On one connection, too.
        let mut client = process.connect();
        client.get("/panic/handler").expect(500, "failed\n");
        client.get("/panic/task");
        client.get("/").expect(200, "hello");
        // A client that leaves has the future dropped, which panics.
        process.connect().ask("GET", "/panic/drop/future");
    }
    prober.expect_calm("panics");
    // The blocking pool keeps its threads, and they have no descriptors.
    process.expect_back(start, millis(8000));
}
