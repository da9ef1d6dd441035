//! From decoded records to what they do to the table, in the table's columns.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::error::ArrowError;
use millrace_connectors::Mode;
use millrace_model::{Batch, Code, Fault, LoadBound, Origin, Records, Rejection, Result, Schema};
use millrace_runtime::registry::Registry;

use crate::config::{Envelope, Pipeline};
use crate::deletions::Deletions;
use crate::loads;
use crate::mapping::{Mapping, Misfit};
use crate::mirror::{self, Change, Mirror};
use crate::parts::{Action, Part, interleaved};

/// Reads records as a pipeline wants it.
pub(crate) struct Intake {
    mapping: Mapping,
    /// Where records are changes.
    mirror: Option<Mirror>,
    deletions: Deletions,
    keys: Vec<String>,
    mode: Mode,
}

/// What records do to the table.
pub(crate) struct Taken {
    /// In the order of the records.
    pub(crate) parts: Vec<Part>,
    /// Where whole loads begin and end.
    pub(crate) bounds: Vec<LoadBound>,
    /// The records that do nothing because they can't.
    pub(crate) rejected: Vec<Rejection>,
}

/// Decoded records with the bounds of whole loads taken out.
struct Bounded {
    batch: Batch,
    tombstones: Vec<u32>,
    bounds: Vec<LoadBound>,
    /// The records whose headers name no load.
    unnamed: Vec<Rejection>,
}

/// The schema of the rows that records bring: their own, or that of the rows which changes are about.
pub(crate) fn rows(pipeline: &Pipeline, records: &Schema) -> Result<Schema, Vec<Misfit>> {
    match (pipeline.mode, pipeline.envelope) {
        (Mode::Mirror, Envelope::Debezium) => mirror::rows(records).map_err(|message| vec![Misfit::of_envelope(message)]),
        _ => Ok(records.clone()),
    }
}

/// How those rows become rows of the table.
pub(crate) fn mapping(pipeline: &Pipeline, records: &Schema) -> Result<Mapping, Vec<Misfit>> {
    Mapping::of(pipeline, &rows(pipeline, records)?)
}

impl Intake {
    /// For records of that schema.
    pub(crate) fn new(pipeline: &Pipeline, records: &Schema) -> Result<Self> {
        let rows = rows(pipeline, records).map_err(unfit)?;
        let mapping = Mapping::of(pipeline, &rows).map_err(unfit)?;
        let source = mapping.key_source(&pipeline.keys);
        let mirror = (pipeline.mode == Mode::Mirror).then(|| Mirror::new(pipeline.envelope, &rows, source.columns()));
        let deletions = Deletions::new(pipeline.mode, source, &rows)?;
        Ok(Self { mapping, mirror, deletions, keys: pipeline.keys.clone(), mode: pipeline.mode })
    }

    /// The table's columns.
    pub(crate) fn schema(&self) -> &Schema {
        self.mapping.schema()
    }

    /// What decoded records do. `now` is the time of loading, in microseconds since the epoch.
    pub(crate) async fn take(
        &mut self,
        records: &Arc<Records>,
        batch: Batch,
        tombstones: Vec<u32>,
        registry: &Registry,
        now: i64,
    ) -> Result<Taken> {
        let Bounded { batch, tombstones, bounds, unnamed } = self.bounded(records, batch, tombstones)?;
        let (mut parts, mut rejected) = (Vec::new(), unnamed);
        let tombstones = match &self.mirror {
            None => {
                self.write(&batch, &[], now, &mut parts, &mut rejected)?;
                tombstones
            }
            Some(mirror) => {
                let (deletions, clears) = mirror.tombstones(records, tombstones);
                let (changes, refused) = mirror.changes(&batch)?;
                rejected.extend(refused);
                for change in changes {
                    self.change(change, now, &mut parts, &mut rejected)?;
                }
                parts.push(Part::new(Action::Clear, mirror::bare(Origin::of(Arc::clone(records), clears)).map_err(defect)?));
                deletions
            }
        };
        if !tombstones.is_empty() {
            let deleted = self.deletions.keys(records, &tombstones, registry).await?;
            rejected.extend(deleted.rejected);
            for keys in deleted.keys {
                self.delete(&keys, &mut parts, &mut rejected)?;
            }
        }
        Ok(Taken { parts: interleaved(parts), bounds, rejected })
    }

    /// Where a table is replaced: the bounds of its loads, and the records without those that say nothing else, or name no load.
    fn bounded(&self, records: &Arc<Records>, batch: Batch, tombstones: Vec<u32>) -> Result<Bounded> {
        if self.mode != Mode::Replace {
            return Ok(Bounded { batch, tombstones, bounds: Vec::new(), unnamed: Vec::new() });
        }
        let (bounds, mut unnamed) = loads::bounds(records);
        // What could not be decoded is rejected for that.
        unnamed.retain(|unnamed| [batch.origin().rows(), &tombstones].iter().any(|rows| rows.binary_search(&unnamed.record).is_ok()));
        let tombstones = tombstones.into_iter().filter(|&record| !loads::is_bound(records, record)).collect();
        let is_unnamed = |record: &u32| unnamed.iter().any(|unnamed| unnamed.record == *record);
        let batch = if unnamed.is_empty() {
            batch
        } else {
            let named: BooleanArray = batch.origin().rows().iter().map(|record| Some(!is_unnamed(record))).collect();
            batch.filter(&named).map_err(defect)?
        };
        Ok(Bounded { batch, tombstones, bounds, unnamed })
    }

    fn change(&self, change: Change, now: i64, parts: &mut Vec<Part>, rejected: &mut Vec<Rejection>) -> Result<()> {
        match change {
            Change::Write { rows, lacking } => self.write(&rows, &lacking, now, parts, rejected)?,
            Change::Delete(keys) => self.delete(&keys, parts, rejected)?,
            Change::Clear(records) => parts.push(Part::new(Action::Clear, records)),
        }
        Ok(())
    }

    fn write(&self, rows: &Batch, lacking: &[Arc<str>], now: i64, parts: &mut Vec<Part>, rejected: &mut Vec<Rejection>) -> Result<()> {
        let (rows, refused) = self.mapping.apply(rows, lacking, now)?;
        parts.push(Part::new(Action::Write, rows));
        rejected.extend(refused);
        Ok(())
    }

    fn delete(&self, keys: &Batch, parts: &mut Vec<Part>, rejected: &mut Vec<Rejection>) -> Result<()> {
        let (keys, refused) = self.mapping.keys(&self.keys, keys).map_err(defect)?;
        parts.push(Part::new(Action::Delete, keys));
        rejected.extend(refused);
        Ok(())
    }
}

/// The fault of a pipeline that does not fit its records.
pub(crate) fn unfit(misfits: Vec<Misfit>) -> Fault {
    let messages: Vec<String> = misfits.into_iter().map(|misfit| misfit.message).collect();
    Fault::operator(Code::ProjectFlow, format!("{}; `millrace check` shows where", messages.join("; ")))
}

fn defect(error: ArrowError) -> Fault {
    Fault::fatal(Code::Internal, "keys can't be brought into the table's columns").because(error)
}

#[cfg(test)]
mod tests;
