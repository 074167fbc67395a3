//! The programs of `examples/`, run as a user runs them, and never for longer than [`PATIENCE`].

use super::Spawned;
use std::{
    fs,
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something, looking every few milliseconds.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a program has printed so far.
#[derive(Clone, Default)]
struct Printed {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_over: Arc<AtomicBool>,
}

impl Printed {
    fn collect(mut pipe: impl Read + Send + 'static) -> Printed {
        let printed = Printed::default();
        let ours = printed.clone();
        thread::spawn(move || {
            let mut buf = [0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buf) {
                ours.bytes.lock().unwrap().extend_from_slice(&buf[..count]);
            }
            ours.is_over.store(true, Ordering::SeqCst);
        });
        printed
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

/// A program that runs; it is killed when this is dropped.
pub(crate) struct Program {
    child: Spawned,
    stdout: Printed,
    stderr: Printed,
}

/// What a program has left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// How many bytes of memory it was last seen to have had at most.
    pub(crate) peak_memory: u64,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Program {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Spawned::new(command);
        let stdout = Printed::collect(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Printed::collect(child.stderr.take().expect("stderr is a pipe"));
        Program { child, stdout, stderr }
    }

    /// Waits until a line with `words` is on standard error, and returns what follows them.
    #[track_caller]
    pub(crate) fn said(&self, words: &str) -> String {
        wait_for(words, || {
            let text = self.stderr.text();
            let line = text.split_inclusive('\n').find(|line| line.contains(words))?;
            let (_, rest) = line.strip_suffix('\n')?.split_once(words)?;
            Some(rest.to_string())
        })
    }

    /// Returns how often a line with `words` is on standard error.
    pub(crate) fn count_said(&self, words: &str) -> usize {
        self.stderr.text().lines().filter(|line| line.contains(words)).count()
    }

    /// Returns what is on standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns the address that a server says it listens on.
    #[track_caller]
    pub(crate) fn addr(&self) -> SocketAddr {
        self.said("listening on ").parse().expect("an address")
    }

    /// Connects to the server without the client.
    #[track_caller]
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Returns how many bytes of memory it has had at most; `None` when it has ended.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }

    /// Expects that it runs and has never had more than `most` bytes of memory.
    #[track_caller]
    pub(crate) fn expect_memory_below(&self, most: u64) {
        let peak = self.peak_memory().expect("it runs");
        assert!(peak < most, "{peak} bytes of memory");
    }

    /// Sends it a signal by name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let mut peak_memory = 0;
        let status = wait_for("the end of a program", || {
            peak_memory = self.peak_memory().unwrap_or(peak_memory);
            self.child.try_wait().unwrap()
        });
        for printed in [&self.stdout, &self.stderr] {
            wait_for("all it says", || printed.is_over.load(Ordering::SeqCst).then_some(()));
        }
        let stdout = self.stdout.bytes.lock().unwrap().clone();
        Finished { status, stdout, stderr: self.stderr.text(), peak_memory }
    }
}

impl Finished {
    /// Expects this exit status.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Finished {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// Expects this exit status, and these words on standard error.
    #[track_caller]
    pub(crate) fn expect_words(self, code: i32, words: &str) -> Finished {
        let finished = self.expect(code);
        assert!(finished.stderr.contains(words), "{words:?} is not in {:?}", finished.stderr);
        finished
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the output is UTF-8")
    }
}

/// Returns whether a process is there and not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Returns a frame behind a length of four bytes.
pub(crate) fn frame(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32 + 1).to_be_bytes();
    [&len[..], &[tag], content].concat()
}

/// Reads a frame: its tag, and its content. An error is the end, in whatever manner.
pub(crate) fn read_frame(mut stream: impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut content = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut content)?;
    let tag = content.remove(0);
    Ok((tag, content))
}
