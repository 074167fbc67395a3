//! Uploads that are made of others.
//!
//! A request of a few bytes has as many copied as there may be. So a part is taken once, a few uploads are
//! joined at a time, and each goes back behind the other jobs of the blocking pool after every few
//! megabytes. It is a task of its own: when the client leaves, the whole is there all the same.

use super::{
    fields,
    id::UploadId,
    info::{Info, Kind},
    lease::Lease,
    refusal::Refusal,
    store::{Joining, Store},
    stored::{State, Stored},
};
use crate::{spawn, unblock};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Makes a final upload of its parts, which stay until they are deleted or expire.
pub(super) async fn concatenate(store: &Arc<Store>, info: Info) -> Result<State, Refusal> {
    let ids = fields::parse_parts(info.concat().unwrap_or_default())?;
    let mut parts = Parts { store: Arc::clone(store), leases: HashMap::new() };
    // In one order for all: two joins of the same parts would wait for each other.
    let mut in_order = ids.clone();
    in_order.sort_unstable();
    for id in in_order {
        let lease = store.leases.take(id).await.ok_or_else(Refusal::locked)?;
        parts.leases.insert(id, lease);
    }
    let joining = store.begin_joining()?;
    let joined = spawn(async move {
        let mut step = unblock(move || parts.begin(ids, info, joining)).await?;
        loop {
            match step {
                Step::Copied(join) => step = unblock(move || join.advance()).await?,
                Step::Joined(state) => return Ok(state),
            }
        }
    });
    joined.await
}

/// The parts of an upload, which nobody else works on meanwhile. One at a time is open: there may be more
/// of them than descriptors.
struct Parts {
    store: Arc<Store>,
    leases: HashMap<UploadId, Lease>,
}

impl Parts {
    /// Makes the whole, if the parts can be one.
    fn begin(mut self, ids: Vec<UploadId>, info: Info, joining: Joining) -> Result<Step, Refusal> {
        let lengths = ids.iter().map(|&id| self.with_part(id, part_len));
        let length = lengths.sum::<Result<u64, Refusal>>()?;
        if length > self.store.limits.max_upload_bytes {
            return Err(Refusal::new(413, "the parts together are larger than Tus-Max-Size"));
        }
        let whole = self.store.create(info)?;
        let ids = ids.into();
        Ok(Step::Copied(Join { parts: self, ids, whole, copied: 0, length, _joining: joining }))
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

/// An upload that its parts are being copied to.
struct Join {
    parts: Parts,
    /// The parts that are not copied in full.
    ids: VecDeque<UploadId>,
    whole: Stored,
    /// Bytes of the first of them that are.
    copied: u64,
    /// Bytes of all parts.
    length: u64,
    _joining: Joining,
}

/// How far a join has come.
enum Step {
    Copied(Join),
    Joined(State),
}

impl Join {
    /// Does as much as one job may; when it goes wrong nothing is left.
    fn advance(mut self) -> Result<Step, Refusal> {
        match self.copy() {
            Ok(None) => Ok(Step::Copied(self)),
            Ok(Some(state)) => Ok(Step::Joined(state)),
            Err(refusal) => {
                self.whole.remove()?;
                Err(refusal)
            }
        }
    }

    /// Copies a few megabytes, or ends when all are there.
    fn copy(&mut self) -> Result<Option<State>, Refusal> {
        let Some(&id) = self.ids.front() else { return self.end().map(Some) };
        let (whole, from) = (&mut self.whole, self.copied);
        let is_copied = self.parts.with_part(id, |part| {
            self.copied += whole.append(part, from)?;
            Ok(self.copied == part.offset())
        })?;
        if is_copied {
            self.ids.pop_front();
            self.copied = 0;
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<State, Refusal> {
        // Until it has a length it is not complete, be the process killed before.
        self.whole.set_length(self.length, 0)?;
        self.whole.acknowledge()?;
        self.whole.state()
    }
}
