//! TCP listeners.

use super::{
    accept::{Accept, Acceptor, Listener, sealed},
    tcp::TcpStream,
};
use crate::rt::Source;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context, Poll},
};

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
    use socket2::{SockFilter, SockRef};

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

impl Accept for mio::net::TcpListener {
    type Stream = mio::net::TcpStream;
    type Peer = SocketAddr;

    fn accept(&self) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
        self.accept()
    }
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
    acceptor: Acceptor<mio::net::TcpListener>,
    /// Whether the socket may outlive this: it was handed to the process, or others hold it.
    is_inherited: bool,
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
    #[track_caller]
    pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::listen(addr, &ListenOptions::default())
    }

    /// Listens on `addr`.
    ///
    /// # Errors
    ///
    /// As [`bind`](TcpListener::bind).
    #[track_caller]
    pub fn listen(addr: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
        TcpListener::from_bound(options.listen(addr)?, false)
    }

    /// Takes a listener of the standard library to the loop of this thread.
    ///
    /// # Errors
    ///
    /// As the system tells, when the socket cannot be made not to block.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        // It may outlive the process, or be another loop's, too.
        TcpListener::from_bound(listener, true)
    }

    /// As [`from_std`](TcpListener::from_std), also for a socket that was handed to the process.
    #[track_caller]
    pub(crate) fn from_bound(
        listener: std::net::TcpListener,
        is_inherited: bool,
    ) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        // A duplicate of it may be on another loop.
        let source = Source::new_shared(mio::net::TcpListener::from_std(listener));
        Ok(TcpListener { acceptor: Acceptor::new(source), is_inherited })
    }

    /// Returns the address that is listened on, with the port that was taken for port 0.
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

    /// Waits for a connection.
    ///
    /// A connection that ends before it is accepted is passed over. When the machine is out of
    /// descriptors or memory the listener rests, which is logged once, and tries again.
    ///
    /// # Errors
    ///
    /// When the listener itself is unusable.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (source, peer) = self.acceptor.accept().await?;
        Ok((TcpStream::new(source), peer))
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;
}

impl sealed::Listen<TcpStream, SocketAddr> for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.acceptor.poll_accept(cx).map_ok(|(source, peer)| (TcpStream::new(source), peer))
    }

    fn starved(&self) -> u64 {
        self.acceptor.starved()
    }

    fn look_again(&self) {
        self.acceptor.look_again();
    }

    fn refuse_arrivals(&mut self) -> bool {
        // A filter would stay with the socket, and its next owner would serve nobody.
        !self.is_inherited && refuse_arrivals(self.acceptor.io())
    }

    fn remote(peer: &SocketAddr) -> Option<SocketAddr> {
        Some(*peer)
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.acceptor.io().fmt(f)
    }
}
