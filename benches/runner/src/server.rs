//! A server process: started on a core of its own, ended whatever happens.

use crate::{
    Result,
    nginx::Nginx,
    peers::{Origin, Peer},
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

const START_PATIENCE: Duration = Duration::from_secs(5);
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Below the ports that clients are given, so that none of them is taken by chance.
const FIRST_PORT: u16 = 20_000;

/// A server that can be started: its program, and all it needs.
pub struct Program {
    pub peer: &'static Peer,
    pub path: PathBuf,
    /// The file behind `GET /file`.
    pub file: PathBuf,
}

pub struct Server {
    child: Child,
    pub port: u16,
}

impl Program {
    /// Starts the server on the first `threads` cores and waits until it accepts.
    pub fn start(&self, threads: usize) -> Result<Server> {
        let port = free_port();
        let mut command = self.command(port, threads)?;
        command
            .env("BENCH_FILE", &self.file)
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let server = Server { child: command.spawn()?, port };
        server.wait_until_it_accepts(self.peer.name)?;
        Ok(server)
    }

    /// `taskset` pins, and `setpriv` has the kernel end the server should this process die.
    fn command(&self, port: u16, threads: usize) -> Result<Command> {
        let cores = format!("0-{}", threads.min(cores()) - 1);
        let mut command = Command::new("taskset");
        command.args(["-c", &cores, "setpriv", "--pdeathsig", "TERM"]).arg(&self.path);
        match self.peer.origin {
            Origin::Nginx => {
                let nginx = Nginx { port, threads, file: &self.file };
                command.args(nginx.arguments()?);
            }
            Origin::Snow | Origin::Member => {
                command.args([port.to_string(), threads.to_string()]);
            }
        }
        Ok(command)
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_accepts(&self, name: &str) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if started.elapsed() > START_PATIENCE {
                return Err(format!("{name} does not accept connections").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            // It may have ended already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_PATIENCE {
                self.signal(Signal::KILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Returns a port that nobody has; each one only once, so that no server meets the connections of
/// the one before it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST_PORT);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
