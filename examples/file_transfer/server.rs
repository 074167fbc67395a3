//! The server: a folder from which files are sent and in which they are received.

use crate::{
    folder::{Source, path_of},
    protocol::{Message, Peer, unexpected},
    transfer::{self, Outcome},
};
use snow::{
    net::{TcpListener, TcpStream, serve},
    unblock,
};
use std::{io, net::SocketAddr, path::PathBuf, rc::Rc, time::Duration};

/// Connections at a time, each with a piece of a file in memory.
const MOST_CONNECTIONS: usize = 256;

/// What is served, and how.
pub(crate) struct Store {
    pub(crate) folder: PathBuf,
    /// How long a client may be silent, or take nothing.
    pub(crate) stall: Duration,
    /// The size of the largest file that is received.
    pub(crate) max_bytes: u64,
}

pub(crate) async fn run(addr: SocketAddr, store: Store) -> io::Result<()> {
    if !store.folder.is_dir() {
        return Err(io::Error::other(format!("{:?} is no folder", store.folder)));
    }
    let listener = TcpListener::bind(addr)?;
    log::info!("listening on {}", listener.local_addr()?);
    let store = Rc::new(store);
    let server = serve(listener, move |stream, peer| converse(Rc::clone(&store), stream, peer));
    server.max_connections(MOST_CONNECTIONS).await
}

async fn converse(store: Rc<Store>, stream: TcpStream, addr: SocketAddr) -> io::Result<()> {
    let mut peer = Peer::new(stream, store.stall);
    match store.transfer(&mut peer).await {
        Ok(Outcome { size, offset }) => {
            log::info!("{addr}: done; {size} bytes, {} of them now", size - offset);
            Ok(())
        }
        Err(error) => {
            peer.fail(&error).await;
            Err(error)
        }
    }
}

impl Store {
    async fn transfer(&self, peer: &mut Peer) -> io::Result<Outcome> {
        let mut unwatched = |_, _| ();
        match peer.next().await? {
            Message::Put(name) => {
                let target = path_of(&self.folder, &name)?;
                transfer::receive(peer, target, self.max_bytes, &mut unwatched).await
            }
            Message::Get(name) => {
                let path = path_of(&self.folder, &name)?;
                let source = unblock(move || Source::open(&path)).await?;
                transfer::send(peer, source, &mut unwatched).await
            }
            message => Err(unexpected(&message)),
        }
    }
}
