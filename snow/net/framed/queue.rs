//! Bytes that are added behind and taken off in front, in one piece and in linear time.

/// Bytes of capacity that an empty queue keeps: short messages need no allocation, and an idle stream
/// holds next to nothing.
const KEEP_BYTES: usize = 256;

/// A queue of bytes. Its memory is in proportion to what is in it, not to what has been.
#[derive(Default)]
pub(super) struct ByteQueue {
    bytes: Vec<u8>,
    /// How many of `bytes` have been taken off: fewer than are left, or none.
    taken: usize,
}

impl ByteQueue {
    /// Returns what is in the queue.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds bytes behind.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Has `work` add bytes behind; when it fails, it has added none.
    pub(super) fn push_with<E>(
        &mut self,
        work: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        let outcome = work(&mut self.bytes);
        if outcome.is_err() {
            self.bytes.truncate(before);
        }
        outcome
    }

    /// Takes so many bytes off in front.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        // No more is moved than has been taken: a byte's share of it all is constant.
        if self.taken >= self.len() {
            self.compact();
        }
    }

    /// Gives the memory back of what has been taken off.
    pub(super) fn compact(&mut self) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            self.bytes.shrink_to(KEEP_BYTES);
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<u8> {
        self.compact();
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_pushed() {
        let mut queue = ByteQueue::default();
        let (mut pushed, mut taken) = (0_u8, 0_u8);
        for round in 0..1000_usize {
            for _ in 0..round % 7 {
                queue.push(&[pushed]);
                pushed = pushed.wrapping_add(1);
            }
            let count = queue.len().min(round % 5);
            for &byte in &queue.as_slice()[..count] {
                assert_eq!(byte, taken);
                taken = taken.wrapping_add(1);
            }
            queue.take(count);
            assert!(queue.taken == 0 || queue.taken < queue.len());
        }
    }

    #[test]
    fn memory_follows_the_content() {
        let mut queue = ByteQueue::default();
        queue.push(&[0; 1 << 20]);
        queue.take((1 << 20) - 300);
        assert!(queue.capacity() < 1024);
        queue.take(300);
        assert!(queue.capacity() <= KEEP_BYTES);
    }

    #[test]
    fn a_failed_push_adds_nothing() {
        let mut queue = ByteQueue::default();
        queue.push(b"ab");
        let outcome = queue.push_with(|bytes| {
            bytes.extend(b"cd");
            Err(())
        });
        assert_eq!(outcome, Err(()));
        assert_eq!(queue.as_slice(), b"ab");
    }
}
