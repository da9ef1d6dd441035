//! The manifest: one record for each file that was read, in the transaction of the file's last records.

use std::sync::Arc;

use millrace_model::{Code, Fault, Finished, Record, RecordsBuilder, Result, Schema};
use millrace_runtime::codec;
use millrace_runtime::formats::JsonReader;
use millrace_runtime::kafka::Producer;
use millrace_runtime::output::Writer;
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;
use serde_json::json;

use super::standing::Tally;

/// The Avro schema of its records.
const SCHEMA: &str = include_str!("../../../schemas/file_read.avsc");
/// The columns of their keys.
const KEY: [&str; 2] = ["pipeline", "file"];

/// Writes the manifest of one pipeline through one producer.
pub(super) struct Manifest {
    reader: JsonReader,
    writer: Writer,
    topic: Arc<str>,
}

impl Manifest {
    pub(super) async fn open(registry: &Registry, topic: &str) -> Result<Self> {
        let schema = schema()?;
        let writer = Writer::open(registry, topic, &schema, &KEY.map(str::to_owned)).await?;
        Ok(Self { reader: JsonReader::new(&schema)?, writer, topic: topic.into() })
    }

    /// Sends the record of a file, in the producer's transaction if it is in one.
    pub(super) fn send(
        &self,
        producer: &mut Producer,
        pipeline: &Pipeline,
        split: &str,
        finished: &Finished,
        tally: &Tally,
        now: i64,
    ) -> Result<()> {
        let text = json!({
            "pipeline": &*pipeline.id, "file": split, "place": finished.place, "version": finished.version, "bytes": finished.bytes,
            "records": tally.records, "rejected": tally.rejected, "began": tally.began, "ended": now,
        });
        let text = text.to_string();
        let mut records = RecordsBuilder::new(Arc::clone(&self.topic), 1);
        let value = Some(text.as_bytes());
        records.push(&Record { topic: &self.topic, partition: 0, offset: 0, timestamp: now, key: None, value, headers: &[] });
        let parsed = self.reader.read(&Arc::new(records.finish()))?;
        if let Some(refusal) = parsed.refused.first() {
            return Err(Fault::fatal(Code::Internal, format!("a manifest's record does not fit its schema: {}", refusal.text())));
        }
        self.writer.write(producer, &parsed.batch, &[], &pipeline.hop.untraced()).map(|_| ())
    }
}

fn schema() -> Result<Schema> {
    let avro =
        serde_json::from_str(SCHEMA).map_err(|error| Fault::fatal(Code::Internal, "the manifest's schema is JSON").because(error))?;
    codec::schema(avro)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_one_that_is_written() {
        let schema = schema().expect("a schema");
        assert_eq!(schema.name(), "millrace.FileRead");
        assert!(KEY.iter().all(|column| schema.field(column).is_some()));
        JsonReader::new(&schema).expect("JSON fits it");
    }
}
