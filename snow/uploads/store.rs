//! All uploads of a directory: how many and how large they may be, and when they go.

use super::{
    Hooks,
    files::{Files, Part},
    id::UploadId,
    info::Info,
    lease::{Lease, Leases},
    refusal::Refusal,
    stored::Stored,
};
use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How much a directory takes; see [`Uploads`](super::Uploads).
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) max_upload_bytes: u64,
    pub(super) max_total_bytes: u64,
    pub(super) max_uploads: usize,
    pub(super) max_metadata_bytes: usize,
    pub(super) expires_after: Duration,
    pub(super) completed_expire_after: Duration,
}

/// Uploads that are made of others at a time; beyond, 503.
const MAX_JOINS: usize = 4;

/// A directory of uploads, shared by all workers.
pub(super) struct Store {
    pub(super) files: Files,
    pub(super) limits: Limits,
    pub(super) hooks: Hooks,
    pub(super) leases: Arc<Leases>,
    totals: Mutex<Totals>,
}

/// What there is, as far as this process knows: it is alone with the directory.
#[derive(Default)]
struct Totals {
    bytes: u64,
    uploads: usize,
    /// Whether a task looks for what has expired.
    is_swept: bool,
    /// How many uploads are being made of others.
    joins: usize,
    /// What has been reported as complete and whose record does not say so yet.
    reported: HashSet<UploadId>,
}

impl Totals {
    /// Returns how many bytes there are with so many more, if there may be.
    fn bytes_with(&self, more: u64, limits: &Limits) -> Result<u64, Refusal> {
        let sum = self.bytes.checked_add(more);
        sum.filter(|&sum| sum <= limits.max_total_bytes).ok_or_else(Refusal::no_room)
    }
}

impl Store {
    /// Opens a directory: tidies up, counts, removes what has expired, and reports what was completed
    /// by a process that did not live to report it.
    pub(super) fn open(dir: PathBuf, limits: Limits, hooks: Hooks) -> io::Result<Arc<Store>> {
        let store = Arc::new(Store {
            files: Files::open(dir)?,
            limits,
            hooks,
            leases: Arc::default(),
            totals: Mutex::default(),
        });
        store.files.tidy()?;
        for id in store.files.ids()? {
            if let Err(refusal) = store.take_up(id) {
                log::warn!("upload {id} is left as it is: {refusal:?}");
            }
        }
        Ok(store)
    }

    /// Takes up an upload of an earlier process.
    fn take_up(self: &Arc<Store>, id: UploadId) -> Result<(), Refusal> {
        let Some(lease) = self.leases.try_take(id) else { return Ok(()) };
        let mut stored = self.open_as_left(lease)?;
        let mut totals = self.totals();
        totals.uploads += 1;
        totals.bytes = totals.bytes.saturating_add(stored.offset());
        drop(totals);
        stored.end_old_trial()?;
        if stored.is_expired()? {
            return stored.remove();
        }
        if stored.is_complete() { stored.acknowledge() } else { Ok(()) }
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for more bytes; they count until they are [given back](Store::release).
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), Refusal> {
        let mut totals = self.totals();
        totals.bytes = totals.bytes_with(bytes, &self.limits)?;
        Ok(())
    }

    /// Gives bytes back that are not stored, or not any more.
    pub(super) fn release(&self, bytes: u64) {
        let mut totals = self.totals();
        totals.bytes = totals.bytes.saturating_sub(bytes);
    }

    /// Says that an upload is gone.
    pub(super) fn forget(&self, bytes: u64) {
        self.release(bytes);
        let mut totals = self.totals();
        totals.uploads = totals.uploads.saturating_sub(1);
    }

    /// Returns whether an upload is still to be reported; it is not from now on.
    pub(super) fn begin_report(&self, id: UploadId) -> bool {
        self.totals().reported.insert(id)
    }

    /// Says that the record of an upload tells now that it was reported.
    pub(super) fn end_report(&self, id: UploadId) {
        self.totals().reported.remove(&id);
    }

    /// Says that an upload is being made of others, unless too many are.
    pub(super) fn begin_joining(self: &Arc<Store>) -> Result<Joining, Refusal> {
        let mut totals = self.totals();
        if totals.joins >= MAX_JOINS {
            return Err(Refusal::new(503, "enough uploads are being joined"));
        }
        totals.joins += 1;
        Ok(Joining(Arc::clone(self)))
    }

    /// Makes an upload without bytes.
    ///
    /// A length that there is no room for now is refused now. It is not set aside, however, not for a moment:
    /// whoever could lock up room by asking for it would need no bytes to keep others out.
    pub(super) fn create(self: &Arc<Store>, info: Info) -> Result<Stored, Refusal> {
        let mut totals = self.totals();
        totals.bytes_with(info.length.unwrap_or(0), &self.limits)?;
        if totals.uploads >= self.limits.max_uploads {
            return Err(Refusal::no_room());
        }
        totals.uploads += 1;
        drop(totals);
        self.create_files(info).inspect_err(|_| self.forget(0))
    }

    fn create_files(self: &Arc<Store>, info: Info) -> Result<Stored, Refusal> {
        let id = UploadId::random()?;
        let lease = self.leases.try_take(id).ok_or_else(Refusal::locked)?;
        let made = self.files.create_data(id).and_then(|file| {
            file.sync_all()?;
            self.files.write(id, Part::Info, &info.to_text())?;
            Stored::new(Arc::clone(self), lease, info, file)
        });
        Ok(made.inspect_err(|_| {
            // What is left over is removed at the next start.
            let _ = self.files.remove_all(id);
        })?)
    }

    /// Opens an upload.
    pub(super) fn load(self: &Arc<Store>, lease: Lease) -> Result<Stored, Refusal> {
        let stored = self.open_upload(lease)?;
        if stored.is_expired()? { Err(Refusal::expired()) } else { Ok(stored) }
    }

    /// Opens an upload, expired or not, with only those of its bytes that are off trial.
    fn open_upload(self: &Arc<Store>, lease: Lease) -> Result<Stored, Refusal> {
        let mut stored = self.open_as_left(lease)?;
        stored.end_old_trial()?;
        Ok(stored)
    }

    /// Opens an upload with all of its bytes, those on trial too.
    fn open_as_left(self: &Arc<Store>, lease: Lease) -> Result<Stored, Refusal> {
        let id = lease.id();
        let text = self.files.read(id, Part::Info)?.ok_or_else(Refusal::unknown)?;
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{id}.info is damaged"));
        let info = Info::parse(&text).ok_or_else(damaged)?;
        let Some(file) = self.files.open_data(id)? else {
            self.forget_taken(id, &info)?;
            return Err(Refusal::unknown());
        };
        Ok(Stored::new(Arc::clone(self), lease, info, file)?)
    }

    /// Gives up an upload whose bytes the program has taken away since it was told of them.
    fn forget_taken(&self, id: UploadId, info: &Info) -> io::Result<()> {
        self.files.remove_all(id)?;
        self.end_report(id);
        // How much there was of one that was not complete is not known any more: it counts on.
        self.forget(info.length.filter(|_| info.is_finished).unwrap_or(0));
        Ok(())
    }

    /// Removes what has expired, or was taken away, and nobody works on.
    pub(super) fn sweep(self: &Arc<Store>) -> io::Result<()> {
        for id in self.files.ids()? {
            let Some(lease) = self.leases.try_take(id) else { continue };
            let swept = self
                .open_upload(lease)
                .and_then(|stored| if stored.is_expired()? { stored.remove() } else { Ok(()) });
            if let Err(refusal) = swept.or_else(Refusal::pass_unknown) {
                log::warn!("upload {id} is not swept away: {refusal:?}");
            }
        }
        Ok(())
    }

    /// Returns whether there is something to sweep and nobody who does; whoever asks does from now on.
    pub(super) fn begin_sweeping(&self) -> bool {
        let mut totals = self.totals();
        totals.uploads > 0 && !std::mem::replace(&mut totals.is_swept, true)
    }

    /// Says that nobody sweeps any more.
    pub(super) fn end_sweeping(&self) {
        self.totals().is_swept = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.totals().uploads == 0
    }
}

/// One of the few uploads that are being made of others.
pub(super) struct Joining(Arc<Store>);

impl Drop for Joining {
    fn drop(&mut self) {
        self.0.totals().joins -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uploads::info::Kind;
    use std::{
        env, fs,
        io::Write,
        process,
        thread::{self, ScopedJoinHandle},
    };

    /// Opens a directory of its own, with room for 100 bytes.
    fn open(name: &str, max_uploads: usize) -> (Arc<Store>, PathBuf) {
        let dir = env::temp_dir().join(format!("snow-uploads-{name}-{}", process::id()));
        let limits = Limits {
            max_upload_bytes: 100,
            max_total_bytes: 100,
            max_uploads,
            max_metadata_bytes: 0,
            expires_after: Duration::MAX,
            completed_expire_after: Duration::MAX,
        };
        (Store::open(dir.clone(), limits, Hooks::default()).unwrap(), dir)
    }

    /// An upload that is to have 100 bytes.
    fn hundred() -> Info {
        let metadata = String::new();
        Info { length: Some(100), kind: Kind::Whole, metadata, is_finished: false }
    }

    #[test]
    fn a_length_that_is_asked_for_takes_no_room_from_bytes_that_come() {
        // No uploads, so that no files are made.
        let (store, dir) = open("room", 0);
        let asks = || {
            for _ in 0..20_000 {
                assert!(store.create(hundred()).is_err(), "there is room for none");
            }
        };
        let refused = thread::scope(|scope| {
            let asking = [scope.spawn(asks), scope.spawn(asks)];
            let mut refused = 0;
            while !asking.iter().all(ScopedJoinHandle::is_finished) {
                match store.reserve(1) {
                    Ok(()) => store.release(1),
                    Err(_) => refused += 1,
                }
            }
            refused
        });
        fs::remove_dir_all(dir).unwrap();
        assert_eq!(refused, 0);
    }

    #[test]
    fn what_an_earlier_process_left_on_trial_makes_no_room_for_others() {
        let (store, dir) = open("left", 10);
        for (bytes, trial_from) in [(60, None), (50, Some("10"))] {
            let id = UploadId::random().unwrap();
            store.files.create_data(id).unwrap().write_all(&[b'x'; 60][..bytes]).unwrap();
            store.files.write(id, Part::Info, &hundred().to_text()).unwrap();
            if let Some(offset) = trial_from {
                store.files.write(id, Part::Trial, offset).unwrap();
            }
            store.take_up(id).unwrap();
        }
        let (too_much, rest) = (store.reserve(31), store.reserve(30));
        fs::remove_dir_all(dir).unwrap();
        assert!(too_much.is_err() && rest.is_ok(), "60 and 10 of 100 are taken");
    }
}
