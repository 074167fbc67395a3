//! One holder at a time for a directory, be it in this process or in another.
//!
//! The standard library cannot lock a file before Rust 1.89. A datagram socket that is bound in the directory
//! does as well: a `connect` tells whether somebody holds it, and the kernel lets go of it with its
//! process. Each holder binds a name of its own, `<id>.lock`, and looks at the others after that: of two that
//! come at once, at least one sees the other. Such a name never comes to life again, so that whoever
//! finds it dead may remove it.
//!
//! Where there are no such sockets nothing is held. Nor does it tell of another machine on the same
//! network file system.

use std::io;

pub(super) use system::Lock;

/// What the names of sockets end with.
const SUFFIX: &str = ".lock";

fn held() -> io::Error {
    let reason = "it is in use by another process, or by another `Uploads` of this one";
    io::Error::new(io::ErrorKind::ResourceBusy, reason)
}

#[cfg(unix)]
mod system {
    use super::{super::id::UploadId, SUFFIX, held};
    use std::{
        fs::{self, File},
        io::{self, ErrorKind},
        os::{
            fd::AsRawFd,
            unix::{fs::FileTypeExt, net::UnixDatagram},
        },
        path::{self, Path, PathBuf},
    };

    /// Bytes of a path to the directory up to which that of a socket fits into its address.
    const MAX_PATH_BYTES: usize = 60;

    /// The directory, until this is dropped.
    pub(in super::super) struct Lock {
        /// Absolute, so that it stays true when the process changes its directory.
        path: PathBuf,
        _socket: UnixDatagram,
    }

    impl Lock {
        /// Takes a directory that nobody holds.
        pub(in super::super) fn take(dir: &Path) -> io::Result<Lock> {
            let dir = path::absolute(dir)?;
            let opened = File::open(&dir)?;
            let base = match dir.as_os_str().len() {
                ..=MAX_PATH_BYTES => dir.clone(),
                _ => PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())),
            };
            let name = format!("{}{SUFFIX}", UploadId::random()?);
            // The name is there before the socket answers to it: it is not seen until it does.
            let unfinished = format!("{name}.new");
            let socket = UnixDatagram::bind(base.join(&unfinished))?;
            let lock = Lock { path: dir.join(&name), _socket: socket };
            fs::rename(dir.join(unfinished), &lock.path)?;
            for other in sockets(&dir)?.filter(|other| *other != name) {
                if !is_held(&base.join(&other))? {
                    super::super::files::remove_if_there(&dir.join(other))?;
                } else if other.ends_with(SUFFIX) {
                    return Err(held());
                }
            }
            Ok(lock)
        }
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Returns the names of the sockets in a directory that are there to hold it.
    fn sockets(dir: &Path) -> io::Result<impl Iterator<Item = String>> {
        let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
        let sockets = entries
            .into_iter()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
        let names = sockets.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| {
            let id = name.strip_suffix(".new").unwrap_or(name).strip_suffix(SUFFIX);
            id.and_then(UploadId::parse).is_some()
        }))
    }

    /// Returns whether the process lives that has bound the socket.
    fn is_held(path: &Path) -> io::Result<bool> {
        match UnixDatagram::unbound()?.connect(path) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(false),
                _ => Err(error),
            },
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::{io, path::Path};

    /// Nothing: it is left to the operator that one process at a time has the directory.
    pub(in super::super) struct Lock;

    impl Lock {
        pub(in super::super) fn take(_: &Path) -> io::Result<Lock> {
            Ok(Lock)
        }
    }
}
