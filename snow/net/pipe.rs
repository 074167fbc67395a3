//! A stream within one thread: what the test client talks through, in place of a socket.

use super::stream::Stream;
use crate::rt::Hangup;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice, Read},
    mem,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Bytes that wait for the client before the server's writes wait too, as a socket's would.
const CAPACITY: usize = 64 * 1024;

#[derive(Default)]
struct Shared {
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
    /// How the client has hung up.
    hangup: Option<Hangup>,
    is_server_closed: bool,
    server: Option<Waker>,
    client: Option<Waker>,
}

impl Shared {
    fn wake_server(&mut self) {
        self.server.iter().for_each(Waker::wake_by_ref);
    }

    fn wake_client(&mut self) {
        self.client.iter().for_each(Waker::wake_by_ref);
    }
}

/// The client's end of a [`pipe`].
pub(crate) struct Pipe(Rc<RefCell<Shared>>);

/// The server's end of a [`pipe`].
pub(crate) struct ServerPipe(Rc<RefCell<Shared>>);

/// Makes the two ends of a stream.
pub(crate) fn pipe() -> (Pipe, ServerPipe) {
    let shared = Rc::new(RefCell::new(Shared::default()));
    (Pipe(Rc::clone(&shared)), ServerPipe(shared))
}

impl Pipe {
    /// Sends bytes to the server, however many.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut shared = self.0.borrow_mut();
        shared.to_server.extend(bytes);
        shared.wake_server();
    }

    /// Takes what the server has sent; nothing means that the server has closed.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut shared = self.0.borrow_mut();
        if shared.to_client.is_empty() && !shared.is_server_closed {
            shared.client = Some(cx.waker().clone());
            return Poll::Pending;
        }
        shared.wake_server();
        Poll::Ready(mem::take(&mut shared.to_client))
    }

    /// Takes what the server has sent so far.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut shared = self.0.borrow_mut();
        shared.wake_server();
        mem::take(&mut shared.to_client)
    }

    /// Returns whether the server has ended its side.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.borrow().is_server_closed
    }

    /// Hangs up: [`Hangup::Half`] still takes answers, [`Hangup::Full`] is a reset.
    pub(crate) fn hang_up(&self, how: Hangup) {
        let mut shared = self.0.borrow_mut();
        shared.hangup = Some(how);
        shared.wake_server();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.hang_up(Hangup::Full);
    }
}

impl Stream for ServerPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.0.borrow_mut();
        if shared.hangup == Some(Hangup::Full) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if shared.to_server.is_empty() && shared.hangup.is_none() {
            shared.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(shared.to_server.read(buf))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.0.borrow_mut();
        if shared.hangup == Some(Hangup::Full) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = CAPACITY.saturating_sub(shared.to_client.len());
        if room == 0 {
            shared.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut written = 0;
        for buf in bufs {
            let part = &buf[..buf.len().min(room)];
            shared.to_client.extend_from_slice(part);
            room -= part.len();
            written += part.len();
        }
        shared.wake_client();
        Poll::Ready(Ok(written))
    }

    fn has_input(&self) -> bool {
        !self.0.borrow().to_server.is_empty()
    }

    fn is_awaited(&self) -> bool {
        let shared = self.0.borrow();
        shared.to_server.is_empty() && shared.hangup.is_none() && shared.server.is_some()
    }

    fn retry_write(&mut self) {}

    fn poll_hangup(&mut self, cx: &mut Context<'_>) -> Poll<Hangup> {
        let mut shared = self.0.borrow_mut();
        shared.server = Some(cx.waker().clone());
        shared.hangup.map_or(Poll::Pending, Poll::Ready)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut shared = self.0.borrow_mut();
        shared.is_server_closed = true;
        shared.wake_client();
        Ok(())
    }

    fn reset_on_drop(&mut self) {}
}

impl Drop for ServerPipe {
    fn drop(&mut self) {
        let _ = self.shutdown_write();
    }
}
