//! What a connection has read and not used yet.

/// Bytes that wait for more, or for their turn. Mostly there are none: an empty inbox is one word.
///
/// Their capacity is counted by the worker.
#[derive(Default)]
pub(super) struct Inbox(Option<Box<Unused>>);

struct Unused {
    /// Never empty.
    bytes: Vec<u8>,
    /// Whether they hold nothing whole, so that more must be read first.
    is_starving: bool,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |unused| &unused.bytes)
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |unused| unused.bytes.capacity())
    }

    /// Returns whether there is something, and nothing whole.
    pub(super) fn is_starving(&self) -> bool {
        self.0.as_ref().is_some_and(|unused| unused.is_starving)
    }

    /// Says that there is nothing whole in what there is, if there is something.
    pub(super) fn set_starving(&mut self) {
        if let Some(unused) = &mut self.0 {
            unused.is_starving = true;
        }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.take().map(|unused| unused.bytes).unwrap_or_default()
    }

    /// Replaces what there is by `bytes`, which are not empty.
    pub(super) fn put(&mut self, bytes: Vec<u8>) {
        self.0 = Some(Box::new(Unused { bytes, is_starving: false }));
    }
}
