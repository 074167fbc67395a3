//! What sockets of datagrams have in common: a datagram that does not fit is never taken for a whole.
//!
//! The system tells of truncation in a flag that cannot be asked for without `unsafe`. So a datagram is
//! received into room for a byte more than was asked for: if that byte is used, it was longer. (On Windows it
//! would be an error that does not say who sent it, so there the room is for the longest.) The room is the
//! thread's own buffer, and what a copy costs is little beside the system call.

use super::buffer::Scratch;
use std::io;

/// What was received: how many bytes of the buffer it takes, and whether that is all of it.
///
/// # Examples
///
/// ```
/// use snow::net::{Datagram, UdpSocket};
///
/// snow::block_on(async {
///     let mut receiver = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
///     let mut sender = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
///     sender.send_to(b"a word", receiver.local_addr()?).await?;
///     let mut buf = [0; 1500];
///     let (Datagram::Whole(len), peer) = receiver.recv_from(&mut buf).await? else {
///         panic!("it was to fit");
///     };
///     assert_eq!((&buf[..len], peer), (&b"a word"[..], sender.local_addr()?));
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a datagram may be truncated"]
pub enum Datagram {
    /// All of it, and its length: an empty datagram is `Whole(0)`.
    Whole(usize),
    /// It was longer than the buffer, which is full of its beginning. The rest is lost.
    Truncated,
}

impl Datagram {
    /// Returns the length of a whole datagram.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a truncated one.
    pub fn whole(self) -> io::Result<usize> {
        match self {
            Datagram::Whole(len) => Ok(len),
            Datagram::Truncated => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the datagram is longer than the buffer",
            )),
        }
    }
}

/// Receives a datagram of at most `longest` bytes with `operation`, which fills what it can.
pub(super) fn receive<P>(
    buf: &mut [u8],
    longest: usize,
    operation: impl FnOnce(&mut [u8]) -> io::Result<(usize, P)>,
) -> io::Result<(Datagram, P)> {
    if buf.len() >= longest {
        return operation(buf).map(|(len, peer)| (Datagram::Whole(len), peer));
    }
    let roomier = if cfg!(windows) { longest } else { buf.len() + 1 };
    let received = |room: &mut [u8]| {
        let (len, peer) = operation(room)?;
        let kept = len.min(buf.len());
        buf[..kept].copy_from_slice(&room[..kept]);
        let is_whole = len == kept;
        Ok((if is_whole { Datagram::Whole(len) } else { Datagram::Truncated }, peer))
    };
    Scratch::with(|scratch| match scratch.input.get_mut(..roomier) {
        Some(room) => received(room),
        None => received(&mut vec![0; roomier]),
    })
}

/// How many ICMP errors one receive skips. The kernel reports each once, so a longer run is something else,
/// and is returned.
const MOST_REPORTS: usize = 64;

/// Repeats `operation` while it fails for a datagram that was sent before.
pub(super) fn unless_refused<R>(mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    for _ in 0..MOST_REPORTS {
        match operation() {
            Err(error) if is_of_a_datagram_before(&error) => {
                log::debug!("a datagram that was sent has not arrived: {error}");
            }
            outcome => return outcome,
        }
    }
    operation()
}

fn is_of_a_datagram_before(error: &io::Error) -> bool {
    let has_a_kind = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    );
    has_a_kind || error.raw_os_error().is_some_and(|code| REPORTS.contains(&code))
}

/// Other errors that Linux makes of ICMP messages, by their codes on x86 and ARM: EACCES, ENONET, EPROTO,
/// EMSGSIZE, ENOPROTOOPT, EOPNOTSUPP and EHOSTDOWN.
#[cfg(target_os = "linux")]
const REPORTS: [i32; 7] = [13, 64, 71, 90, 92, 95, 112];
#[cfg(not(target_os = "linux"))]
const REPORTS: [i32; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_goes_on_is_told() {
        let mut count = 0;
        let outcome = unless_refused(|| {
            count += 1;
            io::Result::<()>::Err(io::ErrorKind::ConnectionRefused.into())
        });
        assert!(outcome.is_err() && count == MOST_REPORTS + 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_icmp_reports_is_passed_over_and_nothing_else() {
        // ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP, EHOSTDOWN, ENONET, and
        // of version 6 EACCES, EPROTO.
        for code in [101, 113, 92, 111, 90, 95, 112, 64, 13, 71] {
            assert!(is_of_a_datagram_before(&io::Error::from_raw_os_error(code)), "{code}");
        }
        // EAGAIN, EBADF, ENOMEM, EINVAL, ENOTSOCK, ENOTCONN
        for code in [11, 9, 12, 22, 88, 107] {
            assert!(!is_of_a_datagram_before(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
