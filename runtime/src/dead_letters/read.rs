//! Reading dead letters back.

use std::collections::BTreeMap;

use millrace_model::Result;

use super::DeadLetter;
use crate::kafka::{Cluster, compacted};

/// Every dead letter of `topic`, each identity once (the latest), in the order in which they were written.
pub async fn read(cluster: &Cluster, topic: &str) -> Result<Vec<DeadLetter>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // The receiver outlives the reading.
    compacted::read_to_end(cluster, topic, move |record| sender.send(DeadLetter::of(record)).unwrap_or_default()).await?;
    let letters: Vec<DeadLetter> = receiver.into_iter().collect();
    Ok(once_each(&letters))
}

fn once_each(letters: &[DeadLetter]) -> Vec<DeadLetter> {
    let last: BTreeMap<[String; 5], usize> =
        letters.iter().enumerate().map(|(index, letter)| (letter.identity().map(str::to_owned), index)).collect();
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_by_key(|&index| (letters[index].said("at").to_owned(), index));
    kept.into_iter().map(|index| letters[index].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Header, Record};

    fn letter(offset: i64) -> DeadLetter {
        let header = |name: &str, value: &str| Header { key: format!("millrace.error.{name}"), value: Some(value.into()) };
        let headers = [header("pipeline", "p.x"), header("offset", "42"), header("at", "1970-01-01T00:00:00Z")];
        DeadLetter::of(&Record { topic: "dead", partition: 0, offset, timestamp: 5, key: None, value: None, headers: &headers })
    }

    #[test]
    fn one_record_rejected_twice_is_one_dead_letter() {
        assert_eq!(once_each(&[letter(0), letter(1)]), [letter(1)]);
    }
}
