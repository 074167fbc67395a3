//! Sockets to the server: opened blocking, registered once, edge-triggered, used without waiting.

use rustix::{
    buffer::spare_capacity,
    event::epoll,
    fd::OwnedFd,
    io::{Errno, Result},
    net::{
        AddressFamily, Ipv4Addr, RecvFlags, SendFlags, SocketAddrV4, SocketFlags, SocketType,
        connect, recv, send, socket_with, sockopt,
    },
    time::Timespec,
};
/// Nothing arrives for so long: the run ends, and what is missing counts as errors.
const LIMIT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Opens a connection to the server at `port`; waits until it stands.
pub fn open(port: u16) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

pub fn new_epoll() -> Result<OwnedFd> {
    epoll::create(epoll::CreateFlags::CLOEXEC)
}

pub fn register(epoll: &OwnedFd, socket: &OwnedFd, token: usize) -> Result<()> {
    let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(epoll, socket, epoll::EventData::new_u64(token as u64), interest)
}

/// Sends what the socket takes at once; returns how much that was.
pub fn send_some(socket: &OwnedFd, bytes: &[u8]) -> Result<usize> {
    match send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN) => Ok(0),
        other => other,
    }
}

/// What a read found.
pub enum Input {
    Bytes(usize),
    Nothing,
    End,
}

/// Reads into `buf` what has arrived.
pub fn receive(socket: &OwnedFd, buf: &mut [u8]) -> Result<Input> {
    receive_with(socket, buf, RecvFlags::DONTWAIT)
}

/// Drops what has arrived, at most as much as `buf` holds, without copying it anywhere.
pub fn discard(socket: &OwnedFd, buf: &mut [u8]) -> Result<Input> {
    receive_with(socket, buf, RecvFlags::DONTWAIT | RecvFlags::TRUNC)
}

fn receive_with(socket: &OwnedFd, buf: &mut [u8], flags: RecvFlags) -> Result<Input> {
    match recv(socket, buf, flags) {
        Ok((_, 0)) => Ok(Input::End),
        Ok((_, len)) => Ok(Input::Bytes(len)),
        Err(Errno::AGAIN) => Ok(Input::Nothing),
        Err(error) => Err(error),
    }
}

/// Waits for events, replacing what `events` held: none when nothing arrives for `LIMIT`.
pub fn wait(epoll: &OwnedFd, events: &mut Vec<epoll::Event>) -> Result<()> {
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), Some(&LIMIT)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
