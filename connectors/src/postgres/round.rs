//! One session with the server, and the transaction of a round in it.

use std::ops::Range;

use async_trait::async_trait;
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Rejected, Rejection, Result, Stage as At, TopicPartition};
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::connect::connect;
use super::copy::Copy;
use super::encode::StageMark;
use super::fault::{fault, refusal};
use super::positions::Positions;
use super::stage::{self, Stage};
use super::target::{Loaded, Target, ensure};
use super::types::Form;
use crate::config::Mode;
use crate::table::{Attempt, Outcome, Refused, check_columns, land, quoted_list, unfit};

/// Constraints that are deferred to the commit would refuse rows when nobody can be told which.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL IMMEDIATE";

/// Rows, or the keys of rows to delete, that wait for the merge.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) batch: Batch,
    pub(super) deleted: bool,
}

/// A connection, what was read from the catalogue through it, and whether a round is open.
pub(super) struct Session {
    connection: PgConnection,
    target: Target,
    positions: Positions,
    columns: Vec<Loaded>,
    copy: String,
    stage: Option<Stage>,
    open: bool,
}

impl Session {
    /// Connects, makes the tables that do not exist, and compares the target with the schema.
    pub(super) async fn open(config: &Config, target: &Target) -> Result<Self> {
        let mut connection = connect(config, &target.table.pipeline).await?;
        let positions = Positions::of(target);
        positions.ensure(&mut connection).await?;
        ensure(&mut connection, &target.name(), &target.definition()?).await?;
        let columns = target.compare(&mut connection).await?;
        let names = quoted_list(columns.iter().map(|column| column.name.as_str()));
        let copy = format!("COPY {} ({names}) FROM STDIN (FORMAT binary)", target.name());
        let stage = if target.table.mode == Mode::Upsert { Some(Stage::of(target)?) } else { None };
        if let Some(stage) = &stage {
            stage.create(&mut connection).await?;
        }
        Ok(Self { connection, target: target.clone(), positions, columns, copy, stage, open: false })
    }

    pub(super) async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.roll_back().await?;
        self.positions.claim(&mut self.connection, partitions).await
    }

    /// Sorts out the rows that the catalogue shows not to fit.
    pub(super) fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)> {
        check_columns(batch.columns(), &self.target.schema)?;
        let mut refused = Refused::default();
        let columns = batch.columns();
        let schema = columns.schema();
        for (field, array) in schema.fields().iter().zip(columns.columns()) {
            let loaded = self.column(field.name())?;
            super::checks::check(loaded, field, array, &mut refused).map_err(defect)?;
        }
        refused.sort_out(batch).map_err(defect)
    }

    fn column(&self, name: &str) -> Result<&Loaded> {
        let column = self.columns.iter().find(|column| column.name == name);
        column.ok_or_else(|| unfit(format!("a batch has the column {name:?}, which is not in the schema")))
    }

    /// Copies rows straight into the target; returns those that it refuses.
    pub(super) async fn append(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        self.begin().await?;
        let records = batch.origin().rows();
        let refused = land(&mut Append { session: self, batch }, batch.len()).await?;
        Ok(refused.into_iter().map(|(row, reason)| Rejection::new(records[row], Code::RowRefused, reason)).collect())
    }

    /// Copies what is staged to the stage and merges it into the target; returns what the target refuses.
    pub(super) async fn merge(&mut self, staged: &[Staged]) -> Result<Vec<Rejected>> {
        self.begin().await?;
        self.fill_stage(staged).await.map_err(|error| fault("copying to the temporary table of an upsert", error))?;
        let rows = staged.iter().map(|part| part.batch.len()).sum();
        let deletions = staged.iter().any(|part| part.deleted);
        let mut merge = Merge { session: self, deletions, indexed: false };
        let refused = land(&mut merge, rows).await?;
        if merge.indexed {
            self.run(stage::DROP_INDEX).await?;
        }
        Ok(refused.into_iter().filter_map(|(row, reason)| rejected(staged, row, reason)).collect())
    }

    /// Moves the positions and commits, or rolls back when another writer has moved them.
    pub(super) async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        self.begin().await?;
        let commit = self.positions.advance(&mut self.connection, from, to).await?;
        match commit {
            Commit::Done => self.run("COMMIT").await?,
            Commit::Fenced => self.run("ROLLBACK").await?,
        }
        self.open = false;
        Ok(commit)
    }

    async fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.run(BEGIN).await?;
            self.open = true;
        }
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<()> {
        if self.open {
            self.run("ROLLBACK").await?;
            self.open = false;
        }
        Ok(())
    }

    async fn run(&mut self, sql: &'static str) -> Result<()> {
        let done = sqlx::raw_sql(sql).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| fault(&format!("loading {}", self.target.name()), error))
    }

    async fn fill_stage(&mut self, staged: &[Staged]) -> Result<(), sqlx::Error> {
        let Some(stage) = &self.stage else { return Ok(()) };
        let mut copy = Copy::begin(&mut self.connection, &stage.copy).await?;
        let mut sequence = 0;
        for Staged { batch, deleted } in staged {
            let mark = StageMark { sequence, deleted: *deleted };
            copy.send(batch.columns(), &columns_of(&self.columns, batch), Some(mark), 0..batch.len()).await?;
            sequence += batch.len() as i64;
        }
        copy.finish().await
    }

    async fn copy(&mut self, batch: &Batch, rows: Range<usize>) -> Result<(), sqlx::Error> {
        let columns = columns_of(&self.columns, batch);
        let mut copy = Copy::begin(&mut self.connection, &self.copy).await?;
        copy.send(batch.columns(), &columns, None, rows).await?;
        copy.finish().await
    }

    /// Keeps what was done since the last savepoint when it succeeded or undoes it when the rows are to blame.
    async fn settle_savepoint(&mut self, done: Result<(), sqlx::Error>) -> Result<Outcome> {
        match done {
            Ok(()) => {
                self.run("RELEASE SAVEPOINT millrace").await?;
                Ok(Outcome::Landed)
            }
            Err(error) => match refusal(&error) {
                Some(reason) => {
                    self.run("ROLLBACK TO SAVEPOINT millrace; RELEASE SAVEPOINT millrace").await?;
                    Ok(Outcome::Refused(reason))
                }
                None => Err(fault(&format!("loading {}", self.target.name()), error)),
            },
        }
    }
}

/// Rows of a batch, straight into the target.
struct Append<'a> {
    session: &'a mut Session,
    batch: &'a Batch,
}

#[async_trait]
impl Attempt for Append<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.session.run("SAVEPOINT millrace").await?;
        let done = self.session.copy(self.batch, rows).await;
        self.session.settle_savepoint(done).await
    }
}

/// Rows of the stage, into the target.
struct Merge<'a> {
    session: &'a mut Session,
    deletions: bool,
    /// Whether parts of the stage are found by an index: the search for refused rows reads many of them.
    indexed: bool,
}

#[async_trait]
impl Attempt for Merge<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.session.run("SAVEPOINT millrace").await?;
        let Session { connection, stage, .. } = &mut *self.session;
        let done = match stage {
            Some(stage) => stage.merge(connection, rows, self.deletions).await,
            None => Ok(()),
        };
        let outcome = self.session.settle_savepoint(done).await?;
        if outcome != Outcome::Landed && !self.indexed {
            self.session.run(stage::INDEX).await?;
            self.indexed = true;
        }
        Ok(outcome)
    }
}

/// For each column of the schema the batch's column of that name, and its form.
fn columns_of(columns: &[Loaded], batch: &Batch) -> Vec<(Option<usize>, Form)> {
    let schema = batch.columns().schema();
    columns.iter().map(|column| (schema.index_of(&column.name).ok(), column.form)).collect()
}

/// The rejection of a row by its number in the stage.
fn rejected(staged: &[Staged], mut row: usize, reason: String) -> Option<Rejected> {
    let part = staged.iter().find(|part| {
        let here = row < part.batch.len();
        row -= if here { 0 } else { part.batch.len() };
        here
    })?;
    let origin = part.batch.origin();
    Some(Rejected::new(origin.records(), At::Write, Rejection::new(origin.rows()[row], Code::RowRefused, reason)))
}

fn defect(error: arrow::error::ArrowError) -> Fault {
    Fault::fatal(Code::Internal, "a batch can't be read by its columns").because(error)
}
