//! The way of records from Kafka into a sink: decoded, and turned into rows and deletions in the order of the records. What the
//! service does with the records of its topic, and a replay with those of dead letters.

use std::sync::Arc;

use millrace_connectors::TableConfig;
use millrace_model::{Batch, Records, Rejection, Result, Schema, Sink};
use millrace_runtime::codec::Decoder;
use millrace_runtime::input;
use millrace_runtime::registry::Registry;

use crate::deletions::{Deleted, Deletions};

/// Reads the records of one topic for one table.
pub struct Reading {
    decoder: Decoder,
    deletions: Deletions,
}

/// What records are to the table.
pub struct Read {
    /// Those with a value, as rows.
    pub rows: Batch,
    /// The keys of the rows that the others delete.
    pub deletions: Option<Batch>,
    /// What could not be decoded.
    pub undecoded: Vec<Rejection>,
    /// Deletions that name no row.
    pub unkeyed: Vec<Rejection>,
}

impl Reading {
    /// Of records of `schema` for `table`.
    pub fn new(table: &TableConfig, schema: &Schema) -> Result<Self> {
        Ok(Self { decoder: Decoder::new(schema)?, deletions: Deletions::new(table, schema)? })
    }

    /// Decodes the records, asking the registry for schemas that are new.
    pub async fn read(&mut self, records: &Arc<Records>, registry: &Registry) -> Result<Read> {
        input::learn(&mut self.decoder, registry, records).await?;
        let decoded = self.decoder.decode(records)?;
        let deleted = match decoded.tombstones.as_slice() {
            [] => Deleted { keys: None, rejected: Vec::new() },
            tombstones => self.deletions.keys(records, tombstones, registry).await?,
        };
        Ok(Read { rows: decoded.batch, deletions: deleted.keys, undecoded: decoded.rejected, unkeyed: deleted.rejected })
    }
}

impl Read {
    /// Stages rows and deletions in the order of the records; returns what the sink won't take.
    pub async fn stage(&self, sink: &mut dyn Sink) -> Result<Vec<Rejection>> {
        let mut refused = Vec::new();
        for run in runs(&self.rows, self.deletions.as_ref()) {
            refused.extend(match run {
                Run::Rows(rows) => sink.write(&rows).await?,
                Run::Deletions(keys) => sink.delete(&keys).await?,
            });
        }
        Ok(refused)
    }
}

/// Rows or deletions that follow one another.
enum Run {
    Rows(Batch),
    Deletions(Batch),
}

/// Cuts rows and deletions, each ascending by record, into runs in the order of the records.
fn runs(rows: &Batch, deletions: Option<&Batch>) -> Vec<Run> {
    let Some(deletions) = deletions else { return vec![Run::Rows(rows.clone())] };
    let (mut row, mut deletion, mut runs) = (0, 0, Vec::new());
    let (row_records, deletion_records) = (rows.origin().rows(), deletions.origin().rows());
    while row < rows.len() || deletion < deletions.len() {
        let before = |limit: Option<&u32>, records: &[u32]| records.partition_point(|record| limit.is_none_or(|limit| record < limit));
        let next_row = before(deletion_records.get(deletion), row_records);
        if next_row > row {
            runs.push(Run::Rows(rows.slice(row, next_row - row)));
            row = next_row;
        }
        let next_deletion = before(row_records.get(row), deletion_records);
        if next_deletion > deletion {
            runs.push(Run::Deletions(deletions.slice(deletion, next_deletion - deletion)));
            deletion = next_deletion;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use millrace_model::{Origin, Record, RecordsBuilder};

    fn batch(rows: &[u32]) -> Batch {
        let mut records = RecordsBuilder::new("t".into(), 8);
        for offset in 0..8 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|&row| row as i32)));
        let columns = RecordBatch::try_from_iter([("n", column)]).expect("one column");
        Batch::new(columns, Origin::of(Arc::new(records.finish()), rows.to_vec()))
    }

    fn order(runs: &[Run]) -> Vec<(char, Vec<u32>)> {
        let shape = |run: &Run| match run {
            Run::Rows(batch) => ('w', batch.origin().rows().to_vec()),
            Run::Deletions(batch) => ('d', batch.origin().rows().to_vec()),
        };
        runs.iter().map(shape).collect()
    }

    #[test]
    fn rows_and_deletions_are_staged_in_the_order_of_their_records() {
        let runs = runs(&batch(&[0, 1, 4]), Some(&batch(&[2, 3, 5])));
        assert_eq!(order(&runs), [('w', vec![0, 1]), ('d', vec![2, 3]), ('w', vec![4]), ('d', vec![5])]);
    }

    #[test]
    fn a_deletion_may_come_first_and_alone() {
        assert_eq!(order(&runs(&batch(&[]), Some(&batch(&[0])))), [('d', vec![0])]);
    }
}
