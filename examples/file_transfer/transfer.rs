//! The two sides of a transfer; the client may be either.
//!
//! What is resumed is identified by its content: the receiver tells the SHA-256 of what it has, and the
//! sender looks whether its own file begins so. A source that has changed is sent from its start, and is
//! never spliced to the beginning of another; nor is what a loss of power has made of a file that was half
//! there, which is forced to the disk only when it is whole. The SHA-256 of that is compared at the end.
//!
//! The disk is the business of the blocking pool, a piece at a time. A piece that is being written when
//! its connection ends holds the file, and so its lock, until it is written.

use crate::{
    folder::{Hashed, Partial, Source},
    protocol::{Digest, Message, Peer, unexpected},
};
use snow::{sleep, unblock};
use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    time::Duration,
};

/// How often, and how often at all, it is tried to get hold of a file that somebody else is writing: its
/// writer may be a connection that has broken and is just being found so.
const RETRY: Duration = Duration::from_millis(50);
const TRIES: usize = 20;

/// What a transfer tells of itself.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) size: u64,
    /// Where it began; what is before was there.
    pub(crate) offset: u64,
}

/// Called with how much there is and the size of the whole, as it grows.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(u64, u64);

/// Sends a file, or the rest of it.
pub(crate) async fn send(peer: &mut Peer, source: Source, watch: Watch<'_>) -> io::Result<Outcome> {
    let size = source.size;
    peer.send(&Message::Offer { size }).await?;
    let (mut source, offset) = match peer.next().await? {
        Message::Have { offset, digest } if offset <= size => {
            let (source, is_same) = peer.while_working(begins_with(source, offset, digest)).await?;
            (source, if is_same { offset } else { 0 })
        }
        Message::Have { .. } => (source, 0),
        message => return Err(unexpected(&message)),
    };
    peer.send(&Message::Start { offset }).await?;
    let mut sent = offset;
    while sent < size {
        let (rest, piece) = on_pool(source, move |source| source.hashed.read(size)).await?;
        source = rest;
        sent += piece.len() as u64;
        peer.send(&Message::Data(piece)).await?;
        watch(sent, size);
    }
    let digest = source.hashed.digest();
    on_pool(source, |source| source.check_unchanged()).await?;
    peer.send(&Message::End { digest }).await?;
    match peer.next().await? {
        Message::Done => Ok(Outcome { size, offset }),
        message => Err(unexpected(&message)),
    }
}

/// Returns whether the file begins with what has this digest; if not, it is at its start again.
async fn begins_with(
    mut source: Source,
    offset: u64,
    digest: Digest,
) -> io::Result<(Source, bool)> {
    source.hashed = hash(source.hashed, offset).await?;
    if source.hashed.digest() == digest {
        return Ok((source, true));
    }
    let (source, ()) = on_pool(source, |source| source.hashed.rewind()).await?;
    Ok((source, false))
}

/// Receives a file, or the rest of it, unless it has more than `most` bytes.
pub(crate) async fn receive(
    peer: &mut Peer,
    target: PathBuf,
    most: u64,
    watch: Watch<'_>,
) -> io::Result<Outcome> {
    let size = match peer.next().await? {
        Message::Offer { size } if size <= most => size,
        Message::Offer { .. } => return Err(refusal(&format!("more than {most} bytes"))),
        message => return Err(unexpected(&message)),
    };
    let partial = peer.while_working(open_partial(target, size)).await?;
    let (mut partial, existing) =
        on_pool(partial, move |partial| Ok(partial.existing(size))).await?;
    // What has the name may be what is offered: all of it was there, and the word that it was got lost.
    if let Some(existing) = existing.filter(|_| partial.len == 0 && size > 0) {
        let existing = peer.while_working(hash(existing, size)).await?;
        if is_settled(peer, &existing).await? {
            let keep = on_pool(partial, move |partial| partial.keep(&existing));
            peer.while_working(keep).await?;
            peer.send(&Message::Done).await?;
            return Ok(Outcome { size, offset: size });
        }
    } else {
        partial = negotiate(peer, partial).await?;
    }
    let offset = partial.hashed.position();
    let partial = fill(peer, partial, size, watch).await?;
    peer.while_working(on_pool(partial, Partial::finish)).await?;
    peer.send(&Message::Done).await?;
    Ok(Outcome { size, offset })
}

/// Opens what is half there and can be the beginning of `size` bytes.
async fn open_partial(target: PathBuf, size: u64) -> io::Result<Partial> {
    let mut tries = 1;
    let mut partial = loop {
        let target = target.clone();
        match unblock(move || Partial::open(target)).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && tries < TRIES => tries += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(refusal("somebody else is sending a file of this name just now"));
            }
            outcome => break outcome?,
        }
        sleep(RETRY).await;
    };
    if partial.len > size {
        (partial, ()) = on_pool(partial, Partial::restart).await?;
    }
    let len = partial.len;
    partial.hashed = hash(partial.hashed, len).await?;
    Ok(partial)
}

/// Tells the sender what is half there, and goes back to the start if it is of something else.
async fn negotiate(peer: &mut Peer, partial: Partial) -> io::Result<Partial> {
    let start = propose(peer, &partial.hashed).await?;
    if start == partial.hashed.position() {
        return Ok(partial);
    }
    Ok(on_pool(partial, Partial::restart).await?.0)
}

/// Tells the sender of a file that is as long as its own, and returns whether it is the same.
async fn is_settled(peer: &mut Peer, existing: &Hashed) -> io::Result<bool> {
    if propose(peer, existing).await? == 0 {
        return Ok(false);
    }
    match peer.next().await? {
        Message::End { digest } if digest == existing.digest() => Ok(true),
        Message::End { .. } => Err(refusal("the SHA-256 is not that of what was agreed on")),
        message => Err(unexpected(&message)),
    }
}

/// Tells the sender what is there, and returns where it starts: behind that, or at 0.
async fn propose(peer: &mut Peer, hashed: &Hashed) -> io::Result<u64> {
    let (offset, digest) = (hashed.position(), hashed.digest());
    peer.send(&Message::Have { offset, digest }).await?;
    match peer.next().await? {
        Message::Start { offset: start } if start == 0 || start == offset => Ok(start),
        message => Err(unexpected(&message)),
    }
}

/// Takes pieces until the file has `size` bytes, and checks that they are the right ones.
async fn fill(
    peer: &mut Peer,
    mut partial: Partial,
    size: u64,
    watch: Watch<'_>,
) -> io::Result<Partial> {
    let digest = loop {
        let position = partial.hashed.position();
        match peer.next().await? {
            Message::Data(piece) if piece.len() as u64 <= size - position => {
                (partial, ()) = on_pool(partial, move |partial| partial.append(&piece)).await?;
                watch(partial.hashed.position(), size);
            }
            Message::End { digest } if position == size => break digest,
            message => return Err(unexpected(&message)),
        }
    };
    if digest != partial.hashed.digest() {
        on_pool(partial, Partial::discard).await?;
        return Err(refusal("the SHA-256 is not that of what has come: it must be sent anew"));
    }
    Ok(partial)
}

fn refusal(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Passes over the file up to `end`, for its digest.
async fn hash(mut hashed: Hashed, end: u64) -> io::Result<Hashed> {
    while hashed.position() < end {
        (hashed, _) = on_pool(hashed, move |hashed| hashed.read(end)).await?;
    }
    Ok(hashed)
}

/// Works on something on the blocking pool, and brings it back.
async fn on_pool<T, R>(
    mut it: T,
    work: impl FnOnce(&mut T) -> io::Result<R> + Send + 'static,
) -> io::Result<(T, R)>
where
    T: Send + 'static,
    R: Send + 'static,
{
    unblock(move || work(&mut it).map(|output| (it, output))).await
}
