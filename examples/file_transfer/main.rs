//! Files over TCP, in either direction, that go on where they were interrupted.
//!
//! cargo run --example file_transfer server 127.0.0.1:9996 /srv/files
//!
//! cargo run --example file_transfer client localhost:9996 put big.iso     # press ^C half-way
//! cargo run --example file_transfer client localhost:9996 put big.iso     # and only the rest travels
//! cargo run --example file_transfer client localhost:9996 get big.iso /tmp
//!
//! `server ADDR FOLDER` takes `--max-bytes COUNT`, the size of the largest file that it receives; both
//! take `--stall SECONDS`, how long the peer may be silent (30). The server knows no folders below its
//! own, sends and overwrites regular files only, and asks nobody who he is.
//!
//! A file appears under its name when it is whole, its SHA-256 is right, and the disk has it; until then it
//! is `.NAME.part` beside it, which stays when a transfer breaks off, for whatever reason.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod folder;
#[cfg(unix)]
mod progress;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod transfer;

#[cfg(unix)]
fn main() -> snow::Result<()> {
    let args = std::env::args_os().skip(1).map(std::ffi::OsString::into_string);
    args::run(args.collect::<Result<_, _>>().map_err(|arg| format!("{arg:?} is not UTF-8"))?)
}

#[cfg(not(unix))]
fn main() {
    eprintln!("file_transfer knows the files of Unix only");
}

/// What the command line says.
#[cfg(unix)]
mod args {
    use crate::{client, server};
    use snow::{Error, Result};
    use std::{net::SocketAddr, time::Duration};

    const USAGE: &str = "usage: file_transfer server ADDR FOLDER [--max-bytes COUNT] | \
        client ADDR put FILE | client ADDR get NAME [FOLDER]   [--stall SECONDS]";

    pub(crate) fn run(mut args: Vec<String>) -> Result<()> {
        let env = env_logger::Env::default().default_filter_or("info");
        env_logger::Builder::from_env(env).init();
        let stall = take_option(&mut args, "--stall")?.unwrap_or(30).max(1);
        let max_bytes = take_option(&mut args, "--max-bytes")?;
        let stall = Duration::from_secs(stall);
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let (addr, errand) = match (&words[..], max_bytes) {
            (&["server", addr, folder], max_bytes) => {
                let addr: SocketAddr =
                    addr.parse().map_err(|_| format!("{addr:?} is no address"))?;
                let max_bytes = max_bytes.unwrap_or(u64::MAX);
                let store = server::Store { folder: folder.into(), stall, max_bytes };
                return snow::block_on(server::run(addr, store)).map_err(Error::other);
            }
            (&["client", addr, "put", file], None) => (addr, client::Errand::Put(file.into())),
            (&["client", addr, "get", name], None) => {
                (addr, client::Errand::Get(name.into(), ".".into()))
            }
            (&["client", addr, "get", name, folder], None) => {
                (addr, client::Errand::Get(name.into(), folder.into()))
            }
            _ => return Err(USAGE.into()),
        };
        snow::block_on(client::run(addr, errand, stall)).map_err(Error::other)
    }

    /// Takes an option with its number out of the arguments.
    fn take_option(args: &mut Vec<String>, name: &str) -> Result<Option<u64>> {
        let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(None) };
        let number = args.get(at + 1).and_then(|number| number.parse().ok());
        args.drain(at..args.len().min(at + 2));
        number.map(Some).ok_or_else(|| USAGE.into())
    }
}
