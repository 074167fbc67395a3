//! A command: a child process, what it says, how it ends, and that it ends.
//!
//! Its output comes over socket pairs, which the loop waits for as it does for any socket: a child that
//! says nothing costs no thread, one whose output nobody takes is stopped by a full socket, and a
//! descendant that never lets go of its end blocks nobody. (A program that opens `/dev/stdout` anew
//! will not like that it is a socket; one that writes to what it was given does not notice.)

use crate::protocol::{Frame, PIECE_BYTES};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use snow::{
    Bytes, Task,
    net::{ReadExt, UnixStream},
    race, timeout, unblock,
};
use std::{
    env,
    ffi::{OsStr, OsString},
    future::pending,
    io,
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream as StdUnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long after the end of a child nothing may come before that is all. Its own words have come by
/// then; what keeps the other end open is a descendant that has left the group.
const SILENCE: Duration = Duration::from_millis(200);

/// A command that runs. Dropping it kills the child and its process group.
pub(crate) struct Running {
    group: Group,
    outputs: [Output; 2],
    exit: Task<io::Result<ExitStatus>>,
    status: Option<io::Result<ExitStatus>>,
}

impl Running {
    /// Starts a program, with nothing to read, nothing in its environment but `PATH`, and a process
    /// group of its own.
    pub(crate) async fn start(program: OsString, args: Vec<OsString>) -> io::Result<Running> {
        let (stdout, childs_stdout) = StdUnixStream::pair()?;
        let (stderr, childs_stderr) = StdUnixStream::pair()?;
        let outputs = [Output::new(stdout, Frame::Stdout)?, Output::new(stderr, Frame::Stderr)?];
        // The child's ends are closed here when the child has them: else there would be no end of output.
        let group = unblock(move || Group::start(&program, &args, childs_stdout, childs_stderr));
        let group = group.await?;
        let exit = snow::spawn(unblock(group.waiting()));
        Ok(Running { group, outputs, exit, status: None })
    }

    /// Returns the number of the process.
    pub(crate) fn pid(&self) -> i32 {
        self.group.pid.as_raw_nonzero().get()
    }

    /// Waits for the next piece of output; `None` when all has come.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        while self.outputs.iter().any(|output| output.is_open) {
            // The one that speaks without end comes second every other time.
            self.outputs.swap(0, 1);
            let [one, two] = &mut self.outputs;
            let piece = race(one.next(), two.next());
            let event = if self.status.is_some() {
                timeout(SILENCE, piece).await.map_or(Event::Silence, Event::Piece)
            } else {
                let exit = &mut self.exit;
                race(async { Event::Piece(piece.await) }, async { Event::Exit(exit.await) }).await
            };
            match event {
                Event::Piece(Some(piece)) => return Some(piece),
                Event::Piece(None) => {}
                Event::Exit(status) => self.status = Some(status),
                Event::Silence => return None,
            }
        }
        None
    }

    /// Waits for the end of the command and says how it came.
    pub(crate) async fn end(mut self) -> io::Result<Frame> {
        let status = match self.status.take() {
            Some(status) => status?,
            None => (&mut self.exit).await?,
        };
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Frame::Exited(code as u8), // the system keeps eight bits
            (None, signal) => Frame::Killed(signal.unwrap_or_default() as u8),
        })
    }
}

enum Event {
    /// A piece of output, or the end of one of the two.
    Piece(Option<Frame>),
    Exit(io::Result<ExitStatus>),
    /// The child has ended, and nothing more comes.
    Silence,
}

/// One of the two things that a command says.
struct Output {
    stream: UnixStream,
    frame: fn(Bytes) -> Frame,
    buf: Box<[u8]>,
    is_open: bool,
}

impl Output {
    fn new(stream: StdUnixStream, frame: fn(Bytes) -> Frame) -> io::Result<Output> {
        let buf = vec![0; PIECE_BYTES].into();
        Ok(Output { stream: UnixStream::from_std(stream)?, frame, buf, is_open: true })
    }

    /// Waits for a piece; `None` is the end, after which it waits for ever.
    async fn next(&mut self) -> Option<Frame> {
        if !self.is_open {
            return pending().await;
        }
        match self.stream.read(&mut self.buf).await {
            Ok(count) if count > 0 => {
                Some((self.frame)(Bytes::copy_from_slice(&self.buf[..count])))
            }
            _ => {
                self.is_open = false;
                None
            }
        }
    }
}

/// A child with its process group.
struct Group {
    pid: Pid,
    /// `None` once it is reaped, when its number may be another's.
    child: Arc<Mutex<Option<Child>>>,
}

impl Group {
    fn start(
        program: &OsStr,
        args: &[OsString],
        stdout: StdUnixStream,
        stderr: StdUnixStream,
    ) -> io::Result<Group> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(OwnedFd::from(stdout)).stderr(OwnedFd::from(stderr));
        let child = command.process_group(0).spawn()?;
        Ok(Group { pid: Pid::from_child(&child), child: Arc::new(Mutex::new(Some(child))) })
    }

    /// Returns the work that waits for the child, kills what it leaves of its group, and reaps it. One
    /// thread of the blocking pool does that for each command, which is why commands are counted.
    fn waiting(&self) -> impl FnOnce() -> io::Result<ExitStatus> + Send + 'static {
        let (pid, child) = (self.pid, Arc::clone(&self.child));
        move || {
            // It stays a zombie until it has been taken, so that no kill can hit a stranger.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options))?;
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            kill(pid, child.as_mut());
            child.take().expect("it is reaped here and nowhere else").wait()
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(self.pid, self.child.lock().unwrap_or_else(PoisonError::into_inner).as_mut());
    }
}

/// Kills a child that has not been reaped, and its group: a child may have left that, and a group may
/// have lost its first process.
fn kill(pid: Pid, child: Option<&mut Child>) {
    let Some(child) = child else { return };
    // Neither is an error when there is nobody left.
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = child.kill();
}
