//! The few async methods that a plain program needs of the `futures-io` traits.

use futures_io::{AsyncRead, AsyncWrite};
use std::{future::poll_fn, io, pin::Pin};

/// Reading by `.await`, for whatever implements `AsyncRead`.
///
/// It is a small part of the trait of `futures-util` that goes by `AsyncReadExt`; a program that uses
/// that one does not need this one.
///
/// # Examples
///
/// ```
/// use snow::net::{ReadExt, TcpListener, TcpStream, WriteExt};
///
/// snow::block_on(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut served, _) = listener.accept().await?;
///     client.write_all(b"ping").await?;
///     let mut word = [0; 4];
///     served.read_exact(&mut word).await?;
///     assert_eq!(&word, b"ping");
///     client.close().await?;
///     assert_eq!(served.read(&mut word).await?, 0); // the end
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub trait ReadExt: AsyncRead + Unpin {
    /// Reads what there is, at least a byte, and returns how much that was; 0 is the end.
    ///
    /// Dropping the future loses nothing: it reads only when it completes.
    ///
    /// # Errors
    ///
    /// As the stream tells, `ConnectionReset` above all.
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, buf))
    }

    /// Fills `buf`.
    ///
    /// A future that is dropped half-way has taken what it has read.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends before, and as [`read`](ReadExt::read).
    fn read_exact(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<()>> {
        async move {
            let mut filled = 0;
            while filled < buf.len() {
                match self.read(&mut buf[filled..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => filled += count,
                }
            }
            Ok(())
        }
    }
}

impl<R: AsyncRead + Unpin + ?Sized> ReadExt for R {}

/// Writing by `.await`, for whatever implements `AsyncWrite`; an example is at [`ReadExt`].
pub trait WriteExt: AsyncWrite + Unpin {
    /// Writes all of `bytes`, as fast as the peer takes them.
    ///
    /// A future that is dropped half-way has written some of them: what follows would be garbage to
    /// the peer.
    ///
    /// # Errors
    ///
    /// `WriteZero` when the stream takes nothing, and as the stream tells, `BrokenPipe` and
    /// `ConnectionReset` above all.
    fn write_all(&mut self, mut bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        async move {
            while !bytes.is_empty() {
                let written = poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, bytes)).await?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                bytes = &bytes[written..];
            }
            Ok(())
        }
    }

    /// Sends what the stream keeps back; a socket keeps nothing.
    ///
    /// # Errors
    ///
    /// As [`write_all`](WriteExt::write_all).
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx))
    }

    /// Ends the sending side: the peer reads what was sent and then the end, and may still answer.
    ///
    /// # Errors
    ///
    /// As the stream tells, `NotConnected` when the connection has ended.
    fn close(&mut self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_close(cx))
    }
}

impl<W: AsyncWrite + Unpin + ?Sized> WriteExt for W {}
