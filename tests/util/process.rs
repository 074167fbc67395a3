//! A server in a process of its own, whose log is read.

use super::{Client, PATIENCE, wait_until};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A process that serves; killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    /// What it has logged, as far as it has been read.
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it, and waits until its log says on which port of 127.0.0.1 it serves.
    pub(crate) fn spawn(command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
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

    /// Sends it a signal: `-TERM`, `-STOP`, …
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Returns how many lines of the log contain `words`.
    pub(crate) fn logged(&self, words: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for the end, and returns how it ended.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        // A test that fails has said why.
        if !thread::panicking() {
            ended.expect("it is killed and has ended");
        }
    }
}
