//! Tombstones: which row of the table a record without a value deletes.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::Schema as ArrowSchema;
use millrace_connectors::{Mode, TableConfig};
use millrace_model::{Batch, Code, Fault, Origin, Record, Records, RecordsBuilder, Rejection, Result, Schema};
use millrace_runtime::codec::Decoder;
use millrace_runtime::input;
use millrace_runtime::keys::KeyFormat;
use millrace_runtime::registry::Registry;

/// Makes rows of key columns out of the keys of tombstones.
pub(crate) enum Deletions {
    /// The load appends: a tombstone has no row to delete.
    Refused,
    /// The key is one column of text: the record's key is its UTF-8 bytes.
    Text(Arc<ArrowSchema>),
    /// Any other key: a Confluent-framed Avro record.
    Framed(Box<Decoder>),
}

/// The rows to delete, and the tombstones that name none.
pub(crate) struct Deleted {
    pub(crate) keys: Option<Batch>,
    pub(crate) rejected: Vec<Rejection>,
}

impl Deletions {
    pub(crate) fn new(table: &TableConfig, schema: &Schema) -> Result<Self> {
        if table.mode == Mode::Append {
            return Ok(Self::Refused);
        }
        Ok(match KeyFormat::of(schema, &table.keys)? {
            KeyFormat::Text(column) => Self::Text(Arc::new(ArrowSchema::new(vec![schema.arrow().field(column).clone()]))),
            KeyFormat::Framed(_, key) => Self::Framed(Box::new(Decoder::new(&key)?)),
        })
    }

    /// The rows that the tombstones (indices of `records`, ascending) delete.
    pub(crate) async fn keys(&mut self, records: &Arc<Records>, tombstones: &[u32], registry: &Registry) -> Result<Deleted> {
        match self {
            Self::Refused => Ok(refused(tombstones)),
            Self::Text(schema) => texts(schema, records, tombstones),
            Self::Framed(decoder) => framed(decoder, records, tombstones, registry).await,
        }
    }
}

fn refused(tombstones: &[u32]) -> Deleted {
    let reason = "a record without a value deletes a row, and this load appends; use mode: upsert";
    Deleted { keys: None, rejected: tombstones.iter().map(|&record| Rejection::new(record, Code::TombstoneRefused, reason)).collect() }
}

fn texts(schema: &Arc<ArrowSchema>, records: &Arc<Records>, tombstones: &[u32]) -> Result<Deleted> {
    let (mut keys, mut kept, mut rejected) = (StringBuilder::new(), Vec::new(), Vec::new());
    for &record in tombstones {
        match records.key(record as usize).map(std::str::from_utf8) {
            Some(Ok(key)) => {
                keys.append_value(key);
                kept.push(record);
            }
            Some(Err(_)) => rejected.push(Rejection::new(record, Code::KeyMissing, "the tombstone's key is not UTF-8 text")),
            None => rejected.push(Rejection::new(record, Code::KeyMissing, "the tombstone has no key")),
        }
    }
    let column: ArrayRef = Arc::new(keys.finish());
    let columns = RecordBatch::try_new(Arc::clone(schema), vec![column])
        .map_err(|error| Fault::fatal(Code::Internal, "making rows of keys").because(error))?;
    Ok(Deleted { keys: Some(Batch::new(columns, Origin::of(Arc::clone(records), kept))), rejected })
}

async fn framed(decoder: &mut Decoder, records: &Arc<Records>, tombstones: &[u32], registry: &Registry) -> Result<Deleted> {
    let keys = Arc::new(keys_as_values(records, tombstones));
    input::learn(decoder, registry, &keys).await?;
    let decoded = decoder.decode(&keys)?;
    let place = |index: u32| tombstones[index as usize];
    let without = decoded.tombstones.iter().map(|&index| Rejection::new(place(index), Code::KeyMissing, "the tombstone has no key"));
    let broken = decoded.rejected.into_iter().map(|broken| Rejection { record: place(broken.record), code: Code::KeyMissing, ..broken });
    let rejected = without.chain(broken).collect();
    let (columns, origin) = decoded.batch.into_parts();
    let rows: Vec<u32> = origin.rows().iter().map(|&index| place(index)).collect();
    Ok(Deleted { keys: Some(Batch::new(columns, Origin::of(Arc::clone(records), rows))), rejected })
}

/// The keys of tombstones as the values of records of their own, for the decoder.
fn keys_as_values(records: &Records, tombstones: &[u32]) -> Records {
    let mut keys = RecordsBuilder::new(Arc::clone(records.topic()), tombstones.len());
    for &tombstone in tombstones {
        let record = records.record(tombstone as usize);
        keys.push(&Record { key: None, value: record.key, headers: &[], ..record });
    }
    keys.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    fn tombstones(keys: &[Option<&[u8]>]) -> Arc<Records> {
        let mut builder = RecordsBuilder::new("t".into(), keys.len());
        for (offset, key) in keys.iter().enumerate() {
            let record = Record { topic: "t", partition: 0, offset: offset as i64, timestamp: 0, key: *key, value: None, headers: &[] };
            builder.push(&record);
        }
        Arc::new(builder.finish())
    }

    #[test]
    fn a_text_key_names_its_row_and_a_broken_one_is_rejected_alone() {
        let schema = Arc::new(ArrowSchema::new(vec![Field::new("id", DataType::Utf8, false)]));
        let records = tombstones(&[Some(b"a"), None, Some(b"\xff"), Some(b"b")]);
        let deleted = texts(&schema, &records, &[0, 1, 2, 3]).expect("makes keys");
        assert_eq!(deleted.keys.expect("has keys").origin().rows(), [0, 3]);
        assert_eq!(deleted.rejected.iter().map(|rejection| rejection.record).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_load_that_appends_refuses_tombstones() {
        assert!(refused(&[4]).rejected.iter().all(|rejection| rejection.code == Code::TombstoneRefused));
    }
}
