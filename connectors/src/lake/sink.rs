//! The sink.

use async_trait::async_trait;
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Rejected, Rejection, Result, Schema, Sink, TopicIdentity, TopicPartition};
use uuid::Uuid;

use super::config::Config;
use super::fault::defect;
use super::files::Files;
use super::layout::{Layout, Target};
use super::log::{self, Add, Appended, Contents, Entry, Snapshot};
use super::place::Place;
use super::{clean, positions};
use crate::crash_points as points;
use crate::table::{behind, check_columns, no_deletions, part_of, unfit, unsettled};
use crate::table_config::TableConfig;

/// Loads a table of a lake.
///
/// Rows go into files as they come; nobody sees a file that no version of the log names. A commit puts the next version, where there is none
/// yet: with the round's files, the positions that they reach and the columns that come with them. Whoever finds another writer's version
/// there reads it first: where it moved one of the positions, the round is fenced. There is no session to end: a writer that stands still
/// holds nothing, and when it wakes its version is taken.
///
/// The round is taken out for each call and put back when the call succeeds: one that fails, or is dropped half-way, voids it.
pub(super) struct LakeSink {
    config: Config,
    place: Place,
    target: Target,
    /// Which topic its positions are of.
    topic: TopicIdentity,
    snapshot: Snapshot,
    layout: Layout,
    /// What the table is to take from the next commit on.
    reshaped: Option<Target>,
    round: Option<Files>,
}

impl LakeSink {
    /// A sink into the table, which is made where there is none. Columns that it lacks come with the first rows.
    pub(super) async fn open(config: &Config, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        let place = Place::make(config, &table.table)?;
        let target = Target::new(table, schema, place.name().to_owned());
        target.columns()?;
        let snapshot = made(&place, &target).await?;
        let (_, missing) = target.compare(&snapshot)?.fitting()?;
        let present = part_of(schema, |name| missing.iter().all(|field| field.name() != name));
        let target = Target::new(table, &present, place.name().to_owned());
        let layout = fitting(&target, &snapshot)?;
        let round = Some(Files::new(config));
        let topic = TopicIdentity::default();
        let sink = Self { config: config.clone(), place, target, topic, snapshot, layout, reshaped: None, round };
        Ok(behind(sink, &present, schema))
    }

    fn take(&mut self) -> Result<Files> {
        let void = "the round has ended; the partitions must be claimed again";
        self.round.take().ok_or_else(|| Fault::passing(Code::TargetUnavailable, void))
    }

    /// The columns that the table has to be given before it takes the round.
    fn additions(&self) -> Result<Vec<Entry>> {
        let target = self.reshaped.as_ref().unwrap_or(&self.target);
        let (layout, missing) = target.compare(&self.snapshot)?.fitting()?;
        if layout.columns != self.layout.columns || (!missing.is_empty() && self.reshaped.is_none()) {
            return Err(Fault::passing(Code::TargetFenced, format!("another writer has changed the columns of {}", self.place.name())));
        }
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let (protocol, metadata) = target.grown(&self.snapshot, &missing)?;
        Ok(protocol.map(Entry::of_protocol).into_iter().chain([Entry::of_metadata(metadata)]).collect())
    }

    /// Puts the next version, until it is there or another writer's has moved a position.
    async fn publish(&mut self, files: &[Add], from: &Offsets, to: &Offsets) -> Result<Commit> {
        let (pipeline, attempt) = (self.target.table.pipeline.clone(), Uuid::new_v4());
        loop {
            log::refresh(&self.place, &mut self.snapshot).await?;
            if !positions::are_at(&self.snapshot, &pipeline, from, to, self.topic) {
                return Ok(Commit::Fenced);
            }
            let mut entries = self.additions()?;
            entries.extend(positions::moved(&pipeline, to, self.topic));
            entries.extend(files.iter().cloned().map(Entry::of_add));
            let version = self.snapshot.version + 1;
            points::LAKE_VERSION_BEFORE.reached()?;
            if log::append(&self.place, version, &entries, attempt).await? == Appended::Done {
                points::LAKE_VERSION_AFTER.reached()?;
                entries.into_iter().for_each(|entry| self.snapshot.apply(entry));
                self.snapshot.version = version;
                return Ok(Commit::Done);
            }
        }
    }
}

#[async_trait]
impl Sink for LakeSink {
    fn identify(&mut self, topic: TopicIdentity) {
        self.topic = topic;
    }

    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        if let Some(files) = self.round.take() {
            discard(&self.place, files.into_finished()).await;
        }
        self.reshaped = None;
        log::refresh(&self.place, &mut self.snapshot).await?;
        self.layout = fitting(&self.target, &self.snapshot)?;
        self.round = Some(Files::new(&self.config));
        positions::of(&self.snapshot, &self.target.table.pipeline, partitions, self.topic)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        let target = self.reshaped.as_ref().unwrap_or(&self.target);
        check_columns(batch.columns(), &target.schema)?;
        let mut files = self.take()?;
        let (rows, rejections) = self.layout.rows(batch).map_err(defect)?;
        if rows.num_rows() > 0 {
            files.write(&self.place, &self.layout, rows).await?;
        }
        self.round = Some(files);
        Ok(rejections)
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        Ok(no_deletions(self.target.table.mode, keys))
    }

    async fn reshape(&mut self, schema: &Schema) -> Result<()> {
        if self.round.as_ref().is_some_and(|files| !files.are_empty()) {
            return Err(unsettled());
        }
        let target = Target::new(&self.target.table, schema, self.place.name().to_owned());
        target.columns()?;
        log::refresh(&self.place, &mut self.snapshot).await?;
        let (layout, missing) = target.compare(&self.snapshot)?.fitting()?;
        if target.folders.is_some()
            && layout.folders.as_ref().is_some_and(|folders| missing.iter().any(|field| *field.name() == folders.column))
        {
            return Err(unfit("the column that a table is partitioned by can't be added to it"));
        }
        (self.layout, self.reshaped) = (layout, Some(target));
        Ok(())
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        let mut files = self.take()?;
        files.finish_all(&self.layout).await?;
        self.round = Some(files);
        Ok(Vec::new())
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        let files = self.take()?;
        if files.are_open() {
            return Err(unsettled());
        }
        let finished = files.into_finished();
        if finished.iter().any(|file| file.modification_time < log::now() - clean::STALE) {
            return Err(Fault::passing(
                Code::TargetUnavailable,
                "the round stood still for a day and is void; the partitions must be claimed again",
            ));
        }
        if self.publish(&finished, from, to).await? == Commit::Fenced {
            discard(&self.place, finished).await;
            return Ok(Commit::Fenced);
        }
        if let Some(target) = self.reshaped.take() {
            self.target = target;
        }
        self.round = Some(Files::new(&self.config));
        clean::after(&self.place, self.snapshot.version).await;
        Ok(Commit::Done)
    }
}

/// Deletes files that no version will name. What can't be deleted now is deleted with the orphans of a crash.
async fn discard(place: &Place, files: Vec<Add>) {
    for file in files {
        if let Err(fault) = place.delete(&file.path.replace("%25", "%")).await {
            tracing::debug!(%fault, "a file that is not published stays for now");
        }
    }
}

/// The table, which is made where there is none.
async fn made(place: &Place, target: &Target) -> Result<Snapshot> {
    loop {
        if let Some(snapshot) = log::read(place, Contents::Facts).await? {
            return Ok(snapshot);
        }
        let (protocol, metadata) = target.fresh()?;
        // Whoever comes first makes it.
        log::append(place, 0, &[Entry::of_protocol(protocol), Entry::of_metadata(metadata)], Uuid::new_v4()).await?;
    }
}

fn fitting(target: &Target, snapshot: &Snapshot) -> Result<Layout> {
    match target.compare(snapshot)?.fitting()? {
        (layout, missing) if missing.is_empty() => Ok(layout),
        (_, missing) => Err(target.lacks(&missing)),
    }
}
