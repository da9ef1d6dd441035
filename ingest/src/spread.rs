//! How work is spread over shares that have numbers.

use std::hash::Hasher as _;

use fnv::FnvHasher;

/// Which of `count` shares the bytes of a name belong to. All instances, of all versions, must agree on it: FNV-1a (RFC 9923).
pub(crate) fn share_of(name: &[u8], count: i32) -> i32 {
    let mut hasher = FnvHasher::default();
    hasher.write(name);
    (hasher.finish() % count.max(1) as u64) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_share_in_every_version() {
        assert_eq!([share_of(b"/data/a.csv", 12), share_of(b"/data/b.csv", 12), share_of(b"", 12)], [0, 5, 5]);
    }
}
