//! Datagrams over Unix sockets: whole, in order, and none is lost.

use super::{
    datagram::{Datagram, receive, unless_refused},
    socket::wait_io,
    socket_file::{self, SocketFile},
    unix::{QUEUE_REST, UnixOptions},
};
use crate::rt::{Direction, Source, sleep};
use socket2::{SockAddr, SockRef, Type};
use std::{
    fmt,
    future::poll_fn,
    io,
    os::unix::net::SocketAddr,
    path::Path,
    sync::Arc,
    task::{Poll, ready},
};

/// A Unix socket of datagrams.
///
/// Its file, if it has one, is made and removed as that of a [`UnixListener`](super::UnixListener).
///
/// One task waits in each direction at a time, which `&mut` sees to; for a task that receives and another
/// that sends there is [`try_clone`](UnixDatagram::try_clone). Nothing is lost on the way, so a peer that
/// does not read keeps whoever [sends to it](UnixDatagram::send_to) waiting.
///
/// # Examples
///
/// ```
/// use snow::net::{Datagram, UnixDatagram};
///
/// snow::block_on(async {
///     let (mut ours, mut theirs) = UnixDatagram::pair()?;
///     ours.send(b"hello").await?;
///     let mut buf = [0; 1024];
///     assert_eq!(theirs.recv(&mut buf).await?, Datagram::Whole(5));
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct UnixDatagram {
    source: Source<mio::net::UnixDatagram>,
    /// Shared with the duplicates: the last one removes it.
    file: Option<Arc<SocketFile>>,
}

impl UnixDatagram {
    /// Makes a socket that receives at `path`, with the default options.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_with(path, &UnixOptions::default())
    }

    /// Makes a socket that receives at `path`; of the options, only those about its file apply.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixDatagram::bind).
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn bind_with(path: impl AsRef<Path>, options: &UnixOptions) -> io::Result<UnixDatagram> {
        let (socket, file) = socket_file::bind(Type::DGRAM, path.as_ref(), options.mode)?;
        Ok(UnixDatagram { file: file.map(Arc::new), ..UnixDatagram::from_std(socket.into())? })
    }

    /// Makes a socket without a name, to which nobody can answer.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(std::os::unix::net::UnixDatagram::unbound()?)
    }

    /// Makes two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    ///
    /// # Panics
    ///
    /// Outside a loop, as all sockets do.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((UnixDatagram::from_std(a)?, UnixDatagram::from_std(b)?))
    }

    /// Takes a socket of the standard library to the loop of this thread. Its file stays when it is
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
    pub fn from_std(socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        socket.set_nonblocking(true)?;
        // Duplicates of it may be anywhere.
        let source = Source::new_shared(mio::net::UnixDatagram::from_std(socket));
        Ok(UnixDatagram { source, file: None })
    }

    /// Returns another handle to the same socket, so that one task can receive while another sends. Of
    /// two that receive, either may get a datagram. The file, if there is one, goes with the last.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    #[track_caller]
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        let socket = SockRef::from(self.source.io()).try_clone()?;
        Ok(UnixDatagram { file: self.file.clone(), ..UnixDatagram::from_std(socket.into())? })
    }

    /// Connects the socket: from now on it sends to the socket at `path`, and receives from that one alone.
    ///
    /// # Errors
    ///
    /// `NotFound`, `ConnectionRefused` when nobody has it open any more, `PermissionDenied`.
    pub fn connect(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        SockRef::from(self.source.io()).connect(&socket_file::address(path.as_ref())?)
    }

    /// Sends a datagram to the socket that this one is connected to, as soon as there is room in its
    /// queue, and returns its length.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when nobody has it open any more; as the system tells: it is too long.
    pub async fn send(&mut self, datagram: &[u8]) -> io::Result<usize> {
        wait_io(&mut self.source, Direction::Write, |io| io.send(datagram)).await
    }

    /// Sends a datagram to the socket at `path`, as soon as there is room in its queue, and returns its
    /// length.
    ///
    /// A peer that does not read makes this wait for as long as it likes: a program that answers several
    /// peers in turn uses [`try_send_to`](UnixDatagram::try_send_to) or a `snow::timeout`, so that one does
    /// not hold up the others.
    ///
    /// # Errors
    ///
    /// `NotFound`, `ConnectionRefused` when nobody has it open any more, `PermissionDenied`; as the
    /// system tells: it is too long.
    pub async fn send_to(&mut self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let addr = socket_file::address(path.as_ref())?;
        loop {
            let attempt = poll_fn(|cx| {
                let step = ready!(self.source.poll_step(Direction::Write, cx));
                step.end(Poll::Ready(self.try_send(datagram, &addr)))
            });
            match attempt.await {
                // No event of this socket reports room in another's queue.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_REST).await,
                outcome => return outcome,
            }
        }
    }

    /// Sends a datagram to the socket at `path` if there is room in its queue, and returns its length.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when its queue is full, and as [`send_to`](UnixDatagram::send_to).
    pub fn try_send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.try_send(datagram, &socket_file::address(path.as_ref())?)
    }

    fn try_send(&self, datagram: &[u8], addr: &SockAddr) -> io::Result<usize> {
        loop {
            match SockRef::from(self.source.io()).send_to(datagram, addr) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Receives a datagram from the socket that this one is connected to, or from anybody.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As the system tells; `ConnectionReset` when the peer has connected elsewhere.
    pub async fn recv(&mut self, buf: &mut [u8]) -> io::Result<Datagram> {
        let receive = |io: &mio::net::UnixDatagram| {
            receive(buf, usize::MAX, |room| io.recv(room).map(|len| (len, ())))
        };
        let (datagram, ()) = wait_io(&mut self.source, Direction::Read, receive).await?;
        Ok(datagram)
    }

    /// Receives a datagram, and returns where it comes from: the path to answer to, unless it is unnamed.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// As the system tells, when the socket is unusable.
    pub async fn recv_from(&mut self, buf: &mut [u8]) -> io::Result<(Datagram, SocketAddr)> {
        let receive = |io: &mio::net::UnixDatagram| {
            receive(buf, usize::MAX, |room| unless_refused(|| io.recv_from(room)))
        };
        wait_io(&mut self.source, Direction::Read, receive).await
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
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => file.fmt(f),
            None => self.source.io().fmt(f),
        }
    }
}
