//! Files of one folder: what may be named, what is read, what is half there. All of this blocks.
//!
//! What has come of `name` lies in `.name.part` beside it, locked while it is written, and gets its name
//! when it is whole: whoever opens the name finds the old file or the new one, and nothing in between. A
//! name that begins with a dot is refused, so nobody can ask for such a file.

use crate::protocol::{Digest, PIECE_BYTES};
use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use snow::Bytes;
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Systems stop at 255, and the name of what is half there has six more.
const NAME_BYTES: usize = 240;

/// Where a file of this name lies, if it is one that stays in the folder.
pub(crate) fn path_of(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let is_plain = |char: char| !char.is_control() && char != '/' && char != '\\';
    let fault = match name {
        "" => "a file needs a name",
        _ if name.len() > NAME_BYTES => "the name is longer than 240 bytes",
        _ if name.starts_with('.') => "a name must not begin with a dot",
        _ if !name.chars().all(is_plain) => "a name must have no separator or control character",
        _ => return Ok(folder.join(name)),
    };
    Err(io::Error::new(ErrorKind::InvalidInput, fault))
}

/// Opens what is a regular file and no link to one, and waits for nobody at the end of a pipe.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
        if is_link { not_regular() } else { error }
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    Ok((file, metadata))
}

fn not_regular() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}

/// Says what was being done.
fn doing(what: &str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    move |error| io::Error::new(error.kind(), format!("cannot {what} {name:?}: {error}"))
}

/// A file, read or written from its start, with the SHA-256 of what has passed.
pub(crate) struct Hashed {
    file: File,
    hasher: Sha256,
    position: u64,
}

impl Hashed {
    fn new(file: File) -> Hashed {
        Hashed { file, hasher: Sha256::new(), position: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finalize()
    }

    /// Reads up to a piece that ends at `end` at the latest.
    pub(crate) fn read(&mut self, end: u64) -> io::Result<Bytes> {
        let most = end.saturating_sub(self.position).min(PIECE_BYTES as u64);
        let mut piece = Vec::with_capacity(most as usize);
        (&self.file).take(most).read_to_end(&mut piece)?;
        if piece.is_empty() && most > 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        self.pass(&piece);
        Ok(piece.into())
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.pass(piece);
        Ok(())
    }

    fn pass(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.position += piece.len() as u64;
    }

    /// Goes back to the start.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.hasher.reset();
        self.position = 0;
        Ok(())
    }
}

/// A file that is there to be sent.
pub(crate) struct Source {
    pub(crate) hashed: Hashed,
    pub(crate) size: u64,
    modified: SystemTime,
}

impl Source {
    pub(crate) fn open(path: &Path) -> io::Result<Source> {
        let opened = open(OpenOptions::new().read(true), path).and_then(|(file, metadata)| {
            let hashed = Hashed::new(file);
            Ok(Source { hashed, size: metadata.len(), modified: metadata.modified()? })
        });
        opened.map_err(doing("read", path))
    }

    /// Fails if the file is not what it was: what was sent may be of two versions then.
    pub(crate) fn check_unchanged(&self) -> io::Result<()> {
        let metadata = self.hashed.file.metadata()?;
        if (metadata.len(), metadata.modified()?) != (self.size, self.modified) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the file changed while it was sent",
            ));
        }
        Ok(())
    }
}

/// A file that is half there. It is locked, against other processes too, until it is dropped.
pub(crate) struct Partial {
    pub(crate) hashed: Hashed,
    /// How much of it was there.
    pub(crate) len: u64,
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    /// Opens what is there of `target`, or begins it.
    ///
    /// `WouldBlock` means that somebody else is writing it.
    pub(crate) fn open(target: PathBuf) -> io::Result<Partial> {
        Partial::try_open(&target).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => error,
            _ => doing("write", &target)(error),
        })
    }

    fn try_open(target: &Path) -> io::Result<Partial> {
        match fs::symlink_metadata(target) {
            Ok(metadata) if !metadata.is_file() => return Err(not_regular()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.part"));
        let mut options = OpenOptions::new();
        let (file, metadata) = open(options.read(true).write(true).create(true), &path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Before it was locked, it may have been given its name: it is no partial file any more then.
        let named = fs::symlink_metadata(&path);
        if !named.is_ok_and(|named| (named.dev(), named.ino()) == (metadata.dev(), metadata.ino()))
        {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = file.metadata()?.len();
        Ok(Partial { hashed: Hashed::new(file), len, path, target: target.to_path_buf() })
    }

    /// Throws away what is there.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.len = 0;
        self.hashed.file.set_len(0).and_then(|()| self.hashed.rewind())
    }

    pub(crate) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hashed.write(piece).map_err(doing("write", &self.target))
    }

    /// Opens what has the name already, if it is as long as what is offered.
    pub(crate) fn existing(&self, size: u64) -> Option<Hashed> {
        let (file, metadata) = open(OpenOptions::new().read(true), &self.target).ok()?;
        (metadata.len() == size).then(|| Hashed::new(file))
    }

    /// Gives the file its name, and returns when the disk has it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let file = &self.hashed.file;
        let named = file.sync_all().and_then(|()| fs::rename(&self.path, &self.target));
        named.and_then(|()| self.sync_folder()).map_err(doing("finish", &self.target))
    }

    /// Leaves the name to what has it, and returns when the disk has that.
    pub(crate) fn keep(&mut self, existing: &Hashed) -> io::Result<()> {
        let synced = existing.file.sync_all().and_then(|()| self.discard());
        synced.and_then(|()| self.sync_folder()).map_err(doing("finish", &self.target))
    }

    /// Has the disk know the names of the folder.
    fn sync_folder(&self) -> io::Result<()> {
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Removes the file: nothing that follows could make it right.
    pub(crate) fn discard(&mut self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
