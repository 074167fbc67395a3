//! Sockets as async streams: bytes, and no message format but lines and a length prefix.
//!
//! A socket lives on the loop of the thread that made it and never moves: waiting for it on another
//! loop panics. The streams implement the `futures-io` traits, so the runtime-free half of the async
//! ecosystem works on them.

mod accept;
mod address;
mod buffer;
mod clients;
mod datagram;
mod extension;
mod framed;
mod halves;
mod listen;
mod pipe;
mod serve;
mod socket;
#[cfg(unix)]
mod socket_file;
mod stream;
mod tcp;
mod transport;
mod udp;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_datagram;

pub use accept::Listener;
pub use address::{Addresses, Endpoint};
pub use datagram::Datagram;
pub use extension::{ReadExt, WriteExt};
pub use framed::{
    Decode, Decoded, Decoder, Encode, FrameError, FrameErrorKind, Framed, FramedParts,
    LengthPrefixed, Line, Lines,
};
pub use halves::{ReadHalf, ReuniteError, Split, WriteHalf};
pub use listen::{ListenOptions, TcpListener};
pub use serve::{Serve, ServeHandle, serve};
pub use tcp::{KeepAlive, TcpStream};
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{UnixListener, UnixOptions, UnixStream};
#[cfg(unix)]
pub use unix_datagram::UnixDatagram;

pub(crate) use accept::{ACCEPTS_PER_TURN, LastLook};
pub(crate) use address::Place;
pub(crate) use buffer::Scratch;
pub(crate) use clients::{Clients, client_of};
pub(crate) use listen::HAS_REUSE_PORT;
pub(crate) use pipe::{Pipe, ServerPipe, pipe};
#[cfg(unix)]
pub(crate) use socket_file::SocketFile;
pub(crate) use stream::Stream;
pub(crate) use transport::Transport;
