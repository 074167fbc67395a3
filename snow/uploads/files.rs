//! The files of a directory of uploads, and the order in which they reach the disk.
//!
//! An upload is `<id>` with its bytes and `<id>.info` with what else is known of it; it exists when both do.
//! `<id>.trial` is there while bytes await their checksum, and holds the offset behind which they begin.
//! Such small files are replaced as a whole: written under another name, synced, renamed, and the directory
//! synced. `<id>` is made before `<id>.info` and removed after it, so that a crash in between leaves nothing
//! but what [`tidy`](Files::tidy) throws away. Files with other names are left alone.

use super::{id::UploadId, lock::Lock};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

/// What a file of an upload holds.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Data,
    Info,
    Trial,
}

impl Part {
    fn suffix(self) -> &'static str {
        match self {
            Part::Data => "",
            Part::Info => ".info",
            Part::Trial => ".trial",
        }
    }
}

/// What the name of a small file ends with before it is all there.
const UNFINISHED: &str = ".new";

/// Bytes of a small file: more than a request head can ask to be kept.
const MAX_SMALL_BYTES: u64 = 128 * 1024;

/// A directory of uploads.
pub(super) struct Files {
    dir: PathBuf,
    _lock: Lock,
}

impl Files {
    /// Makes the directory if there is none, and takes it.
    pub(super) fn open(dir: PathBuf) -> io::Result<Files> {
        owners_dir().create(&dir)?;
        warn_if_wide(&dir)?;
        Ok(Files { _lock: Lock::take(&dir)?, dir })
    }

    pub(super) fn path(&self, id: UploadId, part: Part) -> PathBuf {
        self.dir.join(format!("{id}{}", part.suffix()))
    }

    /// Makes the file for the bytes of a new upload.
    pub(super) fn create_data(&self, id: UploadId) -> io::Result<File> {
        owners_file().write(true).create_new(true).open(self.path(id, Part::Data))
    }

    /// Opens the bytes of an upload, to read them and to add to them; `None` when there are none.
    pub(super) fn open_data(&self, id: UploadId) -> io::Result<Option<File>> {
        let path = self.path(id, Part::Data);
        if !is_file(&path)? {
            return Ok(None);
        }
        OpenOptions::new().read(true).write(true).open(path).map(Some)
    }

    /// Returns whether the bytes of an upload are where they belong.
    pub(super) fn has_data(&self, id: UploadId) -> io::Result<bool> {
        is_file(&self.path(id, Part::Data))
    }

    /// Reads a small file; `None` when it is not there.
    pub(super) fn read(&self, id: UploadId, part: Part) -> io::Result<Option<String>> {
        let path = self.path(id, part);
        if !is_file(&path)? {
            return Ok(None);
        }
        let mut text = String::new();
        File::open(path)?.take(MAX_SMALL_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Writes a small file, which is there in full or not at all, whatever happens.
    pub(super) fn write(&self, id: UploadId, part: Part, text: &str) -> io::Result<()> {
        let path = self.path(id, part);
        let unfinished = self.dir.join(format!("{id}{}{UNFINISHED}", part.suffix()));
        remove_if_there(&unfinished)?;
        let mut file = owners_file().write(true).create_new(true).open(&unfinished)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })?;
        self.sync()
    }

    /// Removes a file if it is there.
    pub(super) fn remove(&self, id: UploadId, part: Part) -> io::Result<()> {
        remove_if_there(&self.path(id, part))?;
        self.sync()
    }

    /// Removes an upload: it is gone before its bytes are, and those on trial never pass for others.
    pub(super) fn remove_all(&self, id: UploadId) -> io::Result<()> {
        self.remove(id, Part::Info)?;
        remove_if_there(&self.path(id, Part::Trial))?;
        self.remove(id, Part::Data)
    }

    /// Returns the uploads that there are.
    pub(super) fn ids(&self) -> io::Result<Vec<UploadId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(Part::Info.suffix()));
            ids.extend(id.and_then(UploadId::parse));
        }
        Ok(ids)
    }

    /// Removes what a crash has left half made or half removed.
    pub(super) fn tidy(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((id, suffix)) = name.to_str().and_then(|name| name.split_at_checked(32))
            else {
                continue;
            };
            let Some(id) = UploadId::parse(id) else { continue };
            let has = |part| is_file(&self.path(id, part));
            let is_left_over = match suffix {
                "" | ".trial" => !has(Part::Info)?,
                ".info" => !has(Part::Data)?,
                _ => matches!(suffix.strip_suffix(UNFINISHED), Some(".info" | ".trial")),
            };
            if is_left_over {
                remove_if_there(&entry.path())?;
            }
        }
        self.sync()
    }

    /// Makes names durable: those that were added and those that were removed.
    fn sync(&self) -> io::Result<()> {
        // Elsewhere a directory cannot be opened, and needs no such thing.
        if cfg!(unix) { File::open(&self.dir)?.sync_all() } else { Ok(()) }
    }
}

/// What makes directories that nobody but their owner looks into.
fn owners_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// What makes files that nobody but their owner reads.
#[cfg(unix)]
pub(super) fn owners_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(not(unix))]
pub(super) fn owners_file() -> OpenOptions {
    OpenOptions::new()
}

/// Says so when others may list the names of uploads: whoever knows one may delete it.
#[cfg(unix)]
fn warn_if_wide(dir: &Path) -> io::Result<()> {
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(dir)?);
    if mode & 0o077 != 0 {
        let (dir, mode) = (dir.display(), mode & 0o777);
        log::warn!("{dir} is open to other users ({mode:03o}): uploads are safer with 700");
    }
    Ok(())
}

#[cfg(not(unix))]
fn warn_if_wide(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns whether there is a plain file; a link is none, wherever it leads.
fn is_file(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
