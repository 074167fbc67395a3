//! What the tests share: a server on a free port, a raw client that trusts nothing, expectations.
//!
//! Every wait has a deadline, [`PATIENCE`]; nothing sleeps and hopes.

#![allow(dead_code, unused_imports, reason = "every test crate uses only a part of it")]

mod answer;
mod chance;
pub(crate) mod cuts;
mod example;
mod folder;
mod on_loop;
mod process;
pub(crate) mod program;
mod spawned;

pub(crate) use answer::Answer;
pub(crate) use chance::{Chance, noise};
pub(crate) use example::example;
pub(crate) use folder::Folder;
pub(crate) use on_loop::{listen, pair, read_all, run};
pub(crate) use process::Process;
pub(crate) use spawned::Spawned;

use snow::{Running, Snow};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Mutex, Once},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Serves `app` in the background on a free port of 127.0.0.1, until it is dropped.
#[track_caller]
pub(crate) fn serve(app: Snow) -> Running {
    app.bind("127.0.0.1:0").expect("the app is bound").start().expect("the app is started")
}

/// Waits until `condition` holds, looking every millisecond.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct IntoLogged;

impl Write for IntoLogged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Collects what this process logs from now on, debug lines included: all of its tests together.
pub(crate) fn collect_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let target = env_logger::Target::Pipe(Box::new(IntoLogged));
        env_logger::builder().filter_level("debug".parse().unwrap()).target(target).init();
    });
}

/// Returns the lines that have been logged and contain `words`.
pub(crate) fn logged(words: &str) -> Vec<String> {
    let bytes = LOGGED.lock().unwrap().clone();
    let text = String::from_utf8(bytes).expect("the log is UTF-8");
    text.lines().filter(|line| line.contains(words)).map(String::from).collect()
}

/// A way for bytes to arrive; it must make no difference to the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    Whole,
    /// Each byte by itself.
    Bytewise,
    /// In two parts, the first of so many bytes.
    Split(usize),
    /// In one write with a request before it, whose answer is taken off.
    Glued,
}

/// The request that a glued script arrives with.
const NEIGHBOUR: &[u8] = b"GET / HTTP/1.1\r\nHost: neighbour\r\n\r\n";

/// Sends `script` in every way it can arrive, each on a connection of its own, and has `check` look
/// at the answers.
#[track_caller]
pub(crate) fn in_every_arrival(addr: SocketAddr, script: &[u8], check: impl Fn(&mut Client)) {
    let splits = (1..script.len()).map(Arrival::Split);
    for arrival in [Arrival::Whole, Arrival::Bytewise, Arrival::Glued].into_iter().chain(splits) {
        eprintln!("sent {arrival:?}:"); // Shown when the test fails.
        let mut client = Client::connect(addr);
        client.send_as(arrival, script);
        check(&mut client);
    }
}

/// A raw connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// What has been read and not been taken.
    received: Vec<u8>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("connects");
        stream.set_nodelay(true).expect("has TCP_NODELAY");
        stream.set_write_timeout(Some(PATIENCE)).expect("has a write timeout");
        Client::over(stream)
    }

    /// Takes a connection that was made in another way.
    pub(crate) fn over(stream: TcpStream) -> Client {
        Client { stream, received: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes. A server that has had enough may close meanwhile: its answer tells.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match self.stream.write_all(bytes.as_ref()) {
            Err(error) if !is_end(&error) => panic!("cannot send: {error}"),
            _ => {}
        }
    }

    #[track_caller]
    pub(crate) fn send_as(&mut self, arrival: Arrival, script: &[u8]) {
        match arrival {
            Arrival::Whole => self.send(script),
            Arrival::Bytewise => script.chunks(1).for_each(|byte| self.send(byte)),
            Arrival::Split(at) => {
                self.send(&script[..at]);
                self.send(&script[at..]);
            }
            Arrival::Glued => {
                self.send([NEIGHBOUR, script].concat());
                self.read();
            }
        }
    }

    /// Sends a request without content.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, target: &str) {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    /// Sends a request without content and reads the answer.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, target: &str) -> Answer {
        self.ask(method, target);
        self.read_to(method)
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target)
    }

    /// Reads one answer, be it an interim one; what follows stays for the next call.
    #[track_caller]
    pub(crate) fn read(&mut self) -> Answer {
        self.read_to("GET")
    }

    /// Reads one answer to a request of `method`: that to `HEAD` has no content.
    #[track_caller]
    pub(crate) fn read_to(&mut self, method: &str) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        let mut is_end = false;
        loop {
            match answer::parse(&self.received, method == "HEAD", is_end) {
                Ok(Some((answer, len))) => {
                    self.received.drain(..len);
                    return answer;
                }
                Ok(None) if !is_end => {
                    let read = self.fill(deadline);
                    is_end = read.unwrap_or_else(|error| self.fail(&format!("{error}"))) == 0;
                }
                Ok(None) => self.fail("the connection ended"),
                Err(fault) => self.fail(&fault),
            }
        }
    }

    #[track_caller]
    fn fail(&self, fault: &str) -> ! {
        panic!("no proper answer: {fault}; received {:?}", self.received.escape_ascii().to_string())
    }

    /// Reads what comes next, until the deadline; 0 is the end.
    fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut bytes = [0; 64 * 1024];
        let len = self.stream.read(&mut bytes)?;
        self.received.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    /// Returns every byte up to the end of the connection, and whether that was a reset.
    #[track_caller]
    pub(crate) fn read_all(&mut self) -> (Vec<u8>, bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.fill(deadline) {
                Ok(0) => return (std::mem::take(&mut self.received), false),
                Ok(_) => {}
                Err(error) if is_end(&error) => return (std::mem::take(&mut self.received), true),
                Err(error) => self.fail(&format!("{error}")),
            }
        }
    }

    /// Expects an orderly end and nothing before it.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let (rest, is_reset) = self.read_all();
        assert_eq!(rest.escape_ascii().to_string(), "", "nothing more was to come");
        assert!(!is_reset, "the connection was reset");
    }

    /// Expects that nothing comes and the connection stays, for `duration`.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self, duration: Duration) {
        match self.fill(Instant::now() + duration) {
            Ok(0) => panic!("the connection ended"),
            Err(error) if is_timeout(&error) => {}
            Err(error) => panic!("the connection broke: {error}"),
            Ok(_) => self.fail("something came"),
        }
    }

    /// Ends the sending side.
    #[track_caller]
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("ends the sending side");
    }

    /// Waits until there is something to read, leaves it unread and closes, which makes a reset.
    #[track_caller]
    pub(crate) fn reset(self) {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("has a read timeout");
        let unread = self.stream.peek(&mut [0]).expect("there is something to leave unread");
        assert_eq!(unread, 1, "the connection ended");
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
