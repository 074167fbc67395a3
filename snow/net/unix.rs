//! Unix sockets: listeners and streams.

use super::{
    accept::{Accept, Acceptor, Listener, sealed},
    halves::{ReadHalf, WriteHalf, sealed::Ends, split},
    socket::{self, impl_futures_io},
    socket_file::{self, SocketFile},
    stream::Stream,
};
use crate::rt::{Source, sleep};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    fmt, io,
    net::Shutdown,
    os::unix::net::SocketAddr,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// How long to wait between two looks for room in the queue of another socket, which no event reports.
pub(super) const QUEUE_REST: Duration = Duration::from_millis(5);

/// How a Unix socket is bound.
///
/// # Examples
///
/// ```
/// use snow::net::{UnixListener, UnixOptions};
///
/// # let path = std::env::temp_dir().join(format!("snow-doc-options-{}", std::process::id()));
/// snow::block_on(async {
///     let mut options = UnixOptions::default();
///     options.mode = Some(0o660);
///     let listener = UnixListener::listen(&path, &options)?;
/// #   drop(listener);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnixOptions {
    /// Connections that the kernel holds until they are accepted. Default: 1,024.
    pub backlog: i32,
    /// The permissions of the file, as in `0o660`; who may write to it may connect. Default: what the
    /// umask of the process leaves.
    pub mode: Option<u32>,
}

impl Default for UnixOptions {
    fn default() -> UnixOptions {
        UnixOptions { backlog: 1024, mode: None }
    }
}

impl UnixOptions {
    /// Binds a socket and listens, without a loop.
    pub(crate) fn listen(
        &self,
        path: &Path,
    ) -> io::Result<(std::os::unix::net::UnixListener, Option<SocketFile>)> {
        let (socket, file) = socket_file::bind(Type::STREAM, path, self.mode)?;
        socket.listen(self.backlog)?;
        Ok((socket.into(), file))
    }
}

impl Accept for mio::net::UnixListener {
    type Stream = mio::net::UnixStream;
    type Peer = SocketAddr;

    fn accept(&self) -> io::Result<(mio::net::UnixStream, SocketAddr)> {
        self.accept()
    }
}

/// A Unix socket that connections are accepted from.
///
/// Its file is made when it is bound, and removed when it is dropped unless another has taken its place. A
/// socket file that nobody has open, left behind by a program, is taken over; any other file never is.
///
/// # Examples
///
/// ```
/// use snow::net::{ReadExt, UnixListener, UnixStream, WriteExt};
///
/// # let path = std::env::temp_dir().join(format!("snow-doc-unix-{}", std::process::id()));
/// snow::block_on(async {
///     let mut listener = UnixListener::bind(&path)?;
///     let mut client = UnixStream::connect(&path).await?;
///     let (mut served, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     let mut buf = [0; 16];
///     assert_eq!(served.read(&mut buf).await?, 5);
///     drop(listener);
///     assert!(!path.exists());
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct UnixListener {
    acceptor: Acceptor<mio::net::UnixListener>,
    /// Shared with the duplicates on other loops: the last one removes it.
    file: Option<Arc<SocketFile>>,
}

impl UnixListener {
    /// Listens at `path` with the default options. A path that begins with a zero byte is an abstract
    /// name, which only Linux has.
    ///
    /// Where the file of a socket is there already, this connects to it to learn whether somebody listens: a
    /// server that does sees a connection that is closed without a byte. Where nobody does, it blocks for
    /// 50 ms, in case another program has bound the socket and is about to listen.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody listens there; `AlreadyExists` when there is a file that is no socket;
    /// `InvalidInput` when the path is empty, too long (107 bytes on Linux) or has a zero byte in it; as the
    /// system tells.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::listen(path, &UnixOptions::default())
    }

    /// Listens at `path`.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixListener::bind).
    #[track_caller]
    pub fn listen(path: impl AsRef<Path>, options: &UnixOptions) -> io::Result<UnixListener> {
        let (listener, file) = options.listen(path.as_ref())?;
        UnixListener::from_parts(listener, file.map(Arc::new))
    }

    /// Takes a listener of the standard library to the loop of this thread. Its file stays when it is
    /// dropped.
    ///
    /// # Errors
    ///
    /// As the system tells, when the socket cannot be made not to block.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_parts(listener, None)
    }

    #[track_caller]
    pub(crate) fn from_parts(
        listener: std::os::unix::net::UnixListener,
        file: Option<Arc<SocketFile>>,
    ) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        // A duplicate of it may be on another loop.
        let source = Source::new_shared(mio::net::UnixListener::from_std(listener));
        Ok(UnixListener { acceptor: Acceptor::new(source), file })
    }

    /// Returns the address that is listened on.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.io().local_addr()
    }

    /// Returns how often the machine was out of descriptors or memory for new connections.
    pub fn starved(&self) -> u64 {
        self.acceptor.starved()
    }

    /// Waits for a connection. The address of the other end is unnamed, as a rule.
    ///
    /// When the machine is out of descriptors or memory the listener rests, which is logged once, and
    /// tries again.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub async fn accept(&mut self) -> io::Result<(UnixStream, SocketAddr)> {
        let (source, peer) = self.acceptor.accept().await?;
        Ok((UnixStream { source }, peer))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Peer = SocketAddr;
}

impl sealed::Listen<UnixStream, SocketAddr> for UnixListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.acceptor.poll_accept(cx).map_ok(|(source, peer)| (UnixStream { source }, peer))
    }

    fn starved(&self) -> u64 {
        self.acceptor.starved()
    }

    fn look_again(&self) {
        self.acceptor.look_again();
    }

    /// Without its file, nobody finds the socket.
    fn refuse_arrivals(&mut self) -> bool {
        self.file.as_ref().is_some_and(|file| file.remove())
    }

    fn remote(_: &SocketAddr) -> Option<std::net::SocketAddr> {
        None
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.acceptor.io().fmt(f)
    }
}

/// A connection over a Unix socket.
///
/// It implements the `futures-io` traits; [`ReadExt`](super::ReadExt) and [`WriteExt`](super::WriteExt)
/// have the methods to `.await`. Descriptors that a peer sends along are closed.
pub struct UnixStream {
    source: Source<mio::net::UnixStream>,
}

impl UnixStream {
    /// Connects to the socket at `path`; when its queue is full, waits for room, without a bound of its
    /// own (see [`timeout`](crate::rt::timeout)).
    ///
    /// # Errors
    ///
    /// `NotFound`, `ConnectionRefused` when nobody listens there any more, `PermissionDenied`;
    /// `InvalidInput` when the path cannot be one.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let addr = socket_file::address(path.as_ref())?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        loop {
            match socket.connect(&addr) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_REST).await,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    outcome?;
                    return Ok(UnixStream::new(socket.into()));
                }
            }
        }
    }

    /// Makes two ends of one connection.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = std::os::unix::net::UnixStream::pair()?;
        Ok((UnixStream::from_std(a)?, UnixStream::from_std(b)?))
    }

    /// Takes a stream of the standard library to the loop of this thread.
    ///
    /// # Errors
    ///
    /// As the system tells, when the socket cannot be made not to block.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        let mut stream = UnixStream::new(stream);
        // A duplicate of it may be on another loop.
        stream.source.set_shared();
        Ok(stream)
    }

    /// Takes a stream that does not block.
    #[track_caller]
    fn new(stream: std::os::unix::net::UnixStream) -> UnixStream {
        UnixStream { source: Source::new(mio::net::UnixStream::from_std(stream)) }
    }

    /// Takes the stream off the loop. It does not block; change that with `set_nonblocking`.
    ///
    /// # Errors
    ///
    /// When there is no descriptor: for a moment this takes two.
    pub fn into_std(mut self) -> io::Result<std::os::unix::net::UnixStream> {
        self.source.set_shared();
        SockRef::from(self.source.io()).try_clone().map(Into::into)
    }

    /// Splits the stream in two halves that borrow it, for one task that does two things at once.
    pub fn split(&mut self) -> (ReadHalf<&mut UnixStream>, WriteHalf<&mut UnixStream>) {
        split(self)
    }

    /// Splits the stream in two halves, each for a task of its own on this loop.
    pub fn into_split(self) -> (ReadHalf<UnixStream>, WriteHalf<UnixStream>) {
        split(self)
    }

    /// Returns the address of this end; a client's is unnamed.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().peer_addr()
    }

    /// Ends one or both directions.
    ///
    /// # Errors
    ///
    /// As the system tells: the connection may have ended.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source.io().shutdown(how)
    }
}

impl Stream for UnixStream {
    socket::stream_methods!();

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Nothing: a Unix socket has no reset, unless something is left unread.
    fn reset_on_drop(&mut self) {}
}

impl_futures_io!(UnixStream);

impl Ends for UnixStream {
    fn writer_dropped(&mut self) {
        // A connection that has ended already has no sending side to end.
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{fs::File, future::poll_fn, io::Read, os::unix::net};

    #[test]
    fn the_kernel_sends_files() {
        let path = std::env::current_exe().unwrap();
        let file = File::open(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        crate::rt::block_on(async {
            let (here, mut there) = net::UnixStream::pair().unwrap();
            here.set_nonblocking(true).unwrap();
            let mut stream = UnixStream::from_std(here).unwrap();
            let count = poll_fn(|cx| stream.poll_send_file(cx, &file, 7, 5000)).await.unwrap();
            assert!((1..=5000).contains(&count));
            let mut sent = vec![0; count];
            there.read_exact(&mut sent).unwrap();
            assert!(bytes[7..].starts_with(&sent));
            let end = bytes.len() as u64;
            assert_eq!(poll_fn(|cx| stream.poll_send_file(cx, &file, end, 1)).await.unwrap(), 0);
        });
    }
}
