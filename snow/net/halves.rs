//! A stream in two halves: one reads, one writes, each where it is needed.

use futures_io::{AsyncRead, AsyncWrite};
use std::{
    cell::RefCell,
    error, fmt,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

/// What can be split: a stream of [`net`](super), or a borrowed one.
pub trait Split: AsyncRead + AsyncWrite + Unpin + sealed::Ends {}

impl<S: AsyncRead + AsyncWrite + Unpin + sealed::Ends> Split for S {}

pub(super) mod sealed {
    /// What the end of a write half means to the stream.
    pub trait Ends {
        /// The write half was dropped.
        fn writer_dropped(&mut self);
    }

    /// A borrowed stream goes on when its halves are gone.
    impl<S: Ends> Ends for &mut S {
        fn writer_dropped(&mut self) {}
    }
}

/// Splits `stream` in two; the streams have methods for it.
pub(super) fn split<S: Split>(stream: S) -> (ReadHalf<S>, WriteHalf<S>) {
    let shared = Rc::new(RefCell::new(stream));
    (ReadHalf(Rc::clone(&shared)), WriteHalf(Some(shared)))
}

/// The half of a stream that reads. It may wait while another task waits in the other half.
///
/// # Examples
///
/// ```
/// use snow::net::{ReadExt, UnixStream, WriteExt};
///
/// snow::block_on(async {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     let (mut reader, mut writer) = ours.into_split();
///     let hearing = snow::spawn(async move {
///         let mut word = [0; 4];
///         reader.read_exact(&mut word).await.map(|()| word)
///     });
///     writer.write_all(b"ping").await?;
///     let mut word = [0; 4];
///     theirs.read_exact(&mut word).await?;
///     theirs.write_all(b"pong").await?;
///     assert_eq!(&hearing.await?, b"pong");
///     drop(writer); // ends the sending side
///     assert_eq!(theirs.read(&mut word).await?, 0);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct ReadHalf<S: Split>(Rc<RefCell<S>>);

/// The half of a stream that writes.
///
/// Closing it ends the sending side: the peer sees the end, and the other half still reads. Dropping it
/// does so too when the stream was split for good (`into_split`), and not when it was borrowed (`split`).
pub struct WriteHalf<S: Split>(
    /// `None` once it is reunited.
    Option<Rc<RefCell<S>>>,
);

impl<S: Split> ReadHalf<S> {
    /// Puts the stream together again.
    ///
    /// # Errors
    ///
    /// When the halves are of different streams: both come back in the error.
    pub fn reunite(self, mut writer: WriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !writer.0.as_ref().is_some_and(|theirs| Rc::ptr_eq(&self.0, theirs)) {
            return Err(ReuniteError(self, writer));
        }
        drop(writer.0.take());
        Ok(Rc::into_inner(self.0).expect("there are two halves, and one is gone").into_inner())
    }
}

impl<S: Split> WriteHalf<S> {
    fn with<R>(&self, work: impl FnOnce(Pin<&mut S>) -> R) -> R {
        let shared = self.0.as_ref().expect("there until it is reunited or dropped");
        work(Pin::new(&mut *shared.borrow_mut()))
    }
}

impl<S: Split> AsyncRead for ReadHalf<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl<S: Split> AsyncWrite for WriteHalf<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    /// Ends the sending side.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_close(cx))
    }
}

impl<S: Split> Drop for WriteHalf<S> {
    fn drop(&mut self) {
        // It is borrowed only if the other half, while it reads, drops a waker that owned this one: then
        // the whole stream ends.
        if let Some(Ok(mut stream)) = self.0.as_ref().map(|shared| shared.try_borrow_mut()) {
            stream.writer_dropped();
        }
    }
}

impl<S: Split> fmt::Debug for ReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadHalf")
    }
}

impl<S: Split> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteHalf")
    }
}

/// The halves are of different streams. They are in here.
pub struct ReuniteError<S: Split>(pub ReadHalf<S>, pub WriteHalf<S>);

impl<S: Split> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuniteError")
    }
}

impl<S: Split> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are of different streams")
    }
}

impl<S: Split> error::Error for ReuniteError<S> {}
