//! A letter made ready: whole again, and patched.

use std::collections::BTreeSet;

use millrace_model::{Code, Fault, Result, TopicPartition};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::kafka::{Cluster, record_at, topics};

use super::{Orders, Taken};
use crate::Theatre;
use crate::patch::Patch;

/// Makes the letters of one pipeline ready.
pub(super) struct Preparation<'a> {
    theatre: &'a Theatre,
    way: &'a Taken<'a>,
    orders: &'a Orders,
    standing: Standing,
}

impl<'a> Preparation<'a> {
    pub(super) fn new(theatre: &'a Theatre, way: &'a Taken<'a>, orders: &'a Orders) -> Self {
        Self { theatre, way, orders, standing: Standing::default() }
    }

    /// The letter as it is to be replayed.
    ///
    /// # Errors
    /// [`Code::NotReplayable`] or [`Code::PatchUnfit`] when it is the letter's own trouble ([`is_its_own`]); others cut the replay off.
    pub(super) async fn prepare(&mut self, letter: DeadLetter) -> Result<DeadLetter> {
        let replaced = matches!(self.orders.patch, Some(Patch::Replace(_)));
        let is_whole = replaced || letter.omitted_bytes().is_none();
        let whole = if is_whole { letter } else { self.standing.restore(&self.theatre.cluster, letter).await? };
        match &self.orders.patch {
            Some(patch) => patch.apply(whole, self.way.input(), &self.theatre.registry).await,
            None => Ok(whole),
        }
    }
}

/// Whether a fault is one letter's, and the others go on: also one for which the pipeline itself would halt, such as a schema that it
/// can't work with.
pub(super) fn is_its_own(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        Code::NotReplayable
            | Code::PatchUnfit
            | Code::SchemaUnsupported
            | Code::SchemaChanged
            | Code::SchemaIncompatible
            | Code::KafkaTooLarge
            | Code::FileUnreadable
    )
}

/// Where records stand that were too large to be copied.
#[derive(Default)]
struct Standing {
    /// The names of the cluster's topics, once they have been asked for.
    topics: Option<BTreeSet<String>>,
}

impl Standing {
    /// The letter with the key and value that were too large to be copied, read from where the record stands.
    async fn restore(&mut self, cluster: &Cluster, mut letter: DeadLetter) -> Result<DeadLetter> {
        let place = letter.partition().zip(letter.offset()).ok_or_else(|| gone(&letter, "its headers do not say where it stands"))?;
        let topic = letter.said("topic").to_owned();
        if !self.topics(cluster).await?.contains(&topic) {
            return Err(gone(&letter, "it did not come from a topic of this cluster"));
        }
        let (partition, offset) = (TopicPartition::new(topic, place.0), place.1);
        let Some(records) = record_at(cluster, &partition, offset).await? else {
            return Err(gone(&letter, &format!("{partition} has no record at offset {offset} any more")));
        };
        let record = records.record(0);
        (letter.key, letter.value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        Ok(letter)
    }

    async fn topics(&mut self, cluster: &Cluster) -> Result<&BTreeSet<String>> {
        let listed = match self.topics.take() {
            Some(listed) => listed,
            None => topics::list(cluster).await?.into_iter().map(|topic| topic.name).collect(),
        };
        Ok(self.topics.insert(listed))
    }
}

fn gone(letter: &DeadLetter, why: &str) -> Fault {
    let message = format!("the record was too large to be kept in dead letter {}, and {why}; give its value by --value FILE", letter.place);
    Fault::operator(Code::NotReplayable, message)
}
