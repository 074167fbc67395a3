//! Accepting connections, of whatever kind.
//!
//! A listener that runs out of descriptors rests, and goes on as soon as a socket of its loop is
//! closed or a moment has passed: it neither spins nor ends.

use crate::rt::{Direction, Sleep, Source, sleep};
use futures_io::{AsyncRead, AsyncWrite};
use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// Connections accepted before the ones that are there have their turn.
pub(crate) const ACCEPTS_PER_TURN: usize = 64;

/// How long a listener that could not accept rests, unless a descriptor is freed sooner.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How long a listener that is about to close waits for handshakes that have begun.
const LAST_ARRIVALS: Duration = Duration::from_millis(50);

/// What connections are accepted from: [`TcpListener`](super::TcpListener) and `UnixListener`.
pub trait Listener: sealed::Listen<Self::Stream, Self::Peer> + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// Where it comes from.
    type Peer: Clone + fmt::Debug + 'static;
}

pub(crate) mod sealed {
    use std::{
        io,
        net::SocketAddr,
        task::{Context, Poll},
    };

    /// What this crate asks of a listener.
    pub trait Listen<S, P> {
        /// Accepts a connection if there is one.
        fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(S, P)>>;

        /// Returns how often the machine was out of descriptors or memory for new connections.
        fn starved(&self) -> u64;

        /// Makes the next accept ask the kernel, though no event has reported a connection.
        fn look_again(&self);

        /// Keeps new clients from connecting, and lets those go on that have begun: what is in the queue of
        /// a listener that closes is reset. False where that cannot be done.
        fn refuse_arrivals(&mut self) -> bool;

        /// Returns the address of a peer that has one.
        fn remote(peer: &P) -> Option<SocketAddr>;
    }
}

/// How a listener stops without a reset for clients that have begun to connect.
#[derive(Default)]
pub(crate) struct LastLook {
    /// Whether new clients are kept out; `None` until that was tried.
    refuses: Option<bool>,
    /// Whether the handshakes have been waited for.
    is_taken: bool,
}

impl LastLook {
    /// Keeps new clients from connecting from now on; returns whether that works.
    pub(crate) fn refuse_arrivals<S, P>(
        &mut self,
        listener: &mut impl sealed::Listen<S, P>,
    ) -> bool {
        *self.refuses.get_or_insert_with(|| listener.refuse_arrivals())
    }

    /// Returns whether a listener with nobody to accept can be closed. The first time, it waits for
    /// handshakes that have begun and returns false: the listener is to be asked once more.
    pub(crate) async fn is_over<S, P>(&mut self, listener: &mut impl sealed::Listen<S, P>) -> bool {
        if self.is_taken || !self.refuse_arrivals(listener) {
            return true;
        }
        self.is_taken = true;
        sleep(LAST_ARRIVALS).await;
        false
    }
}

/// A listening socket as `mio` has it.
pub(super) trait Accept: mio::event::Source {
    type Stream: mio::event::Source;
    type Peer;

    fn accept(&self) -> io::Result<(Self::Stream, Self::Peer)>;
}

type Accepted<L> = (Source<<L as Accept>::Stream>, <L as Accept>::Peer);

/// A listening socket that rests when there are no descriptors.
pub(super) struct Acceptor<L: Accept> {
    source: Source<L>,
    /// While the listener rests.
    rest: Option<Sleep>,
    /// Whether this episode without descriptors or memory has been reported.
    is_reported: bool,
    /// How many such episodes there have been.
    episodes: u64,
}

impl<L: Accept> Acceptor<L> {
    pub(super) fn new(source: Source<L>) -> Acceptor<L> {
        Acceptor { source, rest: None, is_reported: false, episodes: 0 }
    }

    pub(super) fn io(&self) -> &L {
        self.source.io()
    }

    /// Returns how often the machine was out of descriptors or memory for new connections.
    pub(super) fn starved(&self) -> u64 {
        self.episodes
    }

    /// Makes the next accept ask the kernel, though no event has reported a connection.
    pub(super) fn look_again(&self) {
        self.source.set_undrained(Direction::Read);
    }

    /// Waits for a connection, as a step of the task's turn.
    pub(super) async fn accept(&mut self) -> io::Result<Accepted<L>> {
        poll_fn(|cx| {
            let step = ready!(self.source.poll_step(Direction::Read, cx));
            step.end(self.poll_accept(cx))
        })
        .await
    }

    /// Accepts a connection if there is one.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<L>>> {
        loop {
            if let Some(rest) = &mut self.rest {
                if self.source.handle().wait_for_descriptor(cx) {
                    ready!(Pin::new(rest).poll(cx));
                }
                self.rest = None;
            }
            if !self.source.poll_ready(Direction::Read, cx)? {
                return Poll::Pending;
            }
            match self.source.io().accept() {
                Ok((stream, peer)) => return Poll::Ready(Ok((Source::new(stream), peer))),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        // A descriptor was free and no client waits: the episode is over.
                        if std::mem::take(&mut self.is_reported) {
                            log::info!("accepting connections again");
                        }
                        self.source.set_blocked(Direction::Read);
                    }
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset => {}
                    // A socket that does not listen, or was shut down, will not recover.
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
        self.source.handle().forget_freed_descriptor();
        self.rest = Some(sleep(ACCEPT_REST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{block_on, spawn, timeout};
    use mio::{Interest, Registry, Token, event, net};
    use std::cell::Cell;

    /// A listener that finds no descriptor, the first so many times.
    struct Starved(net::TcpListener, Cell<u32>);

    impl Accept for Starved {
        type Stream = net::TcpStream;
        type Peer = std::net::SocketAddr;

        fn accept(&self) -> io::Result<(net::TcpStream, std::net::SocketAddr)> {
            match self.1.get() {
                0 => self.0.accept(),
                times => {
                    self.1.set(times - 1);
                    Err(io::ErrorKind::OutOfMemory.into())
                }
            }
        }
    }

    impl event::Source for Starved {
        fn register(&mut self, to: &Registry, token: Token, of: Interest) -> io::Result<()> {
            self.0.register(to, token, of)
        }

        fn reregister(&mut self, to: &Registry, token: Token, of: Interest) -> io::Result<()> {
            self.0.reregister(to, token, of)
        }

        fn deregister(&mut self, from: &Registry) -> io::Result<()> {
            self.0.deregister(from)
        }
    }

    #[test]
    fn a_listener_that_rests_wakes_the_task_that_it_was_moved_to() {
        block_on(async {
            let listener = net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut acceptor = Acceptor::new(Source::new(Starved(listener, Cell::new(1))));
            let here = poll_fn(|cx| acceptor.poll_accept(cx));
            assert!(timeout(Duration::ZERO, here).await.is_err(), "it rests");
            let there =
                spawn(async move { poll_fn(|cx| acceptor.poll_accept(cx)).await.map(drop) });
            timeout(Duration::from_secs(10), there).await.expect("it is woken").unwrap();
        });
    }
}
