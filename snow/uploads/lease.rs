//! One request at a time for each upload.
//!
//! Whoever holds the [`Lease`] of an upload is alone with its files. A request that finds it taken
//! waits for a short while, since the usual holder is the broken connection of the same client: that one
//! gives way as soon as it [is wanted](Lease::is_wanted) and has nothing to do. Leases are kept in
//! memory, so they hold within one process.

use super::id::UploadId;
use crate::timeout;
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How long the holder may receive nothing before it gives way to a request that waits.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// How long a request waits for the holder: long enough for it to stall and finish its last write.
const PATIENCE: Duration = Duration::from_secs(3);

/// All leases of a directory.
#[derive(Default)]
pub(super) struct Leases(Mutex<Taken>);

/// Those who wait for each upload that is taken, by ticket.
type Taken = HashMap<UploadId, BTreeMap<u64, Waker>>;

static NEXT_TICKET: AtomicU64 = AtomicU64::new(0);

/// The right to work on an upload, until it is dropped.
pub(super) struct Lease {
    leases: Arc<Leases>,
    id: UploadId,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an upload that nobody works on.
    pub(super) fn try_take(self: &Arc<Leases>, id: UploadId) -> Option<Lease> {
        match self.lock().entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(entry) => {
                entry.insert(BTreeMap::new());
                Some(Lease { leases: Arc::clone(self), id })
            }
        }
    }

    /// Takes an upload, after those who work on it if they end soon; `None` if they do not.
    pub(super) async fn take(self: &Arc<Leases>, id: UploadId) -> Option<Lease> {
        timeout(PATIENCE, Taking { leases: self, id, ticket: None }).await.ok()
    }
}

impl Lease {
    pub(super) fn id(&self) -> UploadId {
        self.id
    }

    /// Returns whether another request waits for this one to end.
    pub(super) fn is_wanted(&self) -> bool {
        self.leases.lock().get(&self.id).is_some_and(|waiting| !waiting.is_empty())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let waiting = self.leases.lock().remove(&self.id);
        waiting.into_iter().flatten().for_each(|(_, waker)| waker.wake());
    }
}

/// One who waits for a lease.
struct Taking<'a> {
    leases: &'a Arc<Leases>,
    id: UploadId,
    ticket: Option<u64>,
}

impl Future for Taking<'_> {
    type Output = Lease;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        if let Some(lease) = self.leases.try_take(self.id) {
            return Poll::Ready(lease);
        }
        let ticket =
            *self.ticket.get_or_insert_with(|| NEXT_TICKET.fetch_add(1, Ordering::Relaxed));
        let mut taken = self.leases.lock();
        let Some(waiting) = taken.get_mut(&self.id) else {
            // It was given back between the two looks.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let replaced = waiting.insert(ticket, cx.waker().clone());
        // After the lock: dropping a waker may drop a task, which may hold a lease.
        drop(taken);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut taken = self.leases.lock();
        let waker = taken.get_mut(&self.id).and_then(|waiting| waiting.remove(&ticket));
        drop(taken);
        drop(waker);
    }
}
