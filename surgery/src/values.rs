//! The values of dead letters as columns, as far as they can be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use millrace_model::{Code, Fault, Record, RecordsBuilder, Result, Schema};
use millrace_runtime::codec::{self, Decoder};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::registry::Registry;

/// Values written with one Avro schema.
pub(crate) struct Avro {
    /// That schema.
    pub(crate) schema: Schema,
    /// Its id in the registry.
    pub(crate) id: u32,
    /// The values.
    pub(crate) columns: RecordBatch,
    /// For each row the index of its letter.
    pub(crate) letters: Vec<usize>,
}

/// The values of some letters.
#[derive(Default)]
pub(crate) struct Values {
    /// Those that are Avro of a known schema, by schema.
    pub(crate) avro: Vec<Avro>,
    /// The indices of the other letters.
    pub(crate) others: Vec<usize>,
}

/// Reads the values of `letters`. One that can't be read is among the others; only a registry that is away is a fault.
pub(crate) async fn read(letters: &[&DeadLetter], registry: &Registry) -> Result<Values> {
    let mut by_schema: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut values = Values::default();
    for (index, letter) in letters.iter().enumerate() {
        match letter.value.as_deref().and_then(schema_id) {
            Some(id) => by_schema.entry(id).or_default().push(index),
            None => values.others.push(index),
        }
    }
    for (id, indices) in by_schema {
        match written_with(registry, id).await? {
            Some(schema) => values.add(letters, id, schema, &indices)?,
            None => values.others.extend(indices),
        }
    }
    values.others.sort_unstable();
    Ok(values)
}

impl Values {
    fn add(&mut self, letters: &[&DeadLetter], id: u32, schema: Schema, indices: &[usize]) -> Result<()> {
        let mut decoder = Decoder::new(&schema)?;
        decoder.learn(id, Some(schema.text()));
        let mut records = RecordsBuilder::new("dead letters".into(), indices.len());
        for &index in indices {
            let value = letters[index].value.as_deref();
            records.push(&Record { topic: "", partition: 0, offset: 0, timestamp: 0, key: None, value, headers: &[] });
        }
        let decoded = decoder.decode(&Arc::new(records.finish()))?;
        self.others.extend(decoded.rejected.iter().map(|rejection| indices[rejection.record as usize]));
        let (columns, origin) = decoded.batch.into_parts();
        let rows = origin.rows().iter().map(|&row| indices[row as usize]).collect();
        self.avro.push(Avro { schema, id, columns, letters: rows });
        Ok(())
    }
}

/// The schema of that id, as far as there is one that Millrace carries.
pub(crate) async fn written_with(registry: &Registry, id: u32) -> Result<Option<Schema>> {
    match registry.schema(id).await {
        Ok(text) => Ok(text.and_then(|text| serde_json::from_str(&text).ok()).and_then(|avro| codec::schema(avro).ok())),
        Err(fault) if is_of_the_schema(&fault) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn is_of_the_schema(fault: &Fault) -> bool {
    matches!(fault.code(), Code::SchemaUnsupported | Code::SchemaInvalid)
}

/// The id in Confluent's framing.
pub(crate) fn schema_id(value: &[u8]) -> Option<u32> {
    match value {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// The value as text, if it is some.
pub(crate) fn text(letter: &DeadLetter) -> Option<&str> {
    std::str::from_utf8(letter.value.as_deref()?).ok()
}
