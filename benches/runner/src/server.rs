//! How each server is started: on cores of its own, ended should this process die.

use crate::{
    Result,
    nginx::Nginx,
    peers::{Origin, Peer},
};
use harness::{Server, free_port};
use std::{path::PathBuf, process::Command, thread};

/// A server that can be started: its program, and all it needs.
pub struct Program {
    pub peer: &'static Peer,
    pub path: PathBuf,
    /// The file behind `GET /file`.
    pub file: PathBuf,
}

impl Program {
    /// Starts the server on the first `threads` cores, with `routes` routes before the last, and waits until it
    /// accepts.
    pub fn start(&self, threads: usize, routes: usize) -> Result<Server> {
        let port = free_port();
        let mut command = self.command(port, threads, routes)?;
        command.env("BENCH_FILE", &self.file).env("BENCH_ROUTES", routes.to_string());
        command.env("RUST_LOG", "off");
        let server = Server::start(&mut command, port);
        server.map_err(|error| format!("{}: {error}", self.peer.name).into())
    }

    /// `taskset` pins, and `setpriv` has the kernel end the server should this process die.
    fn command(&self, port: u16, threads: usize, routes: usize) -> Result<Command> {
        let cores = format!("0-{}", threads.min(cores()) - 1);
        let mut command = Command::new("taskset");
        command.args(["-c", &cores, "setpriv", "--pdeathsig", "TERM"]).arg(&self.path);
        match self.peer.origin {
            Origin::Nginx => {
                let nginx = Nginx { port, threads, routes, file: &self.file };
                command.args(nginx.arguments()?);
            }
            Origin::Snow | Origin::Member => {
                command.args([port.to_string(), threads.to_string()]);
            }
        }
        Ok(command)
    }
}

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
