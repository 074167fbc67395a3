//! Commands over the network: programs of a list, no shell; output as it comes, and the status.
//!
//! cargo run --example remote_shell server 127.0.0.1:9997 --allow date,ls,head --limit 30
//!
//! cargo run --example remote_shell client localhost:9997 date -u
//! cargo run --example remote_shell client localhost:9997 ls -l / /nowhere 2>errors; echo $?
//! cargo run --example remote_shell client localhost:9997 head -c 10485760 /dev/zero | wc -c
//! cargo run --example remote_shell client localhost:9997 rm -rf /; echo $?   # 125: not on the list
//!
//! `server ADDR` takes `--allow NAME,…` (programs, by the exact word that a client says), `--limit
//! SECONDS` (after which a command and its process group are killed), `--at-once COUNT` (of commands),
//! and `--anywhere`, without which it listens on loopback only: it asks nobody who he is, and whoever
//! reaches it runs what is on the list. A list with a shell, `env` or `find` on it allows everything.
//!
//! `client ADDR PROGRAM ARGUMENT…` exits with the command's status; with 128 and the number of the signal
//! that killed it; with 124 when its time was over; with 125 when it was not run, or nobody knows how it
//! ended.
//!
//! A command is killed when its client leaves and when the server is told to stop. What it cannot be kept
//! from: leaving its process group, and outliving a server that is itself killed. A container can.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod command;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod server;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    args::run(std::env::args_os().skip(1).collect())
}

#[cfg(not(unix))]
fn main() {
    eprintln!("remote_shell knows the processes of Unix only");
}

/// What the command line says.
#[cfg(unix)]
mod args {
    use crate::{client, server};
    use snow::Result;
    use std::{ffi::OsString, net::SocketAddr, process::ExitCode, rc::Rc, time::Duration};

    const USAGE: &str = "usage: remote_shell server ADDR [--allow NAME,…] [--limit SECONDS] \
        [--at-once COUNT] [--anywhere] | client ADDR PROGRAM [ARGUMENT…]";

    /// Programs that tell little and change nothing.
    const ALLOWED: &str = "date,echo,uname,uptime";

    pub(crate) fn run(mut args: Vec<OsString>) -> ExitCode {
        let env = env_logger::Env::default().default_filter_or("info");
        env_logger::Builder::from_env(env).init();
        if args.len() < 2 {
            return client::failed(USAGE);
        }
        let rest = args.split_off(2);
        let outcome = match (args[0].to_str(), args[1].to_str()) {
            (Some("server"), Some(addr)) => serve(addr, &rest),
            (Some("client"), Some(addr)) if !rest.is_empty() => {
                snow::block_on(client::run(addr, rest))
            }
            _ => Err(USAGE.into()),
        };
        outcome.unwrap_or_else(|error| client::failed(&format!("{error:?}")))
    }

    fn serve(addr: &str, options: &[OsString]) -> Result<ExitCode> {
        let addr: SocketAddr = addr.parse().map_err(|_| format!("{addr:?} is no address"))?;
        let (shell, is_anywhere) = parse(options).ok_or(USAGE)?;
        if !is_anywhere && !addr.ip().is_loopback() {
            return Err(
                format!("{addr} is not loopback: --anywhere, if others are to reach it").into()
            );
        }
        snow::block_on(server::run(addr, shell))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reads the options of a server; `None` when they make no sense.
    fn parse(options: &[OsString]) -> Option<(server::Shell, bool)> {
        let names = |list: &str| list.split(',').map(OsString::from).collect();
        let mut shell = server::Shell {
            allowed: names(ALLOWED),
            limit: Duration::from_secs(60),
            at_once: 16,
            commands: Rc::default(),
        };
        let mut is_anywhere = false;
        let mut options = options.iter().map(|option| option.to_str());
        while let Some(option) = options.next() {
            match option? {
                "--anywhere" => is_anywhere = true,
                "--allow" => shell.allowed = names(options.next()??),
                "--limit" => shell.limit = Duration::from_secs(options.next()??.parse().ok()?),
                // A thread of the blocking pool waits for each.
                "--at-once" => {
                    shell.at_once = options.next()??.parse().ok()?;
                    (1..=snow::BLOCKING_THREADS / 2).contains(&shell.at_once).then_some(())?;
                }
                _ => return None,
            }
        }
        Some((shell, is_anywhere))
    }
}
