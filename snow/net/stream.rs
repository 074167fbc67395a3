//! What a connection needs of the stream it runs on, be it a socket, TLS around one, or a test pipe.

use crate::rt::Hangup;
use std::{
    fs::File,
    io::{self, IoSlice},
    task::{Context, Poll},
};

/// A byte stream on this thread's loop that can tell when the peer has left.
pub(crate) trait Stream {
    /// Reads what is there; `Ok(0)` is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what there is room for, in one system call.
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    /// Writes as [`poll_write`](Stream::poll_write) does, when a [file](Stream::poll_send_file) or the
    /// [end](Stream::shutdown_write) of the sending side follows at once. The bytes may be held back for a
    /// moment, so that both travel together; a mere close may drop them.
    fn poll_write_more(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &[IoSlice::new(buf)])
    }

    /// Returns whether [files](Stream::poll_send_file) are sent from where they are, so that nothing of them
    /// is held here.
    fn sends_files(&self) -> bool {
        false
    }

    /// Sends up to `most` bytes of `file` from `offset` on, without copying them through this process.
    ///
    /// Returns how many bytes were taken: zero when the file has none from `offset` on. Its position does
    /// not change.
    ///
    /// # Errors
    ///
    /// `Unsupported` or `InvalidInput` when the stream, the system or the file does not support this:
    /// nothing was sent, and the bytes are to be read and written instead.
    fn poll_send_file(
        &mut self,
        _cx: &mut Context<'_>,
        _file: &File,
        _offset: u64,
        _most: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Returns whether there may be something to read, as far as is known without a system call.
    fn has_input(&self) -> bool;

    /// Returns whether there is nothing to read and the task that read last will be woken when there is.
    fn is_awaited(&self) -> bool {
        false
    }

    /// Lets the next write be tried, though no event has reported room.
    fn retry_write(&mut self);

    /// Is ready when the peer has hung up, as far as can be known without reading; what it sent before
    /// may still be unread.
    fn poll_hangup(&mut self, cx: &mut Context<'_>) -> Poll<Hangup>;

    /// Ends the sending side; what was written before still arrives.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the drop of this stream a reset and not an orderly end, so that the peer cannot take
    /// what it got for the whole.
    fn reset_on_drop(&mut self);
}
