//! TCP: listeners and streams.
//!
//! A listener that runs out of descriptors rests, and goes on as soon as a socket of its loop is
//! closed or a moment has passed: it neither spins nor ends.

use super::stream::Stream;
use crate::rt::{Deadline, Interest, Left, Source};
use futures_io::{AsyncRead, AsyncWrite};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// How long a listener rests that could not accept, unless a descriptor is freed before.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Slices that one vectored write takes, on every system (`IOV_MAX`).
const MAX_SLICES: usize = 16;

/// Linux: more follows at once, so that the last segment waits for it, for 200 ms at the most.
#[cfg(target_os = "linux")]
const MSG_MORE: i32 = 0x8000;

/// Linux: a peer that has left is an error and not a signal.
#[cfg(target_os = "linux")]
const MSG_NOSIGNAL: i32 = 0x4000;

/// How a listener is set up.
///
/// # Examples
///
/// ```
/// use snow::net::{ListenOptions, TcpListener};
///
/// snow::block_on(async {
///     let mut options = ListenOptions::default();
///     options.backlog = 16;
///     let listener = TcpListener::listen("127.0.0.1:0".parse().unwrap(), &options)?;
///     assert_ne!(listener.local_addr()?.port(), 0);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Connections that the kernel holds until they are accepted. Default: 1,024.
    pub backlog: i32,
    /// `SO_REUSEADDR`: listen although connections of a listener before are still ending. Default:
    /// true, but for Windows, where it means something else.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT`: several listeners on one port, between which the kernel balances. Default:
    /// false; without effect where the system does not have it.
    pub reuse_port: bool,
    /// `TCP_NODELAY` on every accepted stream. Default: true.
    pub nodelay: bool,
    /// Whether a listener on an IPv6 address takes IPv6 only; `[::]` takes both otherwise. Default:
    /// false.
    pub only_v6: bool,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            backlog: 1024,
            reuse_addr: cfg!(not(windows)),
            reuse_port: false,
            nodelay: true,
            only_v6: false,
        }
    }
}

impl ListenOptions {
    /// Binds a socket and listens, without a loop.
    pub(crate) fn listen(&self, addr: SocketAddr) -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(self.reuse_addr)?;
        if self.reuse_port {
            set_reuse_port(&socket)?;
        }
        if addr.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        // Accepted sockets inherit it, which saves a call for each.
        socket.set_tcp_nodelay(self.nodelay)?;
        socket.bind(&addr.into())?;
        socket.listen(self.backlog)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }
}

/// Whether several sockets can listen on one port with the kernel balancing between them.
pub(crate) const HAS_REUSE_PORT: bool = cfg!(target_os = "linux");

#[cfg(unix)]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn set_reuse_port(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Attaches a filter to a listener that drops segments with SYN and without ACK.
#[cfg(target_os = "linux")]
fn refuse_arrivals(listener: &mio::net::TcpListener) -> bool {
    use socket2::SockFilter;

    const FLAGS_BYTE: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let program = [
        SockFilter::new(0x30, 0, 0, FLAGS_BYTE), // load the flags
        SockFilter::new(0x54, 0, 0, SYN | ACK),  // keep these two
        SockFilter::new(0x15, 0, 1, SYN),        // if SYN alone is set,
        SockFilter::new(0x06, 0, 0, 0),          //   drop the segment,
        SockFilter::new(0x06, 0, 0, u32::MAX),   //   else pass it whole
    ];
    SockRef::from(listener).attach_filter(&program).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn refuse_arrivals(_: &mio::net::TcpListener) -> bool {
    false
}

/// A TCP socket that connections are accepted from.
///
/// # Examples
///
/// ```
/// use snow::net::{TcpListener, TcpStream};
///
/// snow::block_on(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (served, peer) = listener.accept().await?;
///     assert_eq!(client.local_addr()?, peer);
///     drop(served);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct TcpListener {
    source: Source<mio::net::TcpListener>,
    /// Set while the listener rests.
    rest: Deadline,
    /// Whether the rest has been reported: once an episode, of which there have been so many.
    is_reported: bool,
    episodes: u64,
}

impl TcpListener {
    /// Listens on `addr` with the default options; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// As the system tells: the port is taken, the address is not of this machine, permission.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::listen(addr, &ListenOptions::default())
    }

    /// Listens on `addr`.
    ///
    /// # Errors
    ///
    /// As [`bind`](TcpListener::bind).
    pub fn listen(addr: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
        Ok(TcpListener::from_std(options.listen(addr)?))
    }

    /// Takes a listener that does not block to the loop of this thread.
    pub(crate) fn from_std(listener: std::net::TcpListener) -> TcpListener {
        let source = Source::new(mio::net::TcpListener::from_std(listener));
        let rest = Deadline::new(source.handle().clone());
        TcpListener { source, rest, is_reported: false, episodes: 0 }
    }

    /// Returns the address that is listened on, with the port that was taken for port 0.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// Returns how often the machine was out of descriptors or memory for new connections.
    pub fn starved(&self) -> u64 {
        self.episodes
    }

    /// Waits for a connection.
    ///
    /// A connection that ends before it is accepted is passed over. When the machine is out of
    /// descriptors or memory the listener rests, which is logged once, and tries again.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Has the next accept ask the kernel, though no event has told of a connection.
    pub(crate) fn look_again(&self) {
        self.source.set_undrained(Interest::Read);
    }

    /// Has the kernel pass over clients that begin to connect, who try again a second later, and lets
    /// those go on who have begun: what is in the queue of a listener that closes is reset. False where
    /// the system does not have that.
    pub(crate) fn refuse_arrivals(&self) -> bool {
        refuse_arrivals(self.source.io())
    }

    /// Accepts a connection if there is one; see [`accept`](TcpListener::accept).
    pub(crate) fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            if self.rest.when() < crate::rt::Time::NEVER {
                if self.source.handle().wait_for_descriptor(cx) {
                    ready!(self.rest.poll_passed(cx));
                }
                self.rest.set(crate::rt::Time::NEVER);
            }
            if !self.source.poll_ready(Interest::Read, cx)? {
                return Poll::Pending;
            }
            match self.source.io().accept() {
                Ok((stream, peer)) => {
                    return Poll::Ready(Ok((TcpStream { source: Source::new(stream) }, peer)));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        // A descriptor was free, and nobody waits for it: that is over.
                        if std::mem::take(&mut self.is_reported) {
                            log::info!("accepting connections again");
                        }
                        self.source.set_blocked(Interest::Read);
                    }
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset => {}
                    // A listener that is none, or that was shut down, will not get better.
                    io::ErrorKind::InvalidInput => return Poll::Ready(Err(error)),
                    _ => self.start_rest(&error),
                },
            }
        }
    }

    fn start_rest(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_reported, true) {
            self.episodes += 1;
            log::warn!("cannot accept connections for now (episode {}): {error}", self.episodes);
        }
        let handle = self.source.handle();
        let until = handle.now() + ACCEPT_REST;
        handle.forget_freed_descriptor();
        self.rest.set(until);
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}

/// A TCP connection.
///
/// It implements the `futures-io` traits. Every write is one system call; collect small ones.
pub struct TcpStream {
    source: Source<mio::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `addr`.
    ///
    /// # Errors
    ///
    /// As the system tells: refused, unreachable, timed out.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    pub async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
        let mut source = Source::new(mio::net::TcpStream::connect(addr)?);
        // Whether it worked is known once the socket can be written.
        source.set_blocked(Interest::Write);
        poll_fn(|cx| {
            loop {
                if !source.poll_ready(Interest::Write, cx)? {
                    return Poll::Pending;
                }
                if let Some(error) = source.io().take_error()? {
                    return Poll::Ready(Err(error));
                }
                match source.io().peer_addr() {
                    Ok(_) => return Poll::Ready(Ok(())),
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        source.set_blocked(Interest::Write);
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
        .await?;
        source.io().set_nodelay(true)?;
        Ok(TcpStream { source })
    }

    /// Returns the address of this end.
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
    /// As the system tells: the connection may have ended.
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

/// Repeats `operation` until it succeeds, fails, or would block.
fn poll_io<S: mio::event::Source>(
    source: &mut Source<S>,
    interest: Interest,
    cx: &Context<'_>,
    mut operation: impl FnMut(&S) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        if !source.poll_ready(interest, cx)? {
            return Poll::Pending;
        }
        match operation(source.io()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.set_blocked(interest),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}

impl Stream for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = ready!(poll_io(&mut self.source, Interest::Read, cx, |mut io| io.read(buf)))?;
        // Less than there was room for: drained, no need to see `WouldBlock`.
        if count < buf.len() {
            self.source.set_drained(Interest::Read);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let count = ready!(poll_io(&mut self.source, Interest::Write, cx, |mut io| match bufs {
            [one] => io.write(one),
            several => io.write_vectored(several),
        }))?;
        // Of more slices than this the rest was not even tried.
        if count < wanted && bufs.len() <= MAX_SLICES {
            self.source.set_drained(Interest::Write);
        }
        Poll::Ready(Ok(count))
    }

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        file: &std::fs::File,
        offset: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        use std::num::NonZeroUsize;

        // Where the system counts in 32 bits it does not reach further.
        let Ok(offset) = isize::try_from(offset) else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        // A short count may be the file's end, so it does not mean that there is no more room.
        poll_io(&mut self.source, Interest::Write, cx, |io| match (head, most) {
            ([], 0) => Ok(0),
            ([], most) => {
                SockRef::from(io).sendfile(file, offset as usize, NonZeroUsize::new(most))
            }
            (head, _) => SockRef::from(io).send_with_flags(head, MSG_MORE | MSG_NOSIGNAL),
        })
    }

    fn has_input(&self) -> bool {
        !self.source.is_drained(Interest::Read)
    }

    fn retry_write(&mut self) {
        self.source.set_undrained(Interest::Write);
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Left> {
        match self.source.poll_left(cx) {
            Ok(Some(left)) => Poll::Ready(left),
            Ok(None) => Poll::Pending,
            // A socket that cannot be watched cannot be served.
            Err(_) => Poll::Ready(Left::Broken),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) {
        // A linger of nothing turns the close into a reset; a socket that refuses it closes as usual.
        let _ = SockRef::from(self.source.io()).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_read(&mut *self, cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write(&mut *self, cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write(&mut *self, cx, bufs)
    }

    /// Nothing is kept back, so there is nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the sending side.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}
