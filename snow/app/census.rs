//! The connections of all workers, counted: for the bounds on them, and for whoever watches a server.

use super::App;
use crate::net::Clients;
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// The connections of all workers, counted.
#[derive(Default)]
pub(super) struct Census {
    all: AtomicUsize,
    clients: Mutex<Clients>,
    /// Connections that ended by themselves during the stop.
    finished: AtomicUsize,
    /// Connections that were cut at its end.
    cut: AtomicUsize,
    /// How often a worker could not accept.
    starved: AtomicU64,
}

impl Census {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many connections ended by themselves during the stop, and how many were cut.
    pub(super) fn outcome(&self) -> (usize, usize) {
        (self.finished.load(Ordering::Relaxed), self.cut.load(Ordering::Relaxed))
    }

    /// Notes what became of connections when the server was to stop.
    pub(super) fn stopped(&self, finished: usize, cut: usize) {
        self.finished.fetch_add(finished, Ordering::Relaxed);
        self.cut.fetch_add(cut, Ordering::Relaxed);
    }

    /// Notes that a worker could not accept, so many times.
    pub(super) fn starved(&self, episodes: u64) {
        if episodes > 0 {
            self.starved.fetch_add(episodes, Ordering::Relaxed);
        }
    }

    pub(super) fn is_full(&self, most: usize) -> bool {
        self.all.load(Ordering::Relaxed) >= most
    }

    /// Counts a connection in, unless its client has too many connections or descriptors.
    pub(super) fn enter(
        &self,
        client: Option<IpAddr>,
        most: usize,
        most_descriptors: usize,
    ) -> bool {
        // Without an address there is nothing to lock for.
        let is_welcome = client.is_none() || self.clients().enter(client, most, most_descriptors);
        self.all.fetch_add(usize::from(is_welcome), Ordering::Relaxed);
        is_welcome
    }

    pub(super) fn leave(&self, client: Option<IpAddr>) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        if client.is_some() {
            self.clients().leave(client);
        }
    }

    /// Returns whether a client has fewer than `most` descriptors.
    pub(super) fn has_descriptor(&self, client: Option<IpAddr>, most: usize) -> bool {
        client.is_none() || self.clients().has_descriptor(client, most)
    }

    /// Counts in a file that is sent to a client.
    pub(super) fn open(&self, client: Option<IpAddr>) {
        if client.is_some() {
            self.clients().open(client);
        }
    }

    pub(super) fn close(&self, client: Option<IpAddr>) {
        if client.is_some() {
            self.clients().close(client);
        }
    }
}

/// What a server counts, to be read from any thread while it runs and afterwards.
///
/// # Examples
///
/// ```
/// use snow::{Snow, get};
///
/// let server = Snow::new([get("^/$", |_| "hello")]).bind("127.0.0.1:0")?.start()?;
/// let counters = server.counters();
/// assert_eq!((counters.connections(), counters.starved()), (0, 0));
/// # Ok::<(), snow::Error>(())
/// ```
#[derive(Clone)]
pub struct Counters(pub(super) Arc<App>);

impl Counters {
    /// Returns how many connections there are now.
    pub fn connections(&self) -> usize {
        self.0.census.all.load(Ordering::Relaxed)
    }

    /// Returns how often a worker could not accept, because the machine was out of descriptors or memory,
    /// or because there were [as many connections as there may be](crate::Config::max_connections):
    /// once for each time it began, however long it lasted.
    pub fn starved(&self) -> u64 {
        self.0.census.starved.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("connections", &self.connections())
            .field("starved", &self.starved())
            .finish()
    }
}
