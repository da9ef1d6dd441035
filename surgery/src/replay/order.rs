//! In which order letters are replayed, and which wait.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use millrace_runtime::dead_letters::{DeadLetter, Place};

/// Where a record stood among those of its pipeline; of two letters of one record the newer goes first, for it settles the other.
type Standing = (String, Option<i32>, Option<i64>, Reverse<Option<Timestamp>>, Place);

fn standing(letter: &DeadLetter) -> Standing {
    (letter.said("topic").to_owned(), letter.partition(), letter.offset(), Reverse(letter.at()), letter.place.clone())
}

/// The letters in the order in which their records stood.
pub(super) fn sorted(mut letters: Vec<DeadLetter>) -> Vec<DeadLetter> {
    letters.sort_by_cached_key(standing);
    letters
}

/// The keys that wait because a record of theirs could not be replayed. Records without a key wait for nobody.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<Vec<u8>, Standing>);

impl Waiting {
    /// The letter that this one waits behind: one of its key whose record stood before.
    pub(super) fn behind(&self, letter: &DeadLetter) -> Option<&Place> {
        let stopped = self.0.get(letter.key.as_deref()?)?;
        (*stopped < standing(letter)).then_some(&stopped.4)
    }

    /// The letter could not be replayed: the later ones of its key wait.
    pub(super) fn stop(&mut self, letter: &DeadLetter) {
        let Some(key) = &letter.key else { return };
        let standing = standing(letter);
        match self.0.get_mut(key) {
            Some(first) if *first <= standing => {}
            Some(first) => *first = standing,
            None => {
                self.0.insert(key.clone(), standing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Header, Record};

    fn letter(place: i64, offset: &str, key: Option<&[u8]>) -> DeadLetter {
        let header = |name: &str, value: &str| Header { key: format!("millrace.error.{name}"), value: Some(value.into()) };
        let headers = [header("topic", "in"), header("partition", "0"), header("offset", offset)];
        DeadLetter::of(&Record { topic: "dead", partition: 0, offset: place, timestamp: 0, key, value: None, headers: &headers })
    }

    #[test]
    fn letters_go_in_the_order_of_their_records_and_not_of_their_rejection() {
        let order: Vec<_> = sorted(vec![letter(0, "10", None), letter(1, "9", None)]).iter().map(DeadLetter::offset).collect();
        assert_eq!(order, [Some(9), Some(10)]);
    }

    #[test]
    fn a_letter_waits_behind_the_first_of_its_key_that_was_stopped() {
        let mut waiting = Waiting::default();
        let (first, second) = (letter(3, "1", Some(b"k")), letter(4, "2", Some(b"k")));
        waiting.stop(&second);
        waiting.stop(&first);
        assert_eq!(waiting.behind(&letter(5, "3", Some(b"k"))), Some(&first.place));
        assert_eq!(waiting.behind(&letter(6, "0", Some(b"k"))), None, "it stood before");
        assert_eq!(waiting.behind(&letter(6, "4", Some(b"other"))), None);
    }

    #[test]
    fn records_without_a_key_wait_for_nobody() {
        let mut waiting = Waiting::default();
        waiting.stop(&letter(0, "1", None));
        assert_eq!(waiting.behind(&letter(1, "2", None)), None);
    }
}
