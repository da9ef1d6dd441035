//! The way of records from Kafka into a sink: decoded, and turned into what they do to the table in the order of the records. What the
//! service does with the records of its topic, and a replay with those of dead letters.

use std::sync::Arc;

use millrace_model::{Edge, LoadBound, Records, Rejection, Result, Schema, Sink};
use millrace_runtime::codec::Decoder;
use millrace_runtime::input;
use millrace_runtime::registry::Registry;

use crate::config::Pipeline;
use crate::intake::Intake;
use crate::parts::{Action, Part};

/// Reads the records of one topic for one table.
pub struct Reading {
    decoder: Decoder,
    intake: Intake,
}

/// What records are to the table.
pub struct Read {
    /// What those that can do anything do, in the order of the records.
    pub parts: Vec<Part>,
    /// Where whole loads begin and end.
    pub bounds: Vec<LoadBound>,
    /// What could not be decoded.
    pub undecoded: Vec<Rejection>,
    /// What does nothing because it can't: deletions that name no row, changes that are none.
    pub unfit: Vec<Rejection>,
}

impl Reading {
    /// Of records of `schema`, as `pipeline` loads them.
    pub fn new(pipeline: &Pipeline, schema: &Schema) -> Result<Self> {
        Ok(Self { decoder: Decoder::new(schema)?, intake: Intake::new(pipeline, schema)? })
    }

    /// The schema of the table's rows.
    pub fn table_schema(&self) -> &Schema {
        self.intake.schema()
    }

    /// Decodes the records, asking the registry for schemas that are new.
    pub async fn read(&mut self, records: &Arc<Records>, registry: &Registry) -> Result<Read> {
        input::learn(&mut self.decoder, registry, records).await?;
        let decoded = self.decoder.decode(records)?;
        let now = jiff::Timestamp::now().as_microsecond();
        let taken = self.intake.take(records, decoded.batch, decoded.tombstones, registry, now).await?;
        Ok(Read { parts: taken.parts, bounds: taken.bounds, undecoded: decoded.rejected, unfit: taken.rejected })
    }
}

impl Read {
    /// How many rows come.
    pub fn rows(&self) -> usize {
        self.parts.iter().filter(|part| part.action == Action::Write).map(|part| part.batch.len()).sum()
    }

    /// Whether a load ends here, so that it matters how many partitions the topic has.
    pub fn ends_load(&self) -> bool {
        self.bounds.iter().any(|bound| bound.edge == Edge::End)
    }

    /// The same, of a topic of so many partitions.
    #[must_use]
    pub fn of_partitions(mut self, partitions: i32) -> Self {
        self.bounds.iter_mut().for_each(|bound| bound.partitions = partitions);
        self
    }

    /// Stages everything in the order of the records; returns what the sink won't take.
    pub async fn stage(&self, sink: &mut dyn Sink) -> Result<Vec<Rejection>> {
        let mut refused = Vec::new();
        for part in &self.parts {
            match part.action {
                Action::Write => refused.extend(sink.write(&part.batch).await?),
                Action::Delete => refused.extend(sink.delete(&part.batch).await?),
                Action::Clear => sink.clear(part.batch.origin().clone()).await?,
            }
        }
        for bound in &self.bounds {
            sink.bound(bound.clone()).await?;
        }
        Ok(refused)
    }
}
