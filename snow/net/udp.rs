//! UDP: datagrams in, datagrams out.

use super::{
    address::{Addresses, first_of},
    datagram::{Datagram, receive, unless_refused},
    socket::{set_ttl, wait_io},
};
use crate::rt::{Direction, Source};
use socket2::SockRef;
use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Bytes of the longest datagram: what the length field of its header can say.
const LONGEST: usize = 65_535;

/// A UDP socket.
///
/// A peer cannot make receiving fail: a datagram that does not fit is reported as
/// [truncated](Datagram), and what routers and peers report about datagrams that were sent (ICMP) is not
/// given to [`recv_from`](UdpSocket::recv_from). Sending may fail for one peer and not for the next: log
/// it and go on.
///
/// One task waits in each direction at a time, which `&mut` sees to; for a task that receives and another
/// that sends there is [`try_clone`](UdpSocket::try_clone).
///
/// # Examples
///
/// An echo server:
///
/// ```no_run
/// use snow::net::{Datagram, UdpSocket};
///
/// snow::block_on(async {
///     let mut socket = UdpSocket::bind("127.0.0.1:9999".parse().unwrap())?;
///     let mut buf = [0; 1500];
///     loop {
///         match socket.recv_from(&mut buf).await? {
///             (Datagram::Whole(len), peer) => {
///                 if let Err(error) = socket.send_to(&buf[..len], peer).await {
///                     eprintln!("{peer}: {error}");
///                 }
///             }
///             (Datagram::Truncated, peer) => eprintln!("{peer}: too long"),
///         }
///     }
///     # #[allow(unreachable_code)]
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct UdpSocket {
    source: Source<mio::net::UdpSocket>,
}

impl UdpSocket {
    /// Makes a socket that receives on `addr`; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// As the system tells: the port is taken, the address is not of this machine, permission.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_std(std::net::UdpSocket::bind(addr)?)
    }

    /// Takes a socket of the standard library to the loop of this thread: one with options of
    /// `socket2`, for example.
    ///
    /// # Errors
    ///
    /// As the system tells, when the socket cannot be made not to block.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        socket.set_nonblocking(true)?;
        // Duplicates of it may be anywhere.
        let source = Source::new_shared(mio::net::UdpSocket::from_std(socket));
        Ok(UdpSocket { source })
    }

    /// Returns another handle to the same socket, so that one task can receive while another sends. Of
    /// two that receive, either may get a datagram.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    #[track_caller]
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        UdpSocket::from_std(self.as_socket().try_clone()?.into())
    }

    fn as_socket(&self) -> SockRef<'_> {
        SockRef::from(self.source.io())
    }

    /// Connects the socket: from now on it sends to and receives from the first of `addrs` that the system
    /// takes, and nobody else. A name is looked up on the blocking pool.
    ///
    /// Nothing is sent: that nobody listens there is known after the first datagram at the earliest.
    ///
    /// # Errors
    ///
    /// That of the last address, as the system tells; `InvalidInput` for what is no address.
    pub async fn connect(&mut self, addrs: impl Addresses) -> io::Result<()> {
        first_of(addrs, async |addr, _| self.source.io().connect(addr)).await
    }

    /// Sends a datagram to the address that the socket is connected to, and returns its length.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when a datagram that was sent before reached nobody: this one was not sent,
    /// the next may be. As the system tells: it is too long, the network is unreachable.
    pub async fn send(&mut self, datagram: &[u8]) -> io::Result<usize> {
        wait_io(&mut self.source, Direction::Write, |io| io.send(datagram)).await
    }

    /// Sends a datagram to `addr`, and returns its length.
    ///
    /// # Errors
    ///
    /// As the system tells: it is too long, the network is unreachable, a broadcast is not
    /// [allowed](UdpSocket::set_broadcast). The socket is as good as before.
    pub async fn send_to(&mut self, datagram: &[u8], addr: SocketAddr) -> io::Result<usize> {
        wait_io(&mut self.source, Direction::Write, |io| io.send_to(datagram, addr)).await
    }

    /// Receives a datagram from the address that the socket is connected to.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What is reported about a datagram that was sent before: `ConnectionRefused` when nobody has that
    /// port, and other errors as routers tell. The socket is as good as before.
    pub async fn recv(&mut self, buf: &mut [u8]) -> io::Result<Datagram> {
        let receive = |io: &mio::net::UdpSocket| {
            receive(buf, LONGEST, |room| io.recv(room).map(|len| (len, ())))
        };
        let (datagram, ()) = wait_io(&mut self.source, Direction::Read, receive).await?;
        Ok(datagram)
    }

    /// Receives a datagram, and returns where it comes from.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As the system tells, when the socket is unusable. That a datagram that was sent before reached
    /// nobody is no such error: it is passed over.
    pub async fn recv_from(&mut self, buf: &mut [u8]) -> io::Result<(Datagram, SocketAddr)> {
        let receive = |io: &mio::net::UdpSocket| {
            receive(buf, LONGEST, |room| unless_refused(|| io.recv_from(room)))
        };
        wait_io(&mut self.source, Direction::Read, receive).await
    }

    /// As [`recv_from`](UdpSocket::recv_from), but the datagram stays to be received.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    pub async fn peek_from(&mut self, buf: &mut [u8]) -> io::Result<(Datagram, SocketAddr)> {
        let peek = |io: &mio::net::UdpSocket| {
            receive(buf, LONGEST, |room| unless_refused(|| io.peek_from(room)))
        };
        wait_io(&mut self.source, Direction::Read, peek).await
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// Returns the address that the socket is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` when it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().peer_addr()
    }

    /// Allows sending to broadcast addresses. Default: not.
    ///
    /// # Errors
    ///
    /// As the system tells, like those below.
    pub fn set_broadcast(&self, allowed: bool) -> io::Result<()> {
        self.source.io().set_broadcast(allowed)
    }

    /// Returns whether broadcasts are allowed.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.source.io().broadcast()
    }

    /// Receives what is sent to `group`, on the interface that has the address `interface`;
    /// unspecified, the system chooses one.
    ///
    /// # Errors
    ///
    /// As the system tells: it is no multicast address, there is no such interface.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.source.io().join_multicast_v4(&group, &interface)
    }

    /// Receives what is sent to `group` no longer.
    ///
    /// # Errors
    ///
    /// As the system tells: it had not been joined.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.source.io().leave_multicast_v4(&group, &interface)
    }

    /// Receives what is sent to `group`, on the interface of that index; 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As the system tells: it is no multicast address, there is no such interface.
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source.io().join_multicast_v6(&group, interface)
    }

    /// Receives what is sent to `group` no longer.
    ///
    /// # Errors
    ///
    /// As the system tells: it had not been joined.
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source.io().leave_multicast_v6(&group, interface)
    }

    /// Sets the interface that multicasts over IPv4 are sent from; by default the system chooses.
    ///
    /// # Errors
    ///
    /// As the system tells: there is no such interface.
    pub fn set_multicast_interface_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        self.as_socket().set_multicast_if_v4(&interface)
    }

    /// Sets the interface, by its index, that multicasts over IPv6 are sent from.
    ///
    /// # Errors
    ///
    /// As the system tells: there is no such interface.
    pub fn set_multicast_interface_v6(&self, interface: u32) -> io::Result<()> {
        self.as_socket().set_multicast_if_v6(interface)
    }

    /// Sets whether multicasts over IPv4 come back to members on this machine. Default: true.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_multicast_loop_v4(&self, comes_back: bool) -> io::Result<()> {
        self.source.io().set_multicast_loop_v4(comes_back)
    }

    /// Sets whether multicasts over IPv6 come back to members on this machine. Default: true.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_multicast_loop_v6(&self, comes_back: bool) -> io::Result<()> {
        self.source.io().set_multicast_loop_v6(comes_back)
    }

    /// Sets how many routers a multicast over IPv4 may pass. Default: 1, which is none.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.source.io().set_multicast_ttl_v4(ttl)
    }

    /// Sets how many routers a multicast over IPv6 may pass. Default: 1, which is none.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_multicast_hops_v6(&self, hops: u32) -> io::Result<()> {
        self.as_socket().set_multicast_hops_v6(hops)
    }

    /// Sets how many routers a datagram that is no multicast may pass: its time to live, which is the hop limit of IPv6.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        set_ttl(&self.as_socket(), ttl)
    }

    /// Asks for a receive buffer of so many bytes; datagrams that do not fit are lost.
    ///
    /// # Errors
    ///
    /// As the system tells; to be given less than was asked for is no error.
    pub fn set_recv_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        self.as_socket().set_recv_buffer_size(bytes)
    }

    /// Returns the size of the receive buffer, in bytes; on Linux the kernel's own overhead counts in it.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn recv_buffer_bytes(&self) -> io::Result<usize> {
        self.as_socket().recv_buffer_size()
    }

    /// Asks for a send buffer of so many bytes.
    ///
    /// # Errors
    ///
    /// As [`set_recv_buffer_bytes`](UdpSocket::set_recv_buffer_bytes).
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        self.as_socket().set_send_buffer_size(bytes)
    }

    /// Returns the size of the send buffer, in bytes.
    ///
    /// # Errors
    ///
    /// As the system tells.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        self.as_socket().send_buffer_size()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}
