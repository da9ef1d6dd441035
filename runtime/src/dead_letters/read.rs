//! Reading dead letters back.

use std::collections::BTreeMap;

use millrace_model::Result;

use super::{DeadLetter, Identity};
use crate::kafka::{Cluster, compacted};

/// Every dead letter of `topic` that is committed by now, each identity once (the latest), in the order in which they were written.
pub async fn read(cluster: &Cluster, topic: &str) -> Result<Vec<DeadLetter>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // The receiver outlives the reading.
    compacted::read_now(cluster, topic, move |record| sender.send(DeadLetter::of(record)).unwrap_or_default()).await?;
    Ok(once_each(receiver))
}

/// Each identity once, its newest copy, which knows the places of the others; ordered by when they were rejected.
pub fn once_each(letters: impl IntoIterator<Item = DeadLetter>) -> Vec<DeadLetter> {
    let mut newest: BTreeMap<Identity, DeadLetter> = BTreeMap::new();
    for letter in letters {
        let identity = letter.identity();
        let letter = match newest.remove(&identity) {
            None => letter,
            Some(earlier) if earlier.at() > letter.at() => with_copy(earlier, letter),
            Some(earlier) => with_copy(letter, earlier),
        };
        newest.insert(identity, letter);
    }
    let mut letters: Vec<DeadLetter> = newest.into_values().collect();
    letters.sort_by_cached_key(|letter| (letter.at(), letter.place.clone()));
    letters
}

fn with_copy(mut letter: DeadLetter, copy: DeadLetter) -> DeadLetter {
    letter.copies.extend(copy.copies);
    letter.copies.push(copy.place);
    letter
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Header, Record};

    fn letter(offset: i64, at: &str) -> DeadLetter {
        let header = |name: &str, value: &str| Header { key: format!("millrace.error.{name}"), value: Some(value.into()) };
        let headers = [header("pipeline", "p.x"), header("topic", "in"), header("offset", "42"), header("at", at)];
        DeadLetter::of(&Record { topic: "dead", partition: 0, offset, timestamp: 5, key: None, value: None, headers: &headers })
    }

    #[test]
    fn one_record_rejected_twice_is_one_dead_letter_at_either_place() {
        let (first, second) = (letter(0, "2026-01-01T00:00:00Z"), letter(1, "2026-01-01T00:00:01Z"));
        let once = once_each([second.clone(), first.clone()]);
        assert_eq!((once.len(), &once[0].place), (1, &second.place));
        assert!(once[0].is_at(&first.place) && once[0].is_at(&second.place));
    }

    #[test]
    fn letters_that_say_nothing_are_as_many_as_there_are() {
        let foreign =
            |offset| DeadLetter::of(&Record { topic: "dead", partition: 0, offset, timestamp: 5, key: None, value: None, headers: &[] });
        assert_eq!(once_each([foreign(0), foreign(1)]).len(), 2);
    }
}
