//! The client: sends a file to the folder of a server, or fetches one from it.

use crate::{
    folder::{Source, path_of},
    progress::Progress,
    protocol::{Message, Peer},
    transfer::{self, Outcome},
};
use snow::{net::TcpStream, unblock};
use std::{fs, io, path::PathBuf, time::Duration};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What a client is to do.
pub(crate) enum Errand {
    /// Send this file.
    Put(PathBuf),
    /// Fetch the file of this name to this folder.
    Get(String, PathBuf),
}

pub(crate) async fn run(addr: &str, errand: Errand, stall: Duration) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(addr, CONNECT_LIMIT).await?;
    let mut peer = Peer::new(stream, stall);
    match transfer(&mut peer, errand).await {
        Ok(Outcome { size, offset }) => {
            println!("done: {size} bytes, {} of them now", size - offset);
            Ok(())
        }
        Err(error) => {
            peer.fail(&error).await;
            Err(error)
        }
    }
}

async fn transfer(peer: &mut Peer, errand: Errand) -> io::Result<Outcome> {
    let mut progress = Progress::new();
    let mut watch = |done, size| progress.show(done, size);
    match errand {
        Errand::Put(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // One's own links may be followed.
            let source = unblock(move || Source::open(&fs::canonicalize(path)?)).await?;
            peer.send(&Message::Put(name)).await?;
            transfer::send(peer, source, &mut watch).await
        }
        Errand::Get(name, folder) => {
            let target = path_of(&folder, &name)?;
            peer.send(&Message::Get(name)).await?;
            transfer::receive(peer, target, u64::MAX, &mut watch).await
        }
    }
}
