//! `Upload-Checksum`: what the bytes of one request must hash to.

use super::{base64, refusal::Refusal};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The algorithms, as `Tus-Checksum-Algorithm` lists them.
pub(super) const ALGORITHMS: &str = "sha1,sha256";

/// A digest that is being computed.
enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

/// Bytes on trial: what they hash to so far, and what they must hash to in the end.
pub(super) struct Checksum {
    hasher: Hasher,
    expected: Vec<u8>,
}

impl Checksum {
    /// Parses the value of `Upload-Checksum`: an algorithm, a blank, a digest in Base64.
    pub(super) fn parse(value: &str) -> Result<Checksum, Refusal> {
        let malformed = || Refusal::new(400, "Upload-Checksum is not valid");
        let (algorithm, digest) = value.split_once(' ').ok_or_else(malformed)?;
        let (hasher, len) = match algorithm {
            "sha1" => (Hasher::Sha1(Sha1::new()), 20),
            "sha256" => (Hasher::Sha256(Sha256::new()), 32),
            _ => return Err(Refusal::new(400, "the checksum algorithm is not supported")),
        };
        let expected = base64::decode(digest).filter(|digest| digest.len() == len);
        Ok(Checksum { hasher, expected: expected.ok_or_else(malformed)? })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the computation; true when the bytes are those that were meant.
    pub(super) fn verify(self) -> bool {
        match self.hasher {
            Hasher::Sha1(hasher) => hasher.finalize()[..] == self.expected[..],
            Hasher::Sha256(hasher) => hasher.finalize()[..] == self.expected[..],
        }
    }
}
