//! A record, which its customer, its number and the run's seed decide, and what is to become of it.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

/// The Avro schema of what goes in. The id comes first, so that it can be found in the bytes of a dead letter.
pub(crate) const SCHEMA: &str = r#"{ "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "string" }, { "name": "customer", "type": "string" }, { "name": "seq", "type": "long" },
    { "name": "amount", "type": "int" }, { "name": "divisor", "type": "long" }, { "name": "note", "type": "string" } ] }"#;

/// What the tables do not take, by a constraint that only they know.
pub(crate) const UNWANTED: i64 = 666_666;
/// What the rules of the transform allow at most.
pub(crate) const MOST: i64 = 1_000_000;
/// Of so many records one is bad in each of the ways.
const ONE_IN: u32 = 80;

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// In the tables.
    Good,
    /// Its amount is no number: ingest rejects it.
    Malformed,
    /// It breaks a rule: the transform rejects it.
    Invalid,
    /// An expression fails for it: the transform rejects it.
    Indivisible,
    /// The table refuses it: the load rejects it.
    Unwanted,
    /// No topic takes as much: ingest rejects it.
    Huge,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) seq: i64,
    pub(crate) amount: i64,
    pub(crate) divisor: i64,
    pub(crate) note: String,
    pub(crate) fate: Fate,
}

impl Record {
    /// The customer's record of that number.
    pub(crate) fn of(seed: u64, customer: &str, seq: i64) -> Self {
        let mut random = SmallRng::seed_from_u64(mixed(seed, customer, seq));
        let fate = fate(&mut random, customer, seq);
        let (amount, divisor) = (random.random_range(0..UNWANTED), random.random_range(1..100));
        let amount = match fate {
            Fate::Invalid => MOST + 1,
            Fate::Unwanted => UNWANTED,
            _ => amount,
        };
        let divisor = if fate == Fate::Indivisible { 0 } else { divisor };
        let id = format!("{customer}.{seq}");
        Self { id, customer: customer.to_owned(), seq, amount, divisor, note: note(&mut random, fate), fate }
    }

    /// As it is sent.
    pub(crate) fn json(&self) -> Value {
        let amount = if self.fate == Fate::Malformed { json!("a lot") } else { json!(self.amount) };
        json!({ "id": self.id, "customer": self.customer, "seq": self.seq, "amount": amount, "divisor": self.divisor, "note": self.note })
    }

    /// Its fields in the first topic, as texts.
    pub(crate) fn raw(&self) -> Vec<String> {
        let numbers = [self.seq, self.amount, self.divisor].map(|number| number.to_string());
        [vec![self.id.clone(), self.customer.clone()], numbers.to_vec(), vec![self.note.clone()]].concat()
    }

    /// Its fields in the second topic and in the tables, as texts.
    pub(crate) fn worked(&self) -> Vec<String> {
        let numbers = [self.seq, self.amount, self.amount * 2, MOST / self.divisor].map(|number| number.to_string());
        [vec![self.id.clone(), self.customer.clone()], numbers.to_vec(), vec![self.note.clone()]].concat()
    }

    /// Whether it comes into the first topic.
    pub(crate) fn is_taken(&self) -> bool {
        !matches!(self.fate, Fate::Malformed | Fate::Huge)
    }

    /// Whether it comes into the second topic.
    pub(crate) fn is_worked(&self) -> bool {
        matches!(self.fate, Fate::Good | Fate::Unwanted)
    }
}

/// Each customer's first record is good, so that each has a row; but all of a customer whose name begins with `b` are bad, and the second one of those whose
/// names begin with `fh` is huge.
fn fate(random: &mut SmallRng, customer: &str, seq: i64) -> Fate {
    let ways = [Fate::Malformed, Fate::Invalid, Fate::Indivisible, Fate::Unwanted];
    let drawn = random.random_range(0..ONE_IN) as usize;
    match (customer.as_bytes(), seq) {
        ([b'b', ..], 0) => Fate::Invalid,
        ([b'b', ..], _) => ways[drawn % ways.len()],
        ([b'f', b'h', ..], 1) => Fate::Huge,
        (_, 0) => Fate::Good,
        _ => ways.get(drawn).copied().unwrap_or(Fate::Good),
    }
}

fn note(random: &mut SmallRng, fate: Fate) -> String {
    let letters = ['a', 'Z', '0', ' ', '"', ',', '\\', '\n', 'ä', '€', '𝄞', '\t'];
    let length = match fate {
        Fate::Huge => 2_000_000,
        _ if random.random_ratio(1, 50) => 4_000,
        _ => random.random_range(0..120),
    };
    (0..length).map(|_| letters[random.random_range(0..letters.len())]).collect()
}

fn mixed(seed: u64, customer: &str, seq: i64) -> u64 {
    let mut hasher = FnvHasher::with_key(seed ^ 0xcbf2_9ce4_8422_2325);
    hasher.write(customer.as_bytes());
    hasher.write_i64(seq);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_decided_by_its_customer_its_number_and_the_seed() {
        let record = Record::of(7, "f1-2", 31);
        assert_eq!((&*record.id, &record), ("f1-2.31", &Record::of(7, "f1-2", 31)));
        assert_ne!(record.note, Record::of(8, "f1-2", 31).note);
    }

    #[test]
    fn records_end_in_all_ways_and_most_of_them_well() {
        let fates: Vec<Fate> = (0..2_000).map(|seq| Record::of(1, "c", seq).fate).collect();
        let count = |fate| fates.iter().filter(|each| **each == fate).count();
        assert!(count(Fate::Good) > 1_600);
        for fate in [Fate::Malformed, Fate::Invalid, Fate::Indivisible, Fate::Unwanted] {
            assert!(count(fate) > 5, "{fate:?}");
        }
        assert_eq!(fates[0], Fate::Good);
    }
}
