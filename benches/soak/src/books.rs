//! A server in a process of its own, and what the books say of it.

use crate::client::Client;
use std::{
    env, fmt, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long what was left behind may take to go: every timeout of the server, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// What memory may grow by between two times of rest: what the allocator keeps in between.
const MEMORY_SLACK_KIB: usize = 4096;

pub(crate) struct Served {
    child: Child,
    pub(crate) addr: SocketAddr,
}

/// What lives in the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Books {
    tasks: usize,
    timers: usize,
    sockets: usize,
    descriptors: usize,
    memory_kib: usize,
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Books { tasks, timers, sockets, descriptors, memory_kib } = self;
        write!(
            f,
            "{tasks} tasks, {timers} timers, {sockets} sockets, {descriptors} descriptors, \
             {memory_kib} KiB"
        )
    }
}

impl Books {
    /// The same, for a comparison that memory has no part in.
    pub(crate) fn with_any_memory(self) -> Books {
        Books { memory_kib: usize::MAX - MEMORY_SLACK_KIB, ..self }
    }

    fn are_back(&self, start: &Books) -> bool {
        self.tasks <= start.tasks
            && self.timers <= start.timers
            && self.sockets <= start.sockets
            && self.descriptors <= start.descriptors
            && self.memory_kib <= start.memory_kib + MEMORY_SLACK_KIB
    }
}

impl Served {
    /// Starts this program as a server with so many descriptors.
    pub(crate) fn start(descriptors: usize) -> Result<Served, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new("sh")
            .args(["-c", &format!(r#"ulimit -n {descriptors}; exec "$0" serve"#)])
            .arg(program)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let addr = line.trim().parse().map_err(|_| "the server does not start")?;
        Ok(Served { child, addr })
    }

    /// Reads the books.
    pub(crate) fn books(&self) -> Result<Books, String> {
        let text = Client::connect(self.addr)?.get("/counts")?;
        let numbers: Vec<_> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [tasks, timers, sockets, descriptors] = numbers[..] else {
            return Err(format!("these are no books: {text}"));
        };
        Ok(Books { tasks, timers, sockets, descriptors, memory_kib: self.memory_kib()? })
    }

    fn memory_kib(&self) -> Result<usize, String> {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let rollup = fs::read_to_string(path).map_err(|_| "the server is gone")?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.ok_or("the memory is not in the books".to_string())
    }

    /// Waits until the books are as at the start.
    pub(crate) fn wait_until_back(&self, start: &Books) -> Result<Books, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let books = self.books()?;
            if books.are_back(start) {
                return Ok(books);
            }
            if Instant::now() > deadline {
                return Err(format!("the books do not agree:\n  then {start}\n  now  {books}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks the server to stop, which it is to do with success.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}")),
                None if Instant::now() > deadline => return Err("it does not stop".to_string()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
