//! A server process: started on a port of its own, ended whatever happens.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A server under a tracer is fifty times slower.
const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// A tracer writes its report when the server has ended.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(5);
/// Below the ports that clients are given, so that none of them is taken by chance.
const FIRST_PORT: u16 = 20_000;

/// A running server.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts `command`, without input or output, and waits until it accepts connections on `port`.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be started, ends at once, or does not accept in time.
    pub fn start(command: &mut Command, port: u16) -> io::Result<Server> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Server { child: command.process_group(0).spawn()?, port };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.child.try_wait()?.is_some() {
                return Err(io::Error::other("the server ends instead of listening"));
            }
            if started.elapsed() > START_PATIENCE {
                return Err(io::Error::other("the server does not accept connections"));
            }
            thread::sleep(GLANCE);
        }
        Ok(server)
    }

    /// Returns the id of the process, which is that of its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks it to end, and waits until it has, with all it had to write.
    ///
    /// # Errors
    ///
    /// Fails when it does not end in time; it is killed then.
    pub fn stop(mut self) -> io::Result<()> {
        self.signal(Signal::TERM);
        if self.ends_within(REPORT_PATIENCE)? {
            return Ok(());
        }
        Err(io::Error::other("the server does not stop"))
    }

    fn ends_within(&mut self, patience: Duration) -> io::Result<bool> {
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > patience {
                return Ok(false);
            }
            thread::sleep(GLANCE);
        }
        Ok(true)
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
        // Ended and waited for, its id may be somebody else's.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::TERM);
        if !matches!(self.ends_within(STOP_PATIENCE), Ok(true)) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Returns a port that nobody has; each one only once, so that no server meets the connections of
/// the one before it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST_PORT);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
