//! Confluent-framed Avro to Arrow.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, RecordBatch};
use millrace_model::{Batch, Code, Fault, Origin, Records, Rejection, Result, Schema};

use super::types::{Type, Unsupported};
use super::writer::{Reader, Rows, Writer};
use super::{FRAME, form, schema_id};

/// How long an id that the registry does not know stays unknown before it is asked for again: its schema may be
/// registered late, so that the records can be replayed.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How many unknown ids are remembered: noise in the place of ids must not fill the memory.
const MOST_UNKNOWN: usize = 1000;

/// Decodes the records of one topic into batches of the topic's schema.
///
/// It knows the writers' schemas that it has been taught by [`Decoder::learn`], and does no I/O.
#[derive(Debug)]
pub struct Decoder {
    reader: Reader,
    writers: HashMap<u32, Learnt>,
}

/// What is known of a schema id.
#[derive(Debug)]
enum Learnt {
    Readable(Box<Writer>),
    /// No record of this schema can be decoded, and why.
    Unreadable(String),
    /// The registry did not have it then.
    Unknown(Instant),
}

/// What became of the records.
#[derive(Debug)]
pub struct Decoded {
    /// The good rows, in the order of their records.
    pub batch: Batch,
    /// The indices of the records without a value.
    pub tombstones: Vec<u32>,
    /// What could not be decoded, in the order of the records.
    pub rejected: Vec<Rejection>,
}

impl Decoder {
    /// A decoder into batches of `reader`, which comes from [`super::schema`].
    pub fn new(reader: &Schema) -> Result<Self> {
        let kind = super::kind_of(reader)?;
        Ok(Self { reader: Reader { kind, arrow: Arc::clone(reader.arrow()) }, writers: HashMap::new() })
    }

    /// The schema ids in the framing of `records` that are not learnt yet, each once, in ascending order. An id that the
    /// registry did not know is among them again after half a minute.
    pub fn unknown_ids(&self, records: &Records) -> Vec<u32> {
        self.unknown_ids_at(records, Instant::now())
    }

    fn unknown_ids_at(&self, records: &Records, now: Instant) -> Vec<u32> {
        let mut unknown = BTreeSet::new();
        let mut last = None;
        for id in records.values().iter().flatten().filter_map(schema_id) {
            if last != Some(id) && !self.knows(id, now) {
                unknown.insert(id);
            }
            last = Some(id);
        }
        unknown.into_iter().collect()
    }

    fn knows(&self, id: u32, now: Instant) -> bool {
        match self.writers.get(&id) {
            Some(Learnt::Unknown(asked)) => now.saturating_duration_since(*asked) < ASK_AGAIN,
            learnt => learnt.is_some(),
        }
    }

    /// Learns the schema behind an id. `None`: the registry has none, and records of that id are rejected as
    /// [`Code::SchemaUnknown`]. Records of a schema that can't be read as the topic's are rejected as
    /// [`Code::SchemaIncompatible`].
    pub fn learn(&mut self, id: u32, writer: Option<&str>) {
        let learnt = match writer {
            None => Learnt::Unknown(Instant::now()),
            Some(text) => self.writer(id, text).unwrap_or_else(Learnt::Unreadable),
        };
        self.writers.insert(id, learnt);
    }

    /// Learns that the schema behind an id can't be used, and why: its records are rejected as [`Code::SchemaIncompatible`].
    pub fn learn_unreadable(&mut self, id: u32, reason: &str) {
        self.writers.insert(id, Learnt::Unreadable(reason.to_owned()));
    }

    /// Why no record of that id can be decoded, if that is known of it.
    pub fn unreadable(&self, id: u32) -> Option<&str> {
        match self.writers.get(&id) {
            Some(Learnt::Unreadable(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Forgets what was learnt of an id: it is to be learnt anew.
    pub fn forget_id(&mut self, id: u32) {
        self.writers.remove(&id);
    }

    /// Forgets unknown ids when they have become many. Not when one is learnt: the others are needed until the records that
    /// they stand in are decoded.
    fn forget(&mut self) {
        let unknown = |learnt: &Learnt| matches!(learnt, Learnt::Unknown(_));
        if self.writers.values().filter(|learnt| unknown(learnt)).count() > MOST_UNKNOWN {
            self.writers.retain(|_, learnt| !unknown(learnt));
        }
    }

    fn writer(&self, id: u32, text: &str) -> Result<Learnt, String> {
        let avro = apache_avro::Schema::parse_str(text).map_err(|error| error.to_string())?;
        let written = Type::of(&avro).map_err(|Unsupported { path, what }| format!("{path} {what}"))?;
        Ok(Learnt::Readable(Box::new(Writer::new(id, &written, &self.reader)?)))
    }

    /// How many bytes the value takes that `bytes` begin with, written with the schema of that id and without framing.
    ///
    /// # Errors
    /// [`Code::SchemaIncompatible`] when values of that schema can't be read as the topic's, [`Code::AvroInvalid`] when this is none.
    pub fn measure(&self, id: u32, bytes: &[u8]) -> Result<usize> {
        match self.writers.get(&id) {
            Some(Learnt::Readable(writer)) => writer.measure(bytes).map_err(|flaw| Fault::operator(Code::AvroInvalid, flaw)),
            Some(Learnt::Unreadable(reason)) => Err(Fault::operator(Code::SchemaIncompatible, reason.clone())),
            _ => Err(Fault::fatal(Code::Internal, format!("a value of schema {id} was to be measured before it was learnt"))),
        }
    }

    /// Decodes `records`, whose schema ids have all been learnt. A record that can't be decoded is rejected alone.
    ///
    /// # Errors
    /// [`Code::Internal`] for an id that was not learnt.
    pub fn decode(&mut self, records: &Arc<Records>) -> Result<Decoded> {
        let mut sorted = Sorted::of(records);
        let mut parts = Vec::with_capacity(sorted.groups.len());
        for (id, group) in std::mem::take(&mut sorted.groups) {
            parts.extend(self.decode_group(id, group, records, &mut sorted.rejected)?);
        }
        self.forget();
        sorted.rejected.sort_by_key(|rejection| rejection.record);
        Ok(Decoded { batch: self.merge(records, parts)?, tombstones: sorted.tombstones, rejected: sorted.rejected })
    }

    fn decode_group(&mut self, id: u32, group: Vec<u32>, records: &Records, rejected: &mut Vec<Rejection>) -> Result<Option<Rows>> {
        match self.writers.get_mut(&id) {
            Some(Learnt::Readable(writer)) => writer.decode(records.values(), group, &self.reader, rejected).map(Some),
            Some(Learnt::Unreadable(reason)) => {
                let reason = format!("schema {id} can't be read as the topic's: {reason}");
                rejected.extend(group.into_iter().map(|record| Rejection::new(record, Code::SchemaIncompatible, reason.clone())));
                Ok(None)
            }
            Some(Learnt::Unknown(_)) => {
                let reason = format!("the registry has no schema of the id {id}");
                rejected.extend(group.into_iter().map(|record| Rejection::new(record, Code::SchemaUnknown, reason.clone())));
                Ok(None)
            }
            None => Err(Fault::fatal(Code::Internal, format!("records of schema {id} were to be decoded before it was learnt"))),
        }
    }

    fn merge(&self, records: &Arc<Records>, mut parts: Vec<Rows>) -> Result<Batch> {
        let batch = |rows: Rows| Batch::new(rows.columns, Origin::of(Arc::clone(records), rows.records));
        match parts.len() {
            0 => Ok(batch(Rows { columns: RecordBatch::new_empty(Arc::clone(&self.reader.arrow)), records: Vec::new() })),
            1 => Ok(batch(parts.remove(0))),
            _ => self.merge_many(records, &parts.into_iter().map(batch).collect::<Vec<_>>()),
        }
    }

    /// Joining dictionaries joins their values, so that an enum's symbols stand there twice.
    fn merge_many(&self, records: &Arc<Records>, parts: &[Batch]) -> Result<Batch> {
        let defect = |error| Fault::fatal(Code::Internal, "the rows of several schema ids can't be merged").because(error);
        let merged = Batch::merge(records, parts).map_err(defect)?;
        let (columns, origin) = merged.ok_or_else(|| Fault::fatal(Code::Internal, "there are no rows to merge"))?.into_parts();
        let columns = form::conform_batch(&columns, &self.reader.kind, &self.reader.arrow).map_err(defect)?;
        Ok(Batch::new(columns, origin))
    }
}

/// Records by what their framing says.
#[derive(Default)]
struct Sorted {
    /// By schema id, in the order in which the ids appear.
    groups: Vec<(u32, Vec<u32>)>,
    tombstones: Vec<u32>,
    rejected: Vec<Rejection>,
}

impl Sorted {
    fn of(records: &Records) -> Self {
        let mut sorted = Self::default();
        let mut current = 0;
        for (value, record) in records.values().iter().zip(0..) {
            match value.map(|value| (value, schema_id(value))) {
                None => sorted.tombstones.push(record),
                Some((_, Some(id))) => {
                    current = sorted.group(id, current, records.values().len());
                    sorted.groups[current].1.push(record);
                }
                Some((value, None)) => sorted.rejected.push(Rejection::new(record, Code::FramingInvalid, misframed(value))),
            }
        }
        sorted
    }

    /// The index of the group of `id`, looked for first where the last record went.
    fn group(&mut self, id: u32, current: usize, records: usize) -> usize {
        if self.groups.get(current).is_some_and(|group| group.0 == id) {
            return current;
        }
        self.groups.iter().position(|group| group.0 == id).unwrap_or_else(|| {
            let capacity = if self.groups.is_empty() { records } else { 0 };
            self.groups.push((id, Vec::with_capacity(capacity)));
            self.groups.len() - 1
        })
    }
}

fn misframed(value: &[u8]) -> String {
    match value.first() {
        Some(0) | None => format!("the value has {} bytes; the framing alone takes {FRAME}", value.len()),
        Some(magic) => format!("the value begins with 0x{magic:02x}, not with the magic byte 0x00 and a schema id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Record, RecordsBuilder};
    use serde_json::json;

    fn of_ids(ids: impl IntoIterator<Item = u32>) -> Arc<Records> {
        let mut records = RecordsBuilder::new("t".into(), 1);
        for id in ids {
            let value = [&[0], &id.to_be_bytes()[..], &[2]].concat();
            records.push(&Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value: Some(&value), headers: &[] });
        }
        Arc::new(records.finish())
    }

    fn decoder() -> Decoder {
        let avro = json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int"}]});
        let schema = super::super::schema(avro).expect("is carried");
        let mut decoder = Decoder::new(&schema).expect("has a decoder");
        decoder.learn(1, Some(schema.text()));
        decoder
    }

    #[test]
    fn an_unknown_id_is_asked_for_again_after_a_while_and_a_known_one_is_not() {
        let mut decoder = decoder();
        assert_eq!(decoder.unknown_ids(&of_ids([3, 2, 1, 3])), [2, 3]);
        decoder.learn(2, None);
        decoder.learn(3, Some("{}"));
        let now = Instant::now();
        assert_eq!(decoder.unknown_ids_at(&of_ids([1, 2, 3]), now), [0; 0]);
        assert_eq!(decoder.unknown_ids_at(&of_ids([1, 2, 3]), now + ASK_AGAIN), [2]);
    }

    #[test]
    fn noise_in_the_place_of_ids_is_forgotten() {
        let mut decoder = decoder();
        let records = of_ids(1..3000);
        for id in decoder.unknown_ids(&records) {
            decoder.learn(id, None);
        }
        let Decoded { batch, rejected, .. } = decoder.decode(&records).expect("decodes");
        assert_eq!((batch.len(), rejected.len()), (1, 2998));
        assert_eq!(decoder.writers.len(), 1);
    }
}
