//! A server in a process of its own, whose log is read.

use super::{Client, PATIENCE, Spawned, wait_until};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

/// A process that serves; killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Spawned,
    pub(crate) addr: SocketAddr,
    /// What it has logged, as far as it has been read.
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it, and waits until its log says on which port of 127.0.0.1 it serves.
    pub(crate) fn spawn(command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Spawned::new(command);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (read, stderr) = (Arc::clone(&lines), child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                read.lock().unwrap().push(line.unwrap());
            }
        });
        let port = || {
            let lines = lines.lock().unwrap();
            let rest = lines.iter().find_map(|line| line.split_once("http://127.0.0.1:"))?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
        };
        wait_until("it says where it serves", || port().is_some());
        let addr = SocketAddr::from(([127, 0, 0, 1], port().unwrap()));
        Process { child, addr, lines }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Sends it a signal by name: `TERM`, `STOP`, …
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Returns how many lines of the log contain `words`.
    pub(crate) fn logged(&self, words: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for the end, and returns how it ended.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.ended_within(PATIENCE)
    }
}
