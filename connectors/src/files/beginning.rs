//! What a file begins with, by which it is known again: its name may have come to be that of another.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};

/// How many bytes tell files apart.
const BYTES: usize = 1024;

/// The first bytes of a file, as far as they have been read, by their hash: FNV-1a of 64 bits (RFC 9923), kept from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginning {
    bytes: usize,
    hash: u64,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { bytes: 0, hash: FnvHasher::default().finish() }
    }
}

impl Beginning {
    /// How many bytes it is of.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the text, of as many bytes, is what it is of.
    pub(super) fn is_of(&self, text: &[u8]) -> bool {
        let mut other = Self::default();
        other.pass(0, text);
        other == *self
    }

    /// Takes in what was read at an offset, if it is at the beginning.
    pub(super) fn pass(&mut self, offset: u64, text: &[u8]) {
        if offset == self.bytes as u64 {
            let text = &text[..text.len().min(BYTES.saturating_sub(self.bytes))];
            self.bytes += text.len();
            let mut hasher = FnvHasher::with_key(self.hash);
            hasher.write(text);
            self.hash = hasher.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_known_again_however_it_was_read() {
        let text = [b'x'; 3000];
        let mut beginning = Beginning::default();
        for (offset, length) in [(0, 1), (1, 1000), (1001, 500), (1501, 1499)] {
            beginning.pass(offset as u64, &text[offset..offset + length]);
        }
        assert!(beginning.is_of(&text[..beginning.bytes()]));
        assert!(!beginning.is_of(&text[1..beginning.bytes()]));
        assert!(!beginning.is_of(&[b'y'; BYTES]));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        let mut beginning = Beginning::default();
        beginning.pass(0, b"foobar");
        assert_eq!(beginning.hash, 0x8594_4171_f739_67e8);
    }
}
