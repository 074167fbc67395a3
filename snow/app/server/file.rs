//! Files as content: opened when they are due, sent by the kernel or else in pieces from the pool.
//!
//! A file is looked at before it is opened, since opening a pipe or a device has effects, and once more
//! afterwards, since another may have taken its place.

use super::{Connection, End, Exchange, Halt, Pace, Step, Wait, ending};
use crate::{
    Error, ErrorKind,
    app::{
        router::RouteNumber,
        worker::{Descriptor, Held},
    },
    http::{Content, FileContent, Response, http_date, reason_text},
    net::Stream,
    rt::unblock,
};
use http::{HeaderValue, StatusCode, header};
use std::{
    fs::{self, File, Metadata, OpenOptions},
    future::Future,
    io::{self, Read, Seek, SeekFrom},
    ops::ControlFlow::Break,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

/// Bytes of a file that are sent before other connections have their turn: less than a quarter of a
/// millisecond of the kernel's time when it has them in its cache. Half as many cost more in most runs on a
/// busy machine, and twice as many not less.
const FILE_BYTES_PER_TURN: usize = 512 * 1024;

/// Bytes that are read at a time where the kernel does not send them by itself: what a download holds.
const PIECE_BYTES: usize = 64 * 1024;

/// A file on its way to the peer.
pub(super) struct Download {
    /// Before the file, which is closed behind the access line.
    exchange: Exchange,
    file: Arc<File>,
    _descriptor: Descriptor,
    /// What is being read, where the kernel does not send the file by itself.
    piece: Option<Piece>,
    /// Bytes of the file that are sent, or in the outbox, of those that the head has announced.
    sent: u64,
    len: u64,
    /// Since the peer was first waited for.
    pub(super) pace: Option<Pace>,
}

/// A part of a file that is being read on the pool.
struct Piece {
    bytes: Pin<Box<dyn Future<Output = io::Result<Vec<u8>>>>>,
    _held: Held,
}

impl Download {
    pub(super) fn new(
        file: File,
        len: u64,
        descriptor: Descriptor,
        exchange: Exchange,
    ) -> Download {
        Download {
            exchange,
            file: Arc::new(file),
            _descriptor: descriptor,
            piece: None,
            sent: 0,
            len,
            pace: None,
        }
    }

    /// Returns how much of the file may be sent at once, out of `most` bytes.
    fn next_len(&self, most: usize) -> usize {
        usize::try_from(self.len - self.sent).unwrap_or(usize::MAX).min(most)
    }

    fn add_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        self.exchange.add_sent(bytes as u64);
    }
}

impl Connection {
    /// Opens the file that an answer names, and has `Worker::review` look at an answer to a failure.
    pub(super) fn review(&self, response: &mut Response, route: Option<RouteNumber>) {
        if let Err(error) = self.open(response) {
            *response = Response::failed(error);
        }
        self.worker.review(response, route);
        // What `on_error` answers with may be a file, too, and missing as well.
        let status = match response.status {
            status if status.is_success() => StatusCode::INTERNAL_SERVER_ERROR,
            status => status,
        };
        if let Err(error) = self.open(response) {
            log::error!("{}: no error page: {}", self.worker.route_name(route), error.chain());
            *response = Response::text(reason_text(status)).status(status);
        }
    }

    /// Opens the file that a response names, if it names one.
    fn open(&self, response: &mut Response) -> Result<(), Error> {
        if let Content::File(FileContent::Named(path)) = &response.body.0 {
            let (file, metadata) = open_regular(path).map_err(|error| explain(&error, path))?;
            // Without content to send it is closed at once.
            let is_kept = metadata.len() > 0 && self.conn.sends_content(response.status);
            if is_kept && !self.worker.has_descriptor(self.remote.addr()) {
                let reason = "too many files are being sent to this address";
                return Err(Error::new(ErrorKind::Unavailable, reason));
            }
            if response.get_header(header::LAST_MODIFIED.as_str()).is_none() {
                let date = last_modified(&metadata, self.worker.handle.wall());
                response.headers.extend(date.map(|date| (header::LAST_MODIFIED, date)));
            }
            response.body.0 = Content::File(FileContent::Open { file, len: metadata.len() });
        }
        Ok(())
    }

    /// Writes what was collected, the head of a file's response last.
    pub(super) fn begin_file(
        &mut self,
        download: Box<Download>,
        output: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Wait {
        match self.poll_output_more(output, cx) {
            Poll::Ready(Err(error)) => self.give_up(&error),
            _ => Wait::File(download),
        }
    }

    /// Sends a file as fast as the peer takes it.
    pub(super) fn poll_file(
        &mut self,
        download: &mut Download,
        cx: &mut Context<'_>,
    ) -> Poll<Wait> {
        let until = download.sent.saturating_add(FILE_BYTES_PER_TURN as u64);
        let outcome = loop {
            if download.sent >= download.len {
                break Ok(());
            }
            if download.sent >= until {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let most = download.next_len((until - download.sent) as usize);
            let sent = match download.piece {
                None => self.poll_direct(download, most, cx),
                Some(_) => self.poll_piece(download, cx),
            };
            if let Err(error) = ready!(sent) {
                break Err(error);
            }
        };
        let step = match outcome {
            Ok(()) => self.end_file(),
            Err(error) => self.end_early(&error),
        };
        Poll::Ready(self.settle(step, &mut Vec::new(), cx).unwrap_or_default())
    }

    /// Has the stream send from the file by itself, and gives up on a peer that is too slow.
    fn poll_direct(
        &mut self,
        download: &mut Download,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Download { file, sent, pace, .. } = download;
        let mut outcome = self.stream.poll_send_file(cx, file, *sent, most);
        if outcome.is_pending() {
            let pace = *pace.get_or_insert_with(|| Pace::new(self.worker.handle.now()));
            ready!(self.poll_stall(pace, cx));
            // The kernel reports room only when there is much of it: a slow reader may have made a little.
            self.stream.retry_write();
            outcome = self.stream.poll_send_file(cx, file, *sent, most);
        }
        match outcome {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(count)) => {
                download.add_sent(count);
                if let Some(pace) = &mut download.pace {
                    pace.progress(count as u64, self.now(), self.worker.app.config.write_timeout);
                }
            }
            Poll::Ready(Err(error)) if cannot_send_files(&error) => self.begin_piece(download),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
        Poll::Ready(Ok(()))
    }

    /// Prepares to read the next piece.
    fn begin_piece(&self, download: &mut Download) {
        let (offset, most) = (download.sent, download.next_len(PIECE_BYTES));
        let file = Arc::clone(&download.file);
        let bytes = Box::pin(unblock(move || read_piece(&file, offset, most)));
        download.piece = Some(Piece { bytes, _held: self.worker.hold(most) });
    }

    /// Sends the piece that is being read, when it has come.
    fn poll_piece(
        &mut self,
        download: &mut Download,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(piece) = &mut download.piece else { return Poll::Ready(Ok(())) };
        let mut bytes = ready!(piece.bytes.as_mut().poll(cx))?;
        download.add_sent(bytes.len());
        self.begin_piece(download);
        self.poll_part(&mut download.pace, &mut bytes, cx)
    }

    fn end_file(&mut self) -> Step {
        let after = self.conn.finish_whole();
        self.go_on(after, End::Linger)
    }

    /// Ends a connection in the middle of a file.
    fn end_early(&mut self, error: &io::Error) -> Step {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let reason = "a file has become shorter while it was sent";
                self.break_off(&Error::new(ErrorKind::Io, reason))
            }
            io::ErrorKind::TimedOut => {
                log::debug!("{}: the peer does not take its answer: {error}", self.peer());
                ending(End::Reset)
            }
            _ if os_error(error) == Some(EIO) => {
                let error = io::Error::from_raw_os_error(EIO);
                self.break_off(&Error::new(ErrorKind::Io, "a file cannot be read").caused_by(error))
            }
            _ => Break(Halt::Wait(self.give_up(error))),
        }
    }
}

/// Reads up to `most` bytes, which is little, from `offset` on.
///
/// # Errors
///
/// `UnexpectedEof` when there is nothing, else as the system tells.
fn read_piece(mut file: &File, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    file.seek(SeekFrom::Start(offset))?;
    match file.take(most as u64).read_to_end(&mut bytes)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(bytes),
    }
}

/// Returns whether bytes of this file, or on this stream, have to be read and written.
fn cannot_send_files(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

/// Opens a regular file.
///
/// On the loop, and not on the pool: where the system knows the file this was measured at 6 µs of CPU
/// with its closing, and at 31 to 52 µs through the pool (13 to 23 with sixteen at once). What it does
/// not know it reads from the disk, as it does the first bytes when they are sent.
fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    if !fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    let mut options = OpenOptions::new();
    let file = without_waiting(options.read(true)).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "not a regular file")
}

/// Keeps the opening of a pipe, or of a file on which another process holds a lease, from blocking.
#[cfg(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64"))))]
fn without_waiting(options: &mut OpenOptions) -> &OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    /// `O_NONBLOCK`, which has no effect on a regular file once it is open.
    const NONBLOCK: i32 = 0o4000;
    options.custom_flags(NONBLOCK)
}

#[cfg(not(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64")))))]
fn without_waiting(options: &mut OpenOptions) -> &OpenOptions {
    options
}

/// Returns when a file was changed, as a field; `None` when the system or the format cannot say it.
fn last_modified(metadata: &Metadata, now: SystemTime) -> Option<HeaderValue> {
    // A time to come would keep caches from asking (RFC 9110, section 8.8.2.1).
    http_date(metadata.modified().ok()?.min(now))
}

/// Errors of Unix that have no name in the standard library: a disk that fails; too many open files, here
/// or in the whole system; a name that is too long; symbolic links that lead nowhere.
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENAMETOOLONG: i32 = if cfg!(target_os = "linux") { 36 } else { 63 };
const ELOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

fn os_error(error: &io::Error) -> Option<i32> {
    error.raw_os_error().filter(|_| cfg!(unix))
}

/// Says what a file that cannot be sent means to the client; the path is for the log alone.
fn explain(error: &io::Error, path: &Path) -> Error {
    use io::ErrorKind::{
        InvalidInput, NotADirectory, NotFound, OutOfMemory, PermissionDenied, WouldBlock,
    };
    let (kind, reason) = match (error.kind(), os_error(error)) {
        (NotFound | NotADirectory | InvalidInput, _) | (_, Some(ENAMETOOLONG | ELOOP)) => {
            (ErrorKind::NotFound, "not found")
        }
        (PermissionDenied, _) => (ErrorKind::Forbidden, "forbidden"),
        (OutOfMemory | WouldBlock, _) | (_, Some(EMFILE | ENFILE)) => {
            (ErrorKind::Unavailable, "a file cannot be opened just now")
        }
        _ => (ErrorKind::Io, "a file cannot be opened"),
    };
    // Quoted, since it may be made of what a client has sent.
    Error::new(kind, reason).caused_by(format!("{path:?}: {error}"))
}
