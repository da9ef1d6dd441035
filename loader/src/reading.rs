//! The way of records from Kafka into a sink: decoded, and turned into what they do to the table in the order of the records. What the
//! service does with the records of its topic, and a replay with those of dead letters.

use std::sync::Arc;

use millrace_model::{Code, Edge, LoadBound, Records, Rejection, Result, Schema, Sink};
use millrace_runtime::input::{Change, Input};
use millrace_runtime::registry::Registry;

use crate::config::Pipeline;
use crate::intake::Intake;
use crate::parts::{Action, Part};

/// Reads the records of one topic for one table.
pub struct Reading {
    pipeline: Pipeline,
    input: Input,
    intake: Intake,
}

/// A later version of the topic's schema, which records may be read by from here on, and what the table's rows are then.
pub struct Turn {
    change: Change,
    intake: Intake,
}

impl Turn {
    /// The schema that the table's rows will be of.
    pub fn table_schema(&self) -> &Schema {
        self.intake.schema()
    }
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
    /// How many bytes of memory the records take, as they came and decoded.
    pub memory: usize,
}

impl Reading {
    /// Of records of `schema`, as `pipeline` loads them.
    pub fn new(pipeline: &Pipeline, schema: &Schema) -> Result<Self> {
        let input = Input::new(&pipeline.from, schema, pipeline.schema_changes, pipeline.on_incompatible)?;
        Ok(Self { pipeline: pipeline.clone(), input, intake: Intake::new(pipeline, schema)? })
    }

    /// The schema of the table's rows.
    pub fn table_schema(&self) -> &Schema {
        self.intake.schema()
    }

    /// Learns the schemas that the records were written with. A turn that comes back is to be answered by [`Reading::turn`] or
    /// [`Reading::answer`], and this to be called again.
    pub async fn learn(&mut self, registry: &Registry, records: &Records) -> Result<Option<Turn>> {
        while let Some(change) = self.input.learn(registry, records).await? {
            match Intake::new(&self.pipeline, change.schema()) {
                Ok(intake) => return Ok(Some(Turn { change, intake })),
                Err(fault) => self.input.decline(&change, fault.message())?,
            }
        }
        Ok(None)
    }

    /// Makes the table take the turn's rows, in the transaction of the round that begins now, and answers the turn by whether it can.
    pub async fn turn(&mut self, turn: Turn, sink: &mut dyn Sink) -> Result<()> {
        let is_as_before = turn.table_schema().arrow() == self.table_schema().arrow();
        let reshaped = if is_as_before { Ok(()) } else { sink.reshape(turn.table_schema()).await };
        self.answer(turn, reshaped)
    }

    /// Reads by the turn's schema from here on, or goes on as before if the table can't take its rows ([`Code::TargetSchema`]).
    pub fn answer(&mut self, turn: Turn, fits: Result<()>) -> Result<()> {
        match fits {
            Ok(()) => self.follow(turn),
            Err(fault) if fault.code() == Code::TargetSchema => self.input.decline(&turn.change, fault.message()),
            Err(fault) => Err(fault),
        }
    }

    fn follow(&mut self, turn: Turn) -> Result<()> {
        self.input.follow(turn.change)?;
        self.intake = turn.intake;
        Ok(())
    }

    /// Decodes the records, whose schemas have all been learnt. The registry is asked for those of their keys.
    pub async fn read(&mut self, records: &Arc<Records>, registry: &Registry) -> Result<Read> {
        let decoded = self.input.decode(records)?;
        let memory = records.memory() + decoded.batch.columns().get_array_memory_size();
        let now = jiff::Timestamp::now().as_microsecond();
        let taken = self.intake.take(records, decoded.batch, decoded.tombstones, registry, now).await?;
        Ok(Read { parts: taken.parts, bounds: taken.bounds, undecoded: decoded.rejected, unfit: taken.rejected, memory })
    }
}

impl Read {
    /// How many rows come.
    pub fn rows(&self) -> usize {
        self.parts.iter().filter(|part| part.action == Action::Write).map(|part| part.batch.len()).sum()
    }

    /// How many rows come, without those of the records that `is_out` says true of.
    pub(crate) fn rows_but(&self, is_out: impl Fn(u32) -> bool) -> usize {
        let rows = self.parts.iter().filter(|part| part.action == Action::Write).flat_map(|part| part.batch.origin().rows());
        rows.filter(|&&record| !is_out(record)).count()
    }

    /// The records that delete all rows, in their order.
    pub(crate) fn clears(&self) -> Vec<u32> {
        let clears = self.parts.iter().filter(|part| part.action == Action::Clear);
        clears.flat_map(|part| part.batch.origin().rows()).copied().collect()
    }

    /// The same of the records alone that `is_out` does not say true of.
    pub(crate) fn without(&self, is_out: impl Fn(u32) -> bool) -> Result<Self> {
        let mut parts: Vec<Part> = self.parts.iter().map(|part| part.without(&is_out)).collect::<Result<_>>()?;
        // A deletion of all rows that nobody asks for any more would still be one.
        parts.retain(|part| !part.batch.is_empty());
        Ok(Self { parts, bounds: self.bounds.clone(), undecoded: self.undecoded.clone(), unfit: self.unfit.clone(), memory: self.memory })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror;
    use millrace_model::{Origin, Record, RecordsBuilder};

    #[test]
    fn a_deletion_of_all_rows_that_is_left_out_deletes_none() {
        let mut records = RecordsBuilder::new("t".into(), 3);
        for offset in 0..3 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let records = Arc::new(records.finish());
        let clear = |rows| Part::new(Action::Clear, mirror::bare(Origin::of(Arc::clone(&records), rows)).expect("a batch"));
        let read = Read {
            parts: vec![clear(vec![0]), clear(vec![1, 2])],
            bounds: Vec::new(),
            undecoded: Vec::new(),
            unfit: Vec::new(),
            memory: 0,
        };
        assert_eq!(read.clears(), [0, 1, 2]);
        let left = read.without(|record| record < 2).expect("leaves out");
        assert_eq!((left.parts.len(), left.clears()), (1, vec![2]));
    }
}
