//! Tombstones: which row of the table a record without a value deletes.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use millrace_connectors::Mode;
use millrace_model::{Batch, Code, Fault, Origin, Record, Records, RecordsBuilder, Rejection, Result, Schema};
use millrace_runtime::codec::Decoder;
use millrace_runtime::registry::Registry;
use millrace_runtime::{input, keys};

use crate::mapping::KeySource;

/// Makes rows of key columns out of the keys of tombstones.
pub(crate) enum Deletions {
    /// No tombstone deletes a row, and why.
    Refused(String),
    /// The record's key is the row's key, byte for byte.
    Bytes,
    /// The key's columns are in the record's key.
    Columns {
        /// One column of text: a key may be its UTF-8 bytes.
        text: Option<Arc<ArrowSchema>>,
        /// Any other key, and one of text that Kafka Connect wrote: a Confluent-framed Avro record.
        framed: Box<Decoder>,
    },
}

/// The rows to delete, and the tombstones that name none.
#[derive(Default)]
pub(crate) struct Deleted {
    pub(crate) keys: Vec<Batch>,
    pub(crate) rejected: Vec<Rejection>,
}

impl Deletions {
    /// For a load of that mode, whose keys come from `source`, of rows of that schema.
    pub(crate) fn new(mode: Mode, source: KeySource, rows: &Schema) -> Result<Self> {
        if !mode.deletes() {
            let reason = format!("a record without a value deletes a row, and mode: {mode} deletes none; use mode: upsert");
            return Ok(Self::Refused(reason));
        }
        match source {
            KeySource::Columns(names) => Self::columns(&names, rows),
            KeySource::Record => Ok(Self::Bytes),
            KeySource::Elsewhere(key) => {
                Ok(Self::Refused(format!("a record without a value can't name a row: the key column {key:?} is filled from elsewhere")))
            }
        }
    }

    fn columns(names: &[String], rows: &Schema) -> Result<Self> {
        let text = match names {
            [name] => rows.arrow().field_with_name(name).ok().filter(|field| *field.data_type() == DataType::Utf8),
            _ => None,
        };
        let text = text.map(|field| Arc::new(ArrowSchema::new(vec![field.clone()])));
        Ok(Self::Columns { text, framed: Box::new(Decoder::new(&keys::framed(rows, names)?)?) })
    }

    /// The rows that the tombstones (indices of `records`, ascending) delete.
    pub(crate) async fn keys(&mut self, records: &Arc<Records>, tombstones: &[u32], registry: &Registry) -> Result<Deleted> {
        match self {
            Self::Refused(reason) => {
                let refuse = |&record| Rejection::new(record, Code::TombstoneRefused, reason.clone());
                Ok(Deleted { keys: Vec::new(), rejected: tombstones.iter().map(refuse).collect() })
            }
            Self::Bytes => bytes(records, tombstones),
            Self::Columns { text: None, framed: decoder } => framed(decoder, records, tombstones, registry).await,
            Self::Columns { text: Some(schema), framed: decoder } => {
                let is_framed = |&&record: &&u32| records.key(record as usize).is_some_and(|key| key.first() == Some(&0));
                let (in_avro, plain): (Vec<u32>, Vec<u32>) = tombstones.iter().partition(is_framed);
                let mut deleted = texts(schema, records, &plain)?;
                if !in_avro.is_empty() {
                    let more = framed(decoder, records, &in_avro, registry).await?;
                    deleted.keys.extend(more.keys);
                    deleted.rejected.extend(more.rejected);
                }
                Ok(deleted)
            }
        }
    }
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
            None => rejected.push(without_key(record)),
        }
    }
    rows_of(schema, Arc::new(keys.finish()), records, kept, rejected)
}

fn bytes(records: &Arc<Records>, tombstones: &[u32]) -> Result<Deleted> {
    let (kept, without): (Vec<u32>, Vec<u32>) = tombstones.iter().partition(|&&record| records.key(record as usize).is_some());
    let keys: BinaryArray = kept.iter().map(|&record| records.key(record as usize)).collect();
    let schema = Arc::new(ArrowSchema::new(vec![Field::new("key", DataType::Binary, false)]));
    rows_of(&schema, Arc::new(keys), records, kept, without.into_iter().map(without_key).collect())
}

fn without_key(record: u32) -> Rejection {
    Rejection::new(record, Code::KeyMissing, "the tombstone has no key")
}

fn rows_of(schema: &Arc<ArrowSchema>, keys: ArrayRef, records: &Arc<Records>, kept: Vec<u32>, rejected: Vec<Rejection>) -> Result<Deleted> {
    let columns = RecordBatch::try_new(Arc::clone(schema), vec![keys])
        .map_err(|error| Fault::fatal(Code::Internal, "making rows of keys").because(error))?;
    Ok(Deleted { keys: vec![Batch::new(columns, Origin::of(Arc::clone(records), kept))], rejected })
}

async fn framed(decoder: &mut Decoder, records: &Arc<Records>, tombstones: &[u32], registry: &Registry) -> Result<Deleted> {
    let keys = Arc::new(keys_as_values(records, tombstones));
    input::learn(decoder, registry, &keys).await?;
    let decoded = decoder.decode(&keys)?;
    let place = |index: u32| tombstones[index as usize];
    let without = decoded.tombstones.iter().map(|&index| without_key(place(index)));
    let broken = decoded.rejected.into_iter().map(|broken| Rejection { record: place(broken.record), code: Code::KeyMissing, ..broken });
    let rejected = without.chain(broken).collect();
    let (columns, origin) = decoded.batch.into_parts();
    let rows: Vec<u32> = origin.rows().iter().map(|&index| place(index)).collect();
    Ok(Deleted { keys: vec![Batch::new(columns, Origin::of(Arc::clone(records), rows))], rejected })
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
        assert_eq!(deleted.keys[0].origin().rows(), [0, 3]);
        assert_eq!(deleted.rejected.iter().map(|rejection| rejection.record).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_key_that_is_kept_as_bytes_names_its_row() {
        let records = tombstones(&[Some(b"\xff"), None]);
        let deleted = bytes(&records, &[0, 1]).expect("makes keys");
        assert_eq!((deleted.keys[0].origin().rows(), deleted.rejected[0].code), (&[0][..], Code::KeyMissing));
    }

    #[test]
    fn only_modes_that_delete_take_tombstones() {
        let schema =
            millrace_runtime::codec::schema(serde_json::json!({"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}));
        let rows = schema.expect("is a schema");
        let keys = || KeySource::Columns(vec!["id".to_owned()]);
        let refuses = |mode, keys| matches!(Deletions::new(mode, keys, &rows).expect("made"), Deletions::Refused(_));
        assert!(refuses(Mode::Append, keys()) && refuses(Mode::InsertIgnore, keys()));
        assert!(refuses(Mode::Upsert, KeySource::Elsewhere("offset".to_owned())) && !refuses(Mode::Mirror, keys()));
    }
}
