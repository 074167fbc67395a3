//! Uploads that are made of others.

use super::{
    fields,
    id::UploadId,
    info::{Info, Kind},
    lease::Lease,
    refusal::Refusal,
    store::Store,
    stored::{State, Stored},
};
use crate::unblock;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

/// Makes a final upload of its parts, which stay until they are deleted or expire.
pub(super) async fn concatenate(store: &Arc<Store>, info: Info) -> Result<State, Refusal> {
    let ids = fields::parse_parts(info.concat().unwrap_or_default())?;
    let mut parts = Parts { store: Arc::clone(store), leases: HashMap::new() };
    for &id in &ids {
        if let Entry::Vacant(entry) = parts.leases.entry(id) {
            entry.insert(store.leases.take(id).await.ok_or_else(Refusal::locked)?);
        }
    }
    unblock(move || parts.join(&ids, info)).await
}

/// The parts of an upload, which nobody else works on meanwhile. One at a time is open: there may be more
/// of them than descriptors.
struct Parts {
    store: Arc<Store>,
    leases: HashMap<UploadId, Lease>,
}

impl Parts {
    fn join(&mut self, ids: &[UploadId], info: Info) -> Result<State, Refusal> {
        let lengths = ids.iter().map(|&id| self.with_part(id, part_len));
        let length = lengths.sum::<Result<u64, Refusal>>()?;
        if length > self.store.limits.max_upload_bytes {
            return Err(Refusal::new(413, "the parts together are larger than Tus-Max-Size"));
        }
        let mut whole = self.store.create(info)?;
        let joined = self.fill(&mut whole, ids, length);
        if joined.is_err() {
            whole.remove()?;
        }
        joined
    }

    fn fill(
        &mut self,
        whole: &mut Stored,
        ids: &[UploadId],
        length: u64,
    ) -> Result<State, Refusal> {
        for &id in ids {
            self.with_part(id, |part| whole.append(part))?;
        }
        // Until it has a length it is not complete, be the process killed before.
        whole.set_length(length)?;
        whole.acknowledge()?;
        whole.state()
    }

    fn with_part<T>(
        &mut self,
        id: UploadId,
        work: impl FnOnce(&Stored) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let lease = self.leases.remove(&id).ok_or_else(Refusal::unknown)?;
        let part = self.store.load(lease)?;
        let outcome = work(&part);
        self.leases.insert(id, part.into_lease());
        outcome
    }
}

/// Returns the length of an upload that can be a part.
fn part_len(part: &Stored) -> Result<u64, Refusal> {
    match part.info().kind {
        Kind::Partial if part.is_complete() => Ok(part.offset()),
        Kind::Partial => Err(Refusal::new(400, "a part is not complete")),
        Kind::Whole | Kind::Final(_) => Err(Refusal::new(400, "a part is not a partial upload")),
    }
}
