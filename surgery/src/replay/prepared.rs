//! A letter made ready: whole again, and patched.

use millrace_model::{Code, Fault, Result, TopicPartition};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::kafka::{Cluster, record_at, topics};

use super::{Orders, Taken};
use crate::Theatre;

/// The letter as it is to be replayed.
///
/// # Errors
/// [`Code::NotReplayable`] or [`Code::PatchUnfit`] when it is the letter's own trouble ([`is_its_own`]); others cut the replay off.
pub(super) async fn prepare(theatre: &Theatre, way: &Taken<'_>, letter: DeadLetter, orders: &Orders) -> Result<DeadLetter> {
    let replaced = matches!(orders.patch, Some(crate::patch::Patch::Replace(_)));
    let whole = if letter.omitted_bytes().is_some() && !replaced { restored(&theatre.cluster, letter).await? } else { letter };
    match &orders.patch {
        Some(patch) => patch.apply(whole, way.input(), &theatre.registry).await,
        None => Ok(whole),
    }
}

/// Whether a fault is one letter's, and the others go on.
pub(super) fn is_its_own(fault: &Fault) -> bool {
    matches!(fault.code(), Code::NotReplayable | Code::PatchUnfit | Code::SchemaUnsupported | Code::KafkaTooLarge | Code::FileUnreadable)
}

/// The letter with the key and value that were too large to be copied, read from where the record stands.
async fn restored(cluster: &Cluster, mut letter: DeadLetter) -> Result<DeadLetter> {
    let place = letter.partition().zip(letter.offset()).ok_or_else(|| gone(&letter, "its headers do not say where it stands"))?;
    let topic = letter.said("topic").to_owned();
    if !topics::list(cluster).await?.iter().any(|existing| existing.name == topic) {
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

fn gone(letter: &DeadLetter, why: &str) -> Fault {
    let message = format!("the record was too large to be kept in dead letter {}, and {why}; give its value by --value FILE", letter.place);
    Fault::operator(Code::NotReplayable, message)
}
