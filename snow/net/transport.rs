//! The streams that a server's connections run on, as one type: the code that serves them is compiled once,
//! and not for each.

#[cfg(unix)]
use super::UnixStream;
use super::{ServerPipe, Stream, TcpStream};
use crate::rt::Hangup;
use std::{
    fs::File,
    io::{self, IoSlice},
    task::{Context, Poll},
};

/// One of the streams there are.
///
/// All but TCP are behind a pointer: the usual connection pays for the others neither in size nor with more
/// than one branch.
pub(crate) enum Transport {
    Tcp(TcpStream),
    /// A Unix socket, or the end of a test client's pipe.
    Other(Box<dyn Stream>),
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Transport {
        Transport::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for Transport {
    fn from(stream: UnixStream) -> Transport {
        Transport::Other(Box::new(stream))
    }
}

impl From<ServerPipe> for Transport {
    fn from(stream: ServerPipe) -> Transport {
        Transport::Other(Box::new(stream))
    }
}

/// Does `work` with whichever stream it is.
macro_rules! each {
    ($transport:ident, $stream:ident => $work:expr) => {
        match $transport {
            Transport::Tcp($stream) => $work,
            Transport::Other($stream) => $work,
        }
    };
}

impl Stream for Transport {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_read(cx, buf))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bufs))
    }

    fn poll_write_more(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write_more(cx, buf))
    }

    fn sends_files(&self) -> bool {
        each!(self, stream => stream.sends_files())
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_send_file(cx, file, offset, most))
    }

    fn has_input(&self) -> bool {
        each!(self, stream => stream.has_input())
    }

    fn is_awaited(&self) -> bool {
        each!(self, stream => stream.is_awaited())
    }

    fn retry_write(&mut self) {
        each!(self, stream => stream.retry_write())
    }

    fn poll_hangup(&mut self, cx: &mut Context<'_>) -> Poll<Hangup> {
        each!(self, stream => stream.poll_hangup(cx))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        each!(self, stream => stream.shutdown_write())
    }

    fn reset_on_drop(&mut self) {
        each!(self, stream => stream.reset_on_drop())
    }
}
