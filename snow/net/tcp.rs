//! TCP streams.

use super::{
    address::{Addresses, first_of},
    halves::{ReadHalf, WriteHalf, sealed::Ends, split},
    socket::{self, connected, impl_futures_io, wait_io},
    stream::Stream,
};
use crate::rt::{Direction, Handle, Source, timeout};
use socket2::{SockRef, TcpKeepalive};
use std::{
    fmt, io,
    net::{Shutdown, SocketAddr},
    time::Duration,
};

/// Linux: more follows at once, so that the last segment waits for it, for 200 ms at the most.
#[cfg(target_os = "linux")]
const MSG_MORE: i32 = 0x8000;

/// Linux: a peer that has left is an error and not a signal.
#[cfg(target_os = "linux")]
const MSG_NOSIGNAL: i32 = 0x4000;

/// A TCP connection.
///
/// It implements the `futures-io` traits; [`ReadExt`](super::ReadExt) and [`WriteExt`](super::WriteExt)
/// have the methods to `.await`. Every write is one system call; collect small ones.
///
/// It lives on the loop that it was made on: waiting for it on another one panics.
///
/// # Examples
///
/// ```
/// use snow::net::{ReadExt, TcpListener, TcpStream, WriteExt};
/// use std::time::Duration;
///
/// snow::block_on(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
///     let port = listener.local_addr()?.port();
///     let client = TcpStream::connect_timeout(("127.0.0.1", port), Duration::from_secs(5));
///     let mut client = client.await?;
///     let (mut served, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     let mut buf = [0; 16];
///     assert_eq!(served.read(&mut buf).await?, 5);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct TcpStream {
    source: Source<mio::net::TcpStream>,
}

/// When an idle connection is probed, to find out whether the other end is still there.
///
/// # Examples
///
/// ```
/// use snow::net::KeepAlive;
/// use std::time::Duration;
///
/// let keep_alive = KeepAlive { idle: Duration::from_secs(60), ..KeepAlive::default() };
/// # let _ = keep_alive;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe. Default: two minutes, below what most middleboxes forget
    /// connections after; the system's own is often two hours.
    pub idle: Duration,
    /// Time between two probes. Default: 15 s.
    pub interval: Duration,
    /// Probes without an answer after which the connection is broken. Default: 4.
    pub count: u32,
}

impl Default for KeepAlive {
    fn default() -> KeepAlive {
        KeepAlive { idle: Duration::from_secs(120), interval: Duration::from_secs(15), count: 4 }
    }
}

impl KeepAlive {
    #[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "redox")))]
    fn parameters(self) -> TcpKeepalive {
        let idle = TcpKeepalive::new().with_time(self.idle);
        idle.with_interval(self.interval).with_retries(self.count)
    }

    /// These systems take fewer parameters.
    #[cfg(any(target_os = "openbsd", target_os = "haiku", target_os = "redox"))]
    fn parameters(self) -> TcpKeepalive {
        TcpKeepalive::new().with_time(self.idle)
    }
}

impl TcpStream {
    pub(super) fn new(source: Source<mio::net::TcpStream>) -> TcpStream {
        TcpStream { source }
    }

    /// Connects to the first of `addrs` that takes the connection. A name is looked up on the blocking
    /// pool.
    ///
    /// The system gives up after a minute or two; [`connect_timeout`](TcpStream::connect_timeout) does
    /// when it is told to. `TCP_NODELAY` is set.
    ///
    /// # Errors
    ///
    /// That of the last address, as the system tells: refused, unreachable, timed out. `InvalidInput`
    /// for what is no address; of the look-up, for a name that nobody knows.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    pub async fn connect(addrs: impl Addresses) -> io::Result<TcpStream> {
        first_of(addrs, async |addr, _| TcpStream::connect_to(addr).await).await
    }

    async fn connect_to(addr: SocketAddr) -> io::Result<TcpStream> {
        let mut source = Source::new(mio::net::TcpStream::connect(addr)?);
        connected(&mut source).await?;
        source.io().set_nodelay(true)?;
        Ok(TcpStream { source })
    }

    /// As [`connect`](TcpStream::connect), for at most `limit`: the look-up and all attempts together.
    /// A look-up that has begun goes on on the blocking pool.
    ///
    /// Each address gets an equal share of the time that is left, so that one which does not answer
    /// leaves some to the others.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `limit`, and as [`connect`](TcpStream::connect).
    ///
    /// # Panics
    ///
    /// As [`connect`](TcpStream::connect).
    pub async fn connect_timeout(addrs: impl Addresses, limit: Duration) -> io::Result<TcpStream> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "nobody answered in time");
        let handle = Handle::current();
        // The time of the tick may be long ago.
        let until = handle.precise_now() + limit;
        let connecting = first_of(addrs, async |addr, left| {
            let share = until.since(handle.precise_now()) / u32::try_from(left).unwrap_or(u32::MAX);
            timeout(share, TcpStream::connect_to(addr)).await.map_err(late)?
        });
        timeout(limit, connecting).await.map_err(late)?
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
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        // A duplicate of it may be on another loop.
        let source = Source::new_shared(mio::net::TcpStream::from_std(stream));
        Ok(TcpStream { source })
    }

    /// Takes the stream off the loop. It does not block; change that with `set_nonblocking`.
    ///
    /// # Errors
    ///
    /// When there is no descriptor: for a moment this takes two.
    pub fn into_std(mut self) -> io::Result<std::net::TcpStream> {
        self.source.set_shared();
        SockRef::from(self.source.io()).try_clone().map(Into::into)
    }

    /// Splits the stream in two halves that borrow it, for one task that does two things at once.
    pub fn split(&mut self) -> (ReadHalf<&mut TcpStream>, WriteHalf<&mut TcpStream>) {
        split(self)
    }

    /// Splits the stream in two halves, each for a task of its own on this loop.
    pub fn into_split(self) -> (ReadHalf<TcpStream>, WriteHalf<TcpStream>) {
        split(self)
    }

    /// Waits until there is something to read and copies it to `buf`, but does not take it: the next
    /// read returns it again. 0 is the end.
    ///
    /// # Errors
    ///
    /// As the system tells: the connection is reset.
    pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        wait_io(&mut self.source, Direction::Read, |io| io.peek(buf)).await
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

    /// Sets whether small writes are sent at once (`TCP_NODELAY`), which is so unless the listener's
    /// options say otherwise.
    ///
    /// # Errors
    ///
    /// As the system tells, like those below.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.io().set_nodelay(nodelay)
    }

    /// Returns whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.io().nodelay()
    }

    /// Has the system find out whether the other end is still there, or not. Default: not.
    ///
    /// # Errors
    ///
    /// As the system tells: it may refuse a time or a count.
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> io::Result<()> {
        let socket = SockRef::from(self.source.io());
        match keep_alive {
            Some(keep_alive) => socket.set_tcp_keepalive(&keep_alive.parameters()),
            None => socket.set_keepalive(false),
        }
    }

    /// Returns whether the system finds out whether the other end is still there.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn keep_alive(&self) -> io::Result<bool> {
        SockRef::from(self.source.io()).keepalive()
    }

    /// Sets what a drop does with bytes that are not sent yet: `None`, the default, sends them in the
    /// background; zero throws them away and resets the connection. Any other time makes the drop
    /// block, and the loop with it: do not. Systems count in whole seconds: a fraction is one more, and 65,535 are
    /// the most.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        let whole = |duration: Duration| {
            let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
            Duration::from_secs(seconds.min(u16::MAX.into()))
        };
        SockRef::from(self.source.io()).set_linger(linger.map(whole))
    }

    /// Returns what [`set_linger`](TcpStream::set_linger) has set.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self.source.io()).linger()
    }

    /// Sets how many routers a packet may pass: its time to live, which is the hop limit of IPv6.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        socket::set_ttl(&self.source.io().into(), ttl)
    }

    /// Returns how many routers a packet may pass.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn ttl(&self) -> io::Result<u32> {
        socket::ttl(&self.source.io().into())
    }
}

impl Stream for TcpStream {
    socket::stream_methods!();

    #[cfg(target_os = "linux")]
    fn poll_write_more(
        &mut self,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        socket::poll_io(&mut self.source, Direction::Write, cx, |io| {
            SockRef::from(io).send_with_flags(buf, MSG_MORE | MSG_NOSIGNAL)
        })
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) {
        // A linger of nothing turns the close into a reset; a socket that refuses it closes as usual.
        let _ = self.set_linger(Some(Duration::ZERO));
    }
}

impl_futures_io!(TcpStream);

impl Ends for TcpStream {
    fn writer_dropped(&mut self) {
        // A connection that has ended already has no sending side to end.
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{future::poll_fn, io::Read};

    /// Returns whether nothing of what more followed arrived before that did.
    fn is_kept_back() -> bool {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        crate::rt::block_on(async {
            let mut stream = connecting.await.unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            let count = poll_fn(|cx| stream.poll_write_more(cx, b"last")).await.unwrap();
            assert_eq!(count, 4);
            peer.set_nonblocking(true).unwrap();
            let early = peer.read(&mut [0]);
            stream.shutdown_write().unwrap();
            peer.set_nonblocking(false).unwrap();
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).unwrap();
            assert!(b"last".ends_with(&rest));
            early.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        })
    }

    #[test]
    fn what_more_follows_travels_with_it() {
        // Unless this process stood still for a fifth of a second, each time.
        assert!((0..5).any(|_| is_kept_back()));
    }
}
