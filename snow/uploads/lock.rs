//! One holder at a time for a directory, be it in this process or in another.
//!
//! It is a lock on a file that is there for nothing else, and stays when it is let go: a file that is removed
//! may be locked by one who still has it open while another makes it anew. The system lets go of it with its
//! process, however that ends.

use super::files::owners_file;
#[cfg(unix)]
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// The name of the file.
const NAME: &str = ".lock";

/// The directory, until this is dropped.
pub(super) struct Lock {
    #[cfg_attr(not(unix), expect(dead_code, reason = "it is held by being open"))]
    file: File,
}

impl Lock {
    /// Takes a directory that nobody holds.
    pub(super) fn take(dir: &Path) -> io::Result<Lock> {
        let mut options = owners_file();
        match take(options.write(true).create(true), &dir.join(NAME)) {
            Ok(Some(file)) => Ok(Lock { file }),
            Ok(None) => {
                let reason = "it is in use by another process, or by another `Uploads` of this one";
                Err(io::Error::new(io::ErrorKind::ResourceBusy, reason))
            }
            Err(error) => Err(error),
        }
    }
}

/// A process that is just being started has the file open as well, until it has its own program.
#[cfg(unix)]
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Opens a file for one alone; `None` when somebody has it.
#[cfg(unix)]
fn take(options: &mut OpenOptions, path: &Path) -> io::Result<Option<File>> {
    let file = options.open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(windows)]
fn take(options: &mut OpenOptions, path: &Path) -> io::Result<Option<File>> {
    use std::os::windows::fs::OpenOptionsExt;

    /// `ERROR_SHARING_VIOLATION`
    const IS_SHARED: i32 = 32;
    match options.share_mode(0).open(path) {
        Err(error) if error.raw_os_error() == Some(IS_SHARED) => Ok(None),
        opened => opened.map(Some),
    }
}
