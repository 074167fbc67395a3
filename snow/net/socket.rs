//! What the sockets of every kind have in common: an operation is tried, and waited for when it would
//! block.

use crate::rt::{Direction, Hangup, Source};
use socket2::SockRef;
use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    task::{Context, Poll, ready},
};

/// Slices that one vectored write takes, on every system (`IOV_MAX`).
const MAX_SLICES: usize = 16;

/// Repeats `operation` until it succeeds, fails, or would block.
pub(super) fn poll_io<S: mio::event::Source, R>(
    source: &mut Source<S>,
    direction: Direction,
    cx: &Context<'_>,
    mut operation: impl FnMut(&S) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        if !source.poll_ready(direction, cx)? {
            return Poll::Pending;
        }
        match operation(source.io()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                source.set_blocked(direction)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}

/// Waits for `operation`, as a step of the task's turn; see [`poll_io`].
pub(super) async fn wait_io<S: mio::event::Source, R>(
    source: &mut Source<S>,
    direction: Direction,
    mut operation: impl FnMut(&S) -> io::Result<R>,
) -> io::Result<R> {
    poll_fn(|cx| {
        let step = ready!(source.poll_step(direction, cx));
        step.end(poll_io(source, direction, cx, &mut operation))
    })
    .await
}

/// Sets how many routers a packet may pass.
pub(super) fn set_ttl(socket: &SockRef<'_>, ttl: u32) -> io::Result<()> {
    if !socket.local_addr()?.is_ipv6() {
        return socket.set_ttl_v4(ttl);
    }
    socket.set_unicast_hops_v6(ttl)?;
    // What such a socket sends to an IPv4 address goes by the other, where the system lets it.
    let _ = socket.set_ttl_v4(ttl);
    Ok(())
}

pub(super) fn ttl(socket: &SockRef<'_>) -> io::Result<u32> {
    match socket.local_addr()?.is_ipv6() {
        true => socket.unicast_hops_v6(),
        false => socket.ttl_v4(),
    }
}

/// A connected socket that bytes stream over.
pub(super) trait StreamSocket: mio::event::Source {
    /// Whether a read that fills less than its buffer has taken all there was.
    const SHORT_READ_DRAINS: bool;

    fn has_peer(&self) -> io::Result<()>;
    fn take_error(&self) -> io::Result<Option<io::Error>>;
}

impl StreamSocket for mio::net::TcpStream {
    const SHORT_READ_DRAINS: bool = true;

    fn has_peer(&self) -> io::Result<()> {
        self.peer_addr().map(drop)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}

#[cfg(unix)]
impl StreamSocket for mio::net::UnixStream {
    // A message with descriptors ends a read early, whatever is behind it.
    const SHORT_READ_DRAINS: bool = false;

    fn has_peer(&self) -> io::Result<()> {
        self.peer_addr().map(drop)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}

/// Waits until a socket that has begun to connect is connected.
pub(super) async fn connected<S: StreamSocket>(source: &mut Source<S>) -> io::Result<()> {
    // Whether it worked is known once the socket can be written.
    source.set_blocked(Direction::Write);
    wait_io(source, Direction::Write, |io| {
        if let Some(error) = io.take_error()? {
            return Err(error);
        }
        io.has_peer().map_err(|error| match error.kind() {
            io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    })
    .await
}

pub(super) fn poll_read<S: StreamSocket>(
    source: &mut Source<S>,
    cx: &Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a S: Read,
{
    let count = ready!(poll_io(source, Direction::Read, cx, |mut io| io.read(buf)))?;
    // Less than there was room for: drained, no need to see `WouldBlock`.
    if S::SHORT_READ_DRAINS && count < buf.len() {
        source.set_drained(Direction::Read);
    }
    Poll::Ready(Ok(count))
}

pub(super) fn poll_write<S: StreamSocket>(
    source: &mut Source<S>,
    cx: &Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a S: Write,
{
    let wanted = bufs.iter().map(|buf| buf.len()).sum::<usize>();
    let count = ready!(poll_io(source, Direction::Write, cx, |mut io| match bufs {
        [one] => io.write(one),
        several => io.write_vectored(several),
    }))?;
    // With more slices than this, a short count does not mean that there is no more room.
    if count < wanted && bufs.len() <= MAX_SLICES {
        source.set_drained(Direction::Write);
    }
    Poll::Ready(Ok(count))
}

/// Has the kernel send from a file.
#[cfg(target_os = "linux")]
pub(super) fn poll_send_file<S: StreamSocket + std::os::fd::AsFd>(
    source: &mut Source<S>,
    cx: &Context<'_>,
    file: &std::fs::File,
    offset: u64,
    most: usize,
) -> Poll<io::Result<usize>> {
    // Offsets beyond 2 GiB do not fit where the system has 32 bits.
    let Ok(offset) = isize::try_from(offset) else {
        return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
    };
    // `None` stands for the whole file, so zero is answered here.
    let Some(most) = std::num::NonZeroUsize::new(most) else { return Poll::Ready(Ok(0)) };
    // A short count may be the file's end, so it does not mean that there is no more room.
    poll_io(source, Direction::Write, cx, |io| {
        SockRef::from(io).sendfile(file, offset as usize, Some(most))
    })
}

pub(super) fn poll_hangup<S: StreamSocket>(
    source: &mut Source<S>,
    cx: &Context<'_>,
) -> Poll<Hangup> {
    match source.poll_hangup(cx) {
        Ok(Some(left)) => Poll::Ready(left),
        Ok(None) => Poll::Pending,
        // A socket that cannot be watched cannot be served.
        Err(_) => Poll::Ready(Hangup::Full),
    }
}

/// The methods of [`Stream`](super::Stream) that are the same for every socket over a `source`.
macro_rules! stream_methods {
    () => {
        fn poll_read(
            &mut self,
            cx: &mut std::task::Context<'_>,
            buf: &mut [u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            $crate::net::socket::poll_read(&mut self.source, cx, buf)
        }

        fn poll_write(
            &mut self,
            cx: &mut std::task::Context<'_>,
            bufs: &[std::io::IoSlice<'_>],
        ) -> std::task::Poll<std::io::Result<usize>> {
            $crate::net::socket::poll_write(&mut self.source, cx, bufs)
        }

        #[cfg(target_os = "linux")]
        fn sends_files(&self) -> bool {
            true
        }

        #[cfg(target_os = "linux")]
        fn poll_send_file(
            &mut self,
            cx: &mut std::task::Context<'_>,
            file: &std::fs::File,
            offset: u64,
            most: usize,
        ) -> std::task::Poll<std::io::Result<usize>> {
            $crate::net::socket::poll_send_file(&mut self.source, cx, file, offset, most)
        }

        fn has_input(&self) -> bool {
            !self.source.is_drained($crate::rt::Direction::Read)
        }

        fn is_awaited(&self) -> bool {
            self.source.is_awaited($crate::rt::Direction::Read)
        }

        fn retry_write(&mut self) {
            self.source.set_undrained($crate::rt::Direction::Write);
        }

        fn poll_hangup(
            &mut self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<$crate::rt::Hangup> {
            $crate::net::socket::poll_hangup(&mut self.source, cx)
        }
    };
}

pub(super) use stream_methods;

/// Implements the `futures-io` traits for a type that is a [`Stream`](super::Stream) over a `source`.
///
/// Here reads and writes are steps of the task's turn. The HTTP server has bounds of its own, and calls the
/// methods of `Stream`.
macro_rules! impl_futures_io {
    ($stream:ty) => {
        impl futures_io::AsyncRead for $stream {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let step =
                    std::task::ready!(self.source.poll_step($crate::rt::Direction::Read, cx));
                step.end($crate::net::Stream::poll_read(&mut *self, cx, buf))
            }
        }

        impl futures_io::AsyncWrite for $stream {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.poll_write_vectored(cx, &[std::io::IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let step =
                    std::task::ready!(self.source.poll_step($crate::rt::Direction::Write, cx));
                step.end($crate::net::Stream::poll_write(&mut *self, cx, bufs))
            }

            /// Nothing is kept back, so there is nothing to flush.
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            /// Ends the sending side.
            fn poll_close(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready($crate::net::Stream::shutdown_write(&mut *self))
            }
        }
    };
}

pub(super) use impl_futures_io;
