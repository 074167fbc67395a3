//! A built example that runs, is heard, and is ended.

use crate::util::{PATIENCE, Spawned, example, wait_until};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How long a program may take that runs to its end: a thousand clients in a debug build.
const RUN: Duration = Duration::from_secs(120);

/// An example in the background, until it is dropped.
pub(crate) struct Program {
    child: Spawned,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    #[track_caller]
    pub(crate) fn start(name: &str, args: &[&str]) -> Program {
        let mut command = Command::new(example(name));
        command.args(args).env("RUST_LOG", "debug").stderr(Stdio::piped());
        let mut child = Spawned::new(&mut command);
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        Program { child, log }
    }

    /// Returns the first line of the log with `words` in it, once it is there.
    #[track_caller]
    pub(crate) fn logged(&self, words: &str) -> String {
        let find = || self.log.lock().unwrap().iter().find(|line| line.contains(words)).cloned();
        wait_until(&format!("{words:?} is logged"), || find().is_some());
        find().expect("it was there")
    }

    /// Returns the address that the program says behind `words`.
    #[track_caller]
    pub(crate) fn addr(&self, words: &str) -> SocketAddr {
        let line = self.logged(words);
        let said = &line[line.find(words).expect("it contains them") + words.len()..];
        let end = said.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
        let said = said[..end.unwrap_or(said.len())].trim_end_matches(':');
        said.parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
    }

    #[track_caller]
    pub(crate) fn listening(&self) -> SocketAddr {
        self.addr("listening on ")
    }

    /// Returns how much memory is the program's own and of no file.
    #[cfg(target_os = "linux")]
    pub(crate) fn anonymous_bytes(&self) -> usize {
        let map =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let line = map.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Asks the program to stop, and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.child.signal("TERM");
        self.child.ended_within(PATIENCE)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log.lock().unwrap();
            eprintln!("the program's log:\n{}", log[log.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// What a program left that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs an example to its end.
#[track_caller]
pub(crate) fn run(name: &str, args: &[&str]) -> Ended {
    run_command(Command::new(example(name)).args(args))
}

#[track_caller]
pub(crate) fn run_command(command: &mut Command) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Spawned::new(command);
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let code = child.ended_within(RUN).code();
    let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().expect("it is text"));
    Ended { code, stdout, stderr }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    })
}

/// A raw client of a server, whose every wait has a deadline.
pub(crate) struct Peer(pub(crate) BufReader<TcpStream>);

impl Peer {
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr) -> Peer {
        let stream = TcpStream::connect(addr).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Peer(BufReader::new(stream))
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Peer {
        self.tell(bytes);
        self
    }

    /// As [`send`](Peer::send), from where the peer is shared.
    #[track_caller]
    pub(crate) fn tell(&self, bytes: impl AsRef<[u8]>) {
        self.0.get_ref().write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Ends the sending side.
    pub(crate) fn end(&mut self) -> &mut Peer {
        self.0.get_mut().shutdown(std::net::Shutdown::Write).expect("still connected");
        self
    }

    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the server says a line in time");
        line
    }

    #[track_caller]
    pub(crate) fn exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).expect("the server says as much in time");
        bytes
    }

    /// Returns all until the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("the connection has not ended in time: {error}"),
        }
    }
}

/// Makes a request, and returns status and body.
#[track_caller]
pub(crate) fn http(addr: SocketAddr, request_line: &str, body: &str) -> (u16, String) {
    let len = body.len();
    let head = format!("{request_line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    let mut peer = Peer::connect(addr);
    peer.0.get_mut().set_read_timeout(Some(PATIENCE * 3)).unwrap();
    peer.send(format!("{head}Content-Length: {len}\r\n\r\n{body}"));
    let answer = String::from_utf8(peer.rest()).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.into())
}
