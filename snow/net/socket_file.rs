//! The file of a Unix socket: made with its permissions, taken over when nobody listens there any more,
//! and removed if it is still ours.

use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
        },
    },
    path::{self, Path, PathBuf},
    thread,
    time::Duration,
};

/// How long another program may take from its bind to its listen.
const STARTING: Duration = Duration::from_millis(50);

/// The file of a socket that is bound, removed when this is dropped.
///
/// It is checked before that it is still ours: another program may have put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// Absolute, so that it stays true when the process changes its directory.
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from a later one of the same name. An inode number alone is soon used again.
#[derive(PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    number: u64,
    made: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            number: metadata.ino(),
            made: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        let identity = Identity::of(&fs::symlink_metadata(path)?);
        Ok(SocketFile { path: path::absolute(path)?, identity })
    }

    /// Removes the file if it is there and ours; true when it was.
    pub(crate) fn remove(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        let is_ours = found.is_ok_and(|found| Identity::of(&found) == self.identity);
        is_ours && fs::remove_file(&self.path).is_ok()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Returns whether `path` is an abstract name, which only Linux has and no file.
fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().first() == Some(&0)
}

/// Returns the address of the socket at `path`.
///
/// # Errors
///
/// `InvalidInput` when it is too long, is empty, for which Linux would choose a name, or has a zero byte in
/// it, at which the system would take it to end.
pub(super) fn address(path: &Path) -> io::Result<SockAddr> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || (!is_abstract(path) && bytes.contains(&0)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no path of a socket"));
    }
    SockAddr::unix(path)
}

/// Makes a socket that does not block and has the name `path`, and its file, if it is one.
///
/// At no moment is the socket open to more than `mode` allows. Nobody can connect to a stream socket before
/// it listens, which is after this. For a datagram socket Linux makes the file with the mode of the socket
/// itself, less the umask, so that setting it afterwards only adds to it. A changed umask would be that of
/// the whole process.
pub(super) fn bind(
    kind: Type,
    path: &Path,
    mode: Option<u32>,
) -> io::Result<(Socket, Option<SocketFile>)> {
    let addr = address(path)?;
    let mut socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    if is_abstract(path) {
        if mode.is_some() {
            let fault = "an abstract name has no permissions";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
        }
        socket.bind(&addr)?;
        return Ok((socket, None));
    }
    if let Some(mode) = mode {
        socket = with_mode(socket, mode);
    }
    match socket.bind(&addr) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, kind)?;
            socket.bind(&addr)?;
        }
        outcome => outcome?,
    }
    let file = SocketFile::of(path)?;
    if let Some(mode) = mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok((socket, Some(file)))
}

/// Sets the mode that the file of a socket will have, where the system supports that.
fn with_mode(socket: Socket, mode: u32) -> Socket {
    let file = File::from(OwnedFd::from(socket));
    let _ = file.set_permissions(Permissions::from_mode(mode));
    OwnedFd::from(file).into()
}

/// Removes the file of a socket that nobody has open any more.
///
/// Two programs that find the same file at the same moment may both take it over; the later one has it
/// then. A program that takes longer than [`STARTING`] from its bind to its listen may lose its file, too.
/// Where that can happen, the programs need a lock of their own.
///
/// # Errors
///
/// `AddrInUse` when somebody has; `AlreadyExists` when it is no socket.
fn remove_stale(path: &Path, kind: Type) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(()); // It is gone already.
    };
    if !found.file_type().is_socket() {
        let fault = "there is a file of that name, and it is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, fault));
    }
    if is_live(path, kind)? || is_about_to_be(path, kind)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    // What was found dead is what is removed.
    if !(SocketFile { path: path.to_path_buf(), identity: Identity::of(&found) }.remove()) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(())
}

/// Looks once more, a little later: a socket that is bound and does not listen yet looks dead.
///
/// This blocks, but only where a file was left behind.
fn is_about_to_be(path: &Path, kind: Type) -> io::Result<bool> {
    if kind != Type::STREAM {
        return Ok(false);
    }
    thread::sleep(STARTING);
    is_live(path, kind)
}

/// The operation is not permitted, to anybody: not to be confused with EACCES.
const EPERM: i32 = 1;

/// Returns whether somebody has the socket at `path` open.
///
/// # Errors
///
/// `PermissionDenied` when that is not for this process to know.
fn is_live(path: &Path, kind: Type) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&address(path)?) {
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            // Of a socket of datagrams that is connected elsewhere it says EPERM, which std takes for the same.
            io::ErrorKind::PermissionDenied if error.raw_os_error() != Some(EPERM) => Err(error),
            // A full queue, or a socket of another kind.
            _ => Ok(true),
        },
        Ok(()) => Ok(true),
    }
}
