//! Uploads that nobody goes on with are removed, and those are forgotten whose files the program has taken.
//!
//! A task does it while there are uploads. A loop has to run it, so that it begins with the first request.

use super::store::Store;
use crate::{sleep, spawn, unblock};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// The time between two looks, at most; an upload that has expired meanwhile is there, and answered 410.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// The time between two looks, at least.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Sees to it that what expires is swept away, from the loop of this thread if none does yet.
pub(super) fn keep_swept(store: &Arc<Store>) {
    if store.begin_sweeping() {
        spawn(sweep(Sweeping(Arc::downgrade(store)))).detach();
    }
}

/// Ends with its task, be it that the loop ends: another loop's may begin then.
///
/// The directory is not its own: it is free when the routes are gone, though the loop may go on.
struct Sweeping(Weak<Store>);

impl Sweeping {
    /// Returns how long it is to the next look; `None` when there is nothing left to look at.
    fn interval(&self) -> Option<Duration> {
        let store = self.0.upgrade().filter(|store| !store.is_empty())?;
        let shortest = store.limits.expires_after.min(store.limits.completed_expire_after);
        Some(shortest.clamp(MIN_INTERVAL, MAX_INTERVAL))
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(store) = self.0.upgrade() {
            store.end_sweeping();
        }
    }
}

async fn sweep(sweeping: Sweeping) {
    while let Some(interval) = sweeping.interval() {
        sleep(interval).await;
        let Some(store) = sweeping.0.upgrade() else { return };
        if let Err(error) = unblock(move || store.sweep()).await {
            log::error!("expired uploads cannot be swept away: {error}");
        }
    }
    let store = sweeping.0.upgrade();
    drop(sweeping);
    // An upload that was made since the last look found this task there.
    if let Some(store) = store {
        keep_swept(&store);
    }
}
