//! How many records wait behind each rejected one.

use std::collections::BTreeMap;

use super::entry::{Entry, Kept, Parked};

/// What waits behind each head. After a crash there may be entries that nothing waits for any more, until their pipeline has started again.
pub fn behind(entries: &BTreeMap<Parked, Entry>) -> BTreeMap<Parked, u64> {
    let mut heads: BTreeMap<(&str, &str, i32, &[u8]), &Parked> = BTreeMap::new();
    let mut behind: BTreeMap<Parked, u64> = BTreeMap::new();
    for (parked, Entry { key, kept }) in entries {
        let key = (parked.pipeline.as_str(), parked.topic.as_str(), parked.partition, &**key);
        match kept {
            Kept::Head(_) => {
                heads.insert(key, parked);
                behind.insert(parked.clone(), 0);
            }
            Kept::Waiting(_) | Kept::Omitted => {
                let count = heads.get(&key).and_then(|head| behind.get_mut(*head));
                count.into_iter().for_each(|count| *count += 1);
            }
            Kept::Clear(_) => {}
        }
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_behind_the_head_of_their_key_and_partition() {
        let parked = |partition, offset| Parked { pipeline: "p.x".into(), topic: "in".into(), partition, offset };
        let head = |key: &[u8]| Entry { key: key.into(), kept: Kept::Head(None) };
        let waits = |key: &[u8]| Entry { key: key.into(), kept: Kept::Omitted };
        let entries = BTreeMap::from([
            (parked(0, 1), head(b"a")),
            (parked(0, 2), head(b"b")),
            (parked(0, 3), waits(b"a")),
            (parked(0, 4), waits(b"a")),
            (parked(1, 5), head(b"a")),
            (parked(1, 6), waits(b"c")),
        ]);
        assert_eq!(behind(&entries), BTreeMap::from([(parked(0, 1), 2), (parked(0, 2), 0), (parked(1, 5), 0)]));
    }
}
