//! One upload on disk, for whoever holds its lease.
//!
//! The length of its file is its offset. Bytes are added at the end; what is acknowledged is synced before.
//! This relies on a file system that makes no length durable before the bytes it covers, as the journalling
//! ones do by default.

use super::{
    Upload,
    fields::{parse_metadata, parse_number},
    files::Part,
    id::UploadId,
    info::{Info, Kind},
    lease::Lease,
    refusal::Refusal,
    store::Store,
};
use crate::{http::LAST_DATE, rt::panic_message};
use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Bytes that may wait for the disk: so few that a sync is short, so many that it is rare.
const MAX_UNSYNCED_BYTES: u64 = 16 << 20;

/// Bytes that are copied before other jobs of the blocking pool have their turn.
const MAX_COPIED_BYTES: u64 = 4 << 20;

/// An upload whose files are open.
pub(super) struct Stored {
    store: Arc<Store>,
    info: Info,
    file: File,
    /// Bytes in the file.
    offset: u64,
    /// Bytes that were there when it was opened, or are synced since.
    durable: u64,
    // Given back when the files are closed.
    lease: Lease,
}

impl Stored {
    pub(super) fn new(
        store: Arc<Store>,
        lease: Lease,
        info: Info,
        mut file: File,
    ) -> io::Result<Stored> {
        let offset = file.seek(SeekFrom::End(0))?;
        Ok(Stored { store, info, file, offset, durable: offset, lease })
    }

    pub(super) fn info(&self) -> &Info {
        &self.info
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Closes the files.
    pub(super) fn into_lease(self) -> Lease {
        self.lease
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn is_complete(&self) -> bool {
        self.info.is_complete_at(self.offset)
    }

    /// Returns whether this is all that there will be, and no part of something else.
    fn is_whole(&self) -> bool {
        self.is_complete() && self.info.kind != Kind::Partial
    }

    /// Returns the offset that is never gone beyond.
    pub(super) fn end(&self) -> u64 {
        self.info.length.unwrap_or(self.store.limits.max_upload_bytes)
    }

    /// Returns until when the client may go on: a while after it last did, unless there is no more to do.
    pub(super) fn expires(&self) -> io::Result<Option<SystemTime>> {
        if self.is_whole() { Ok(None) } else { self.expiry(self.store.limits.expires_after) }
    }

    /// Returns whether the upload is to go. One that is whole stays until the program knows of it.
    pub(super) fn is_expired(&self) -> io::Result<bool> {
        let expires = match (self.is_whole(), self.info.is_finished) {
            (false, _) => self.expires()?,
            (true, false) => None,
            (true, true) => self.expiry(self.store.limits.completed_expire_after)?,
        };
        Ok(expires.is_some_and(|expires| expires <= SystemTime::now()))
    }

    /// Returns the time so long after the upload was written to; `None` is never.
    fn expiry(&self, after: Duration) -> io::Result<Option<SystemTime>> {
        let end_of_dates = SystemTime::UNIX_EPOCH + LAST_DATE;
        let written = self.file.metadata()?.modified()?;
        Ok(written.checked_add(after).filter(|&expiry| expiry <= end_of_dates))
    }

    /// Adds bytes at the end; when it fails, those are kept that were written.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        self.store.reserve(bytes.len() as u64)?;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(len) if len > 0 => {
                    self.offset += len as u64;
                    bytes = &bytes[len..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => {
                    self.store.release(bytes.len() as u64);
                    return Err(outcome.err().unwrap_or(ErrorKind::WriteZero.into()).into());
                }
            }
        }
        Ok(self.sync_if_due()?)
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        if self.offset - self.durable > MAX_UNSYNCED_BYTES { self.sync() } else { Ok(()) }
    }

    /// Makes the bytes durable.
    ///
    /// A sync that fails does so once: another would succeed, with the bytes lost. So they are given up.
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|_| {
            let _ = self.truncate(self.durable);
        })?;
        self.durable = self.offset;
        Ok(())
    }

    fn truncate(&mut self, offset: u64) -> io::Result<()> {
        self.file.set_len(offset)?;
        self.file.seek(SeekFrom::Start(offset))?;
        self.store.release(self.offset.saturating_sub(offset));
        self.offset = offset;
        self.durable = self.durable.min(offset);
        Ok(())
    }

    /// Gives up the bytes behind `offset`, whether on trial or not.
    pub(super) fn roll_back(&mut self, offset: u64) -> io::Result<()> {
        self.truncate(offset)?;
        self.sync()?;
        self.end_trial()
    }

    /// Puts the bytes on trial that come from now on: if nobody ends it, they were never there.
    pub(super) fn begin_trial(&self) -> io::Result<()> {
        self.store.files.write(self.lease.id(), Part::Trial, &self.offset.to_string())
    }

    /// Keeps the bytes for good.
    pub(super) fn pass_trial(&mut self) -> io::Result<()> {
        self.sync()?;
        self.end_trial()
    }

    fn end_trial(&self) -> io::Result<()> {
        self.store.files.remove(self.lease.id(), Part::Trial)
    }

    /// Ends the trial of an earlier process, which did not live to do so.
    pub(super) fn end_old_trial(&mut self) -> io::Result<()> {
        let Some(mark) = self.store.files.read(self.lease.id(), Part::Trial)? else {
            return Ok(());
        };
        match parse_number(&mark) {
            Some(offset) if offset <= self.offset => self.roll_back(offset),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "the mark of a trial is damaged")),
        }
    }

    /// Settles how many bytes there will be, `more` of which are about to come.
    pub(super) fn set_length(&mut self, length: u64, more: u64) -> Result<(), Refusal> {
        match self.info.length {
            Some(known) if known == length => return Ok(()),
            Some(_) => return Err(Refusal::new(400, "the length of an upload never changes")),
            None if length < self.offset => {
                return Err(Refusal::new(400, "the upload is longer already"));
            }
            None if more > length - self.offset => return Err(Refusal::too_long()),
            None if length > self.store.limits.max_upload_bytes => {
                return Err(Refusal::new(413, "the upload is larger than Tus-Max-Size"));
            }
            None => {}
        }
        self.rewrite(Info { length: Some(length), ..self.info.clone() })
    }

    fn rewrite(&mut self, info: Info) -> Result<(), Refusal> {
        self.store.files.write(self.lease.id(), Part::Info, &info.to_text())?;
        self.info = info;
        Ok(())
    }

    /// Adds the bytes of another upload behind `from`, as many as one job may; returns their number.
    pub(super) fn append(&mut self, part: &Stored, from: u64) -> Result<u64, Refusal> {
        let len = part.offset.saturating_sub(from).min(MAX_COPIED_BYTES);
        self.store.reserve(len)?;
        let mut source = &part.file;
        source.seek(SeekFrom::Start(from))?;
        let copied = io::copy(&mut source.take(len), &mut self.file);
        let grown = self.file.metadata()?.len() - self.offset;
        self.store.release(len.saturating_sub(grown));
        self.offset += grown;
        if copied? != len {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        self.sync_if_due()?;
        Ok(len)
    }

    /// Makes durable what an answer is about to say; when that is all there is to come, tells the
    /// program, once.
    pub(super) fn acknowledge(&mut self) -> Result<(), Refusal> {
        self.sync()?;
        if self.info.is_finished || !self.is_whole() {
            return Ok(());
        }
        let id = self.lease.id();
        if self.store.begin_report(id) {
            self.report();
        }
        match self.note_report() {
            Ok(()) => self.store.end_report(id),
            // The bytes are safe and the program knows: it is noted when somebody asks next.
            Err(refusal) => log::warn!("upload {id} cannot be marked as finished: {refusal:?}"),
        }
        Ok(())
    }

    fn note_report(&mut self) -> Result<(), Refusal> {
        let finished = Info { is_finished: true, ..self.info.clone() };
        if self.store.files.has_data(self.lease.id())? {
            return self.rewrite(finished);
        }
        // The program has taken the file away: there is nothing left to ask about.
        self.forget()?;
        self.info = finished;
        Ok(())
    }

    fn report(&self) {
        let Some(on_complete) = &self.store.hooks.on_complete else { return };
        let id = self.lease.id();
        let upload = Upload {
            id: id.to_string(),
            path: self.store.files.path(id, Part::Data),
            len: self.offset,
            metadata: parse_metadata(&self.info.metadata).unwrap_or_default(),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_complete(&upload))) {
            log::error!("on_complete panicked for upload {id}: {}", panic_message(&*panic));
        }
    }

    /// Removes the upload.
    pub(super) fn remove(self) -> Result<(), Refusal> {
        self.forget()
    }

    fn forget(&self) -> Result<(), Refusal> {
        self.store.files.remove_all(self.lease.id())?;
        self.store.forget(self.offset);
        Ok(())
    }

    /// Returns what an answer says.
    pub(super) fn state(&self) -> Result<State, Refusal> {
        let (id, info, offset) = (self.lease.id(), self.info.clone(), self.offset);
        Ok(State { id, info, offset, expires: self.expires()? })
    }
}

/// What an answer says of an upload.
pub(super) struct State {
    pub(super) id: UploadId,
    pub(super) info: Info,
    pub(super) offset: u64,
    pub(super) expires: Option<SystemTime>,
}
