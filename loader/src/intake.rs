//! From decoded records to what they do to the table, in the table's columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema as ArrowSchema};
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
        let (mut parts, mut rejected) = (Vec::new(), Vec::new());
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
        let (bounds, unnamed) = if self.mode == Mode::Replace { loads::bounds(records) } else { Default::default() };
        rejected.extend(unnamed);
        let is_row = |record: &u32| self.mode != Mode::Replace || !loads::is_bound(records, *record);
        let tombstones: Vec<u32> = tombstones.into_iter().filter(is_row).collect();
        if !tombstones.is_empty() {
            let deleted = self.deletions.keys(records, &tombstones, registry).await?;
            rejected.extend(deleted.rejected);
            for keys in deleted.keys {
                parts.push(Part::new(Action::Delete, self.keys(&keys).map_err(defect)?));
            }
        }
        Ok(Taken { parts: interleaved(parts), bounds, rejected })
    }

    fn change(&self, change: Change, now: i64, parts: &mut Vec<Part>, rejected: &mut Vec<Rejection>) -> Result<()> {
        match change {
            Change::Write { rows, lacking } => self.write(&rows, &lacking, now, parts, rejected)?,
            Change::Delete(keys) => parts.push(Part::new(Action::Delete, self.keys(&keys).map_err(defect)?)),
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

    /// Keys under the names, and of the types, that the table has for them.
    fn keys(&self, keys: &Batch) -> Result<Batch, ArrowError> {
        let (mut fields, mut arrays) = (Vec::<Field>::new(), Vec::<ArrayRef>::new());
        for (name, array) in self.keys.iter().zip(keys.columns().columns()) {
            let field = self.mapping.schema().arrow().field_with_name(name)?;
            arrays.push(cast(array, field.data_type())?);
            fields.push(field.clone());
        }
        Ok(Batch::new(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?, keys.origin().clone()))
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
