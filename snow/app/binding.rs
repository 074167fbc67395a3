//! Listening sockets before a loop has them: bound once, dealt out to the workers.

use crate::{
    Config, Error, ErrorKind, Result,
    net::{Endpoint, HAS_REUSE_PORT, ListenOptions},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
};
#[cfg(unix)]
use {
    crate::net::{SocketFile, UnixOptions},
    std::{os::unix::net::UnixListener, path::Path, sync::Arc},
};

/// A socket that listens.
pub(super) enum Bound {
    Tcp {
        listener: TcpListener,
        /// Whether it was handed to the process, and may be used after the process has ended.
        is_inherited: bool,
    },
    /// With its file, if that is the process's own.
    #[cfg(unix)]
    Unix(UnixListener, Option<Arc<SocketFile>>),
}

impl Bound {
    /// Returns another handle to the same socket, for another loop. A connection wakes all loops that
    /// sleep, and one of them gets it; with `SO_REUSEPORT` it wakes one.
    fn try_clone(&self) -> io::Result<Bound> {
        Ok(match self {
            Bound::Tcp { listener, is_inherited } => {
                Bound::Tcp { listener: listener.try_clone()?, is_inherited: *is_inherited }
            }
            #[cfg(unix)]
            Bound::Unix(listener, file) => Bound::Unix(listener.try_clone()?, file.clone()),
        })
    }
}

/// Gives each worker `first`, which listens.
pub(super) fn deal_out(first: Bound, workers: &mut [Vec<Bound>]) -> io::Result<()> {
    let (own, others) = workers.split_first_mut().expect("the configuration has a worker");
    for other in others {
        other.push(first.try_clone()?);
    }
    own.push(first);
    Ok(())
}

/// Gives each worker a listener on `addr`, and returns the address with the port that was taken.
pub(super) fn listen_tcp(
    config: &Config,
    addr: SocketAddr,
    only_v6: bool,
    workers: &mut [Vec<Bound>],
) -> io::Result<SocketAddr> {
    let mut options = ListenOptions {
        backlog: config.backlog,
        nodelay: config.nodelay,
        only_v6,
        ..ListenOptions::default()
    };
    let is_shared = HAS_REUSE_PORT && (config.workers > 1 || config.share_port);
    if is_shared && !config.share_port && addr.port() != 0 {
        // Sharing a port would hide that another program has it already.
        drop(options.listen(addr)?);
    }
    options.reuse_port = is_shared;
    let listen = |addr| {
        let listener = options.listen(addr)?;
        io::Result::Ok((listener.local_addr()?, Bound::Tcp { listener, is_inherited: false }))
    };
    let (addr, first) = listen(addr)?;
    if !is_shared {
        deal_out(first, workers)?;
        return Ok(addr);
    }
    let (own, others) = workers.split_first_mut().expect("the configuration has a worker");
    for other in others {
        other.push(listen(addr)?.1);
    }
    own.push(first);
    Ok(addr)
}

/// Listens on a Unix socket.
#[cfg(unix)]
pub(super) fn listen_unix(config: &Config, path: &Path, mode: Option<u32>) -> io::Result<Bound> {
    let options = UnixOptions { backlog: config.backlog, mode };
    let (listener, file) = options.listen(path)?;
    Ok(Bound::Unix(listener, file.map(Arc::new)))
}

/// Elsewhere there are none.
#[cfg(not(unix))]
pub(super) fn listen_unix(_: &Config, _: &std::path::Path, _: Option<u32>) -> io::Result<Bound> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

/// Takes the sockets that were handed to the process, once.
#[cfg(all(target_os = "linux", feature = "activation"))]
pub(super) fn inherited(config: &Config) -> Result<Vec<(Endpoint, Bound)>> {
    use std::{
        os::fd::OwnedFd,
        sync::atomic::{AtomicBool, Ordering},
    };

    /// The environment goes on naming the descriptors, but a second owner would close them under the first.
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);

    if IS_TAKEN.swap(true, Ordering::SeqCst) {
        return Err(Error::new(ErrorKind::Io, "the sockets of this process are taken already"));
    }
    let handed = sd_listen_fds::get()
        .map_err(|error| Error::new(ErrorKind::Io, "LISTEN_FDS is no number").caused_by(error))?;
    if handed.is_empty() {
        let fault =
            "no sockets were handed to this process: LISTEN_FDS and LISTEN_PID do not say so";
        return Err(Error::new(ErrorKind::Io, fault));
    }
    let mut adopted = Vec::new();
    // The first three are those that every process has.
    for (number, (_, fd)) in (3..).zip(handed) {
        // The duplicate is not inherited by programs that this one starts.
        match OwnedFd::try_clone(&fd.into_std()).and_then(|fd| adopt(fd, config)) {
            Ok(bound) => adopted.push(bound),
            // It may be for another part of the program: a socket of datagrams, say.
            Err(error) => log::warn!("descriptor {number} is no socket to serve on: {error}"),
        }
    }
    if adopted.is_empty() {
        let fault = "none of the descriptors that were handed over is a socket to serve on";
        return Err(Error::new(ErrorKind::Io, fault));
    }
    Ok(adopted)
}

/// Checks that what was handed over listens for streams.
#[cfg(all(target_os = "linux", feature = "activation"))]
fn adopt(fd: std::os::fd::OwnedFd, config: &Config) -> io::Result<(Endpoint, Bound)> {
    let refuse = |fault| Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
    let socket = socket2::Socket::from(fd);
    if socket.r#type()? != socket2::Type::STREAM || !socket.is_listener()? {
        return refuse("it does not listen");
    }
    let addr = socket.local_addr()?;
    if addr.is_unix() {
        let name = || String::from_utf8_lossy(addr.as_abstract_namespace().unwrap_or_default());
        let named = || Endpoint::unix(format!("\0{}", name()));
        let endpoint = addr.as_pathname().map_or_else(named, Endpoint::unix);
        return Ok((endpoint, Bound::Unix(socket.into(), None)));
    }
    let Some(addr) = addr.as_socket() else { return refuse("it is of another family") };
    socket.set_tcp_nodelay(config.nodelay)?;
    Ok((addr.into(), Bound::Tcp { listener: socket.into(), is_inherited: true }))
}

/// Without the feature, nothing is taken.
#[cfg(not(all(target_os = "linux", feature = "activation")))]
pub(super) fn inherited(_: &Config) -> Result<Vec<(Endpoint, Bound)>> {
    let fault = "`systemd:` needs Linux and the feature `activation`";
    Err(Error::new(ErrorKind::Config, fault))
}

/// Says that a string is no address, or that nobody knows the name.
pub(super) fn no_address(endpoint: &Endpoint, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidInput => {
            Error::new(ErrorKind::Config, format!("cannot listen: {error}"))
        }
        _ => {
            let fault = format!("cannot listen on {endpoint}: the name cannot be looked up");
            Error::new(ErrorKind::Io, fault).caused_by(error)
        }
    }
}

/// Makes the one line that a person can act on.
pub(super) fn cannot_listen(endpoint: &Endpoint, error: io::Error) -> Error {
    let advice = match (endpoint.is_unix(), error.kind()) {
        (false, io::ErrorKind::AddrInUse) => {
            "the address is in use: stop the program that has it, or choose another port"
        }
        (true, io::ErrorKind::AddrInUse) => {
            "the socket is in use: stop the program that has it, or choose another path"
        }
        (false, io::ErrorKind::PermissionDenied) => {
            "permission denied: choose a port from 1024 on, or allow this program lower ones"
        }
        (true, io::ErrorKind::PermissionDenied) => {
            "permission denied: choose a folder that this program may write to"
        }
        (true, io::ErrorKind::NotFound) => "there is no such folder",
        (true, io::ErrorKind::AlreadyExists) => "there is a file of that name, and it is no socket",
        (false, io::ErrorKind::AddrNotAvailable) => "this machine does not have that address",
        _ => {
            return Error::new(ErrorKind::Io, format!("cannot listen on {endpoint}"))
                .caused_by(error);
        }
    };
    Error::new(ErrorKind::Io, format!("cannot listen on {endpoint}: {advice}"))
}
