//! The client: one command, whose output and status become this program's own.

use crate::protocol::{Frame, Frames};
use snow::{
    Result,
    net::{Framed, KeepAlive, TcpStream},
};
use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What the shell adds to the number of the signal that ended a command.
const SIGNALLED: u8 = 128;
const LATE: u8 = 124;
const FAILED: u8 = 125;

/// Has the server run a command, and returns what this program is to exit with.
pub(crate) async fn run(addr: &str, command: Vec<OsString>) -> Result<ExitCode> {
    let stream = TcpStream::connect_timeout(addr, CONNECT_LIMIT).await?;
    // A command may be silent for long, and a server that is gone as well.
    stream.set_keep_alive(Some(KeepAlive::default()))?;
    let mut frames = Framed::new(stream, Frames);
    frames.send(&Frame::Run(command)).await?;
    // Printing blocks the loop, which has nothing else to do; the server waits meanwhile.
    while let Some(frame) = frames.next().await {
        match frame? {
            Frame::Stdout(piece) => print(io::stdout().lock(), &piece)?,
            Frame::Stderr(piece) => print(io::stderr().lock(), &piece)?,
            Frame::Exited(status) => return Ok(status.into()),
            Frame::Killed(signal) => return Ok(SIGNALLED.saturating_add(signal).into()),
            Frame::Late(why) => return Ok(complain(&why, LATE)),
            Frame::Failed(why) => return Ok(complain(&why, FAILED)),
            Frame::Run(_) => return Err("the server wants a command run".into()),
        }
    }
    Err("the server left before the command ended".into())
}

fn print(mut output: impl Write, piece: &[u8]) -> io::Result<()> {
    output.write_all(piece)?;
    output.flush()
}

/// Says why there is no status of the command.
pub(crate) fn complain(why: &str, status: u8) -> ExitCode {
    eprintln!("remote_shell: {why}");
    status.into()
}

/// Says why this program, and not the command, has failed.
pub(crate) fn failed(why: &str) -> ExitCode {
    complain(why, FAILED)
}
