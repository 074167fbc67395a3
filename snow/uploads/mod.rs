//! Uploads that resume after whatever broke them off, as the protocol [tus 1.0.0] has it; feature `uploads`.
//!
//! [`Uploads`] makes routes for a directory. Clients are there for most languages; `curl` will do, see
//! `examples/uploads.rs`. Of the protocol there is the core and the extensions creation (with a deferred
//! length, with content), expiration, checksum (SHA-1, SHA-256), termination and concatenation.
//!
//! **What is kept.** An offset that was answered is on disk, synced: it survives the end of the process, and
//! a power cut as far as the disk keeps what it is told to. What arrives before a client breaks off is kept
//! too, unless it came with a checksum, which only the whole can be checked against. A request that is too
//! long for its upload adds nothing.
//!
//! **What it costs.** Content is written to disk as it arrives, on the blocking pool, one piece of at most
//! 64 KiB at a time; while the disk writes, less than 100 KiB are taken from the client. The limits are on
//! by default: see [`Uploads`]. Timeouts and the least rate of content are those of [`Config`](crate::Config),
//! but for [`handler_timeout`](crate::Config::handler_timeout): an upload may take as long as it moves.
//!
//! **Who may.** Whoever knows the URL of an upload may add to it and delete it. It has 128 bits of the
//! system's generator, and nothing lists it. Who may do more or less than that is the program's to say, with
//! [`Uploads::authorize`].
//!
//! **One at a time.** Requests for one upload are done one after the other. One that finds another at work
//! waits for it for three seconds, then it is answered 423; the other gives way if its client sends nothing
//! for a second. One `Uploads` of one process at a time has the directory: another is refused by
//! [`routes`](Uploads::routes) until the routes of the first are dropped. That is seen to on one machine: on a
//! network file system it may be left to the operator.
//!
//! **Who else.** The directory is made for its owner alone (0700), and so are the files in it (0600). One
//! that is there already is taken as it is; if others may look into it, the log has a warning.
//!
//! [tus 1.0.0]: https://tus.io/protocols/resumable-upload

mod base64;
mod checksum;
mod concat;
mod fields;
mod files;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod id;
mod info;
mod lease;
mod lock;
mod receive;
mod refusal;
mod serve;
mod store;
mod stored;
mod sweep;

use crate::{Error, ErrorKind, Request, Result, Route, route};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{Limits, Store};

/// A directory that clients upload files to.
///
/// # Examples
///
/// ```
/// use snow::{Snow, mount, uploads::{Upload, Uploads}};
///
/// fn keep(upload: &Upload) {
///     let name = format!("{}.kept", upload.id()); // and not a name that the client chose
///     std::fs::rename(upload.path(), upload.path().with_file_name(name)).expect("is renamed");
/// }
///
/// # let dir = std::env::temp_dir().join(format!("snow-uploads-doc-{}", std::process::id()));
/// let uploads = Uploads::new(&dir).max_upload_bytes(100 << 20).on_complete(keep);
/// let server = Snow::new([mount("/files", uploads.routes()?)]).bind("127.0.0.1:0")?;
/// # drop(server);
/// # std::fs::remove_dir_all(dir)?;
/// # Ok::<(), snow::Error>(())
/// ```
#[must_use = "uploads are received by the routes that this makes"]
pub struct Uploads {
    dir: PathBuf,
    limits: Limits,
    hooks: Hooks,
}

/// What the program has a say in.
#[derive(Default)]
struct Hooks {
    authorize: Option<Authorize>,
    on_complete: Option<OnComplete>,
}

type Authorize = Box<dyn Fn(&Request) -> Result<()> + Send + Sync>;
type OnComplete = Box<dyn Fn(&Upload) + Send + Sync>;

impl Uploads {
    /// Stores uploads in `dir`, which is made if it is not there.
    pub fn new(dir: impl Into<PathBuf>) -> Uploads {
        let limits = Limits {
            max_upload_bytes: 1 << 30,
            max_total_bytes: 10 << 30,
            max_uploads: 10_000,
            max_metadata_bytes: 4096,
            expires_after: Duration::from_secs(24 * 60 * 60),
            completed_expire_after: Duration::MAX,
        };
        Uploads { dir: dir.into(), limits, hooks: Hooks::default() }
    }

    /// Sets how many bytes an upload may have. Default: 1 GiB, inclusive. Beyond: 413.
    pub fn max_upload_bytes(mut self, bytes: u64) -> Uploads {
        self.limits.max_upload_bytes = bytes;
        self
    }

    /// Sets how many bytes all uploads in the directory may have that have arrived. Default: 10 GiB,
    /// inclusive. Beyond: 507, and what has arrived is kept. A creation is answered 507 too when its length
    /// would not fit just then.
    pub fn max_total_bytes(mut self, bytes: u64) -> Uploads {
        self.limits.max_total_bytes = bytes;
        self
    }

    /// Sets how many uploads there may be, complete ones included: see
    /// [`on_complete`](Uploads::on_complete) for how those go. Default: 10,000, inclusive: as many as are
    /// looked through in no time. Beyond: 507.
    pub fn max_uploads(mut self, uploads: usize) -> Uploads {
        self.limits.max_uploads = uploads;
        self
    }

    /// Sets how many bytes `Upload-Metadata` may have. Default: 4,096, inclusive. Beyond: 431.
    pub fn max_metadata_bytes(mut self, bytes: usize) -> Uploads {
        self.limits.max_metadata_bytes = bytes;
        self
    }

    /// Sets how long an upload is kept that is not complete, from when it was last added to; so are
    /// partial uploads, complete or not. Default: one day. After: 410, and within a minute it is removed and
    /// answered 404. `Duration::MAX` keeps them for ever.
    ///
    /// The directory is looked through when it is opened, and from the first request on. A server that
    /// nobody asks anything removes nothing.
    pub fn expires_after(mut self, duration: Duration) -> Uploads {
        self.limits.expires_after = duration;
        self
    }

    /// Sets how long an upload is kept that is complete and [reported](Uploads::on_complete), from when its
    /// last byte came. Default: `Duration::MAX`, which is for ever. After: 410, and within a minute its
    /// file is removed, whether the program has made use of it or not.
    pub fn completed_expire_after(mut self, duration: Duration) -> Uploads {
        self.limits.completed_expire_after = duration;
        self
    }

    /// Asks `check` before anything is done for a request, except for `OPTIONS`: an error is the
    /// answer. It runs on the loop, so it must not block. The method that it sees is the one that
    /// counts: that of `X-HTTP-Method-Override`, if the request has it. It is asked once for an upload that is
    /// made of others, and not for each of them: they are named in `Upload-Concat`. Default: whoever knows the
    /// URL may.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Error, ErrorKind, uploads::Uploads};
    ///
    /// let uploads = Uploads::new("uploads").authorize(|req| match req.header("authorization") {
    ///     Some("Bearer swordfish") => Ok(()),
    ///     _ => Err(Error::new(ErrorKind::Unauthorized, "who are you?")),
    /// });
    /// # let _ = uploads;
    /// ```
    pub fn authorize(
        mut self,
        check: impl Fn(&Request) -> Result<()> + Send + Sync + 'static,
    ) -> Uploads {
        self.hooks.authorize = Some(Box::new(check));
        self
    }

    /// Calls `callback` when all bytes of an upload are on disk, before the client is told. A partial
    /// upload is not reported, the final one made of it is.
    ///
    /// **An upload that is complete stays, counts against all limits, and does not expire**, empty ones
    /// too: when there are [`max_uploads`](Uploads::max_uploads) nobody can make another. So take each out
    /// of the directory, by a rename or a removal of its [file](Upload::path), here or at any time later;
    /// or set [`completed_expire_after`](Uploads::completed_expire_after). One that was taken here is gone
    /// at once, one that was taken later when somebody asks for it, or within a minute. The new name is
    /// best one of the program's own: what the client has put into the metadata may be anything. The file
    /// is its owner's alone (0600) until the program says otherwise.
    ///
    /// It runs on the blocking pool; only [`routes`](Uploads::routes), for what an earlier process has left to
    /// report, calls it on the thread that it runs on itself, before it returns.
    ///
    /// A client whose last answer was lost asks how far its upload has come. That is answered 423 while this
    /// runs for more than some seconds, and 404 once the file is taken: to have clients hear that all is
    /// there, leave the file for a while.
    ///
    /// It is called once for each upload. A panic is logged, and counts as a call; the client is told that
    /// all is well, since its bytes are. If the process dies between the last byte and the note on
    /// disk that it was called, it is called, or called again, by [`routes`](Uploads::routes) of the next
    /// process: what must happen once is best done by a rename.
    pub fn on_complete(mut self, callback: impl Fn(&Upload) + Send + Sync + 'static) -> Uploads {
        self.hooks.on_complete = Some(Box::new(callback));
        self
    }

    /// Opens the directory and returns the routes, for [`mount`](crate::mount).
    ///
    /// What a crash has left half made in the directory is removed, what is there is counted, and
    /// [`on_complete`](Uploads::on_complete) is called for what was completed and not reported. Files
    /// whose names are not those of uploads are left alone.
    ///
    /// # Errors
    ///
    /// `Io`, which names the directory, when it cannot be made, read or taken: another process has it, or
    /// another `Uploads` of this one, or the file system has no locks.
    pub fn routes(self) -> Result<Vec<Route>> {
        let fault = format!("no uploads can be kept in {}", self.dir.display());
        let store = Store::open(self.dir, self.limits, self.hooks)
            .map_err(|error| Error::new(ErrorKind::Io, fault).caused_by(error))?;
        let serve = move |req: Request| serve::serve(Arc::clone(&store), req);
        // Limits of its own: an answer of the server's would lack the fields of the protocol.
        let all = route("^(?:/(?<id>(?s:.*)))?$", serve).streaming();
        Ok(vec![all.max_body_bytes(u64::MAX).timeout(Duration::MAX)])
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads")
            .field("dir", &self.dir)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// An upload that is complete.
#[derive(Clone, Debug)]
pub struct Upload {
    id: String,
    path: PathBuf,
    len: u64,
    metadata: Vec<(String, Vec<u8>)>,
}

impl Upload {
    /// Returns the last segment of its URL: 32 hexadecimal digits. Whoever knows it may delete the
    /// upload.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the file that holds its bytes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns what the client says under `key`, such as `filename`: any bytes, not to be trusted.
    pub fn metadata(&self, key: &str) -> Option<&[u8]> {
        self.metadata_pairs().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Returns all that the client says, in order.
    pub fn metadata_pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}
