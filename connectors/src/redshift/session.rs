//! One session with the cluster: its stage, and the transaction of a round in it.

use std::ops::Range;

use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;
use async_trait::async_trait;
use millrace_model::{Batch, Commit, Offsets, ParkedChanges, ParkedHeads, Rejection, Result, TopicIdentity, TopicPartition};
use millrace_runtime::resilience::Link;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::bucket::Bucket;
use super::config::Config;
use super::connect::connect;
use super::fault::{fault, refusal};
use super::merge::{self, Merge};
use super::positions::{self, Positions};
use super::target::{Loaded, compare};
use super::{parked, rows};
use crate::crash_points as points;
use crate::postgres::{Change, Staged};
use crate::table::{Attempt, Outcome, Refused, Target, check_columns, count, defect, land, within};

/// A connection, what was read from the catalogue through it, and whether a round is open.
pub(super) struct Session {
    connection: PgConnection,
    link: Link,
    bucket: Bucket,
    target: Target,
    columns: Vec<Loaded>,
    fields: Vec<FieldRef>,
    merge: Merge,
    positions: Positions,
    open: bool,
}

impl Session {
    /// Connects, makes the tables that do not exist, and compares the target with the schema.
    pub(super) async fn open(config: &Config, target: &Target) -> Result<Self> {
        let bucket = Bucket::open(&config.stage)?;
        let connection = connect(config, &target.table.pipeline).await?;
        config.link().step(Self::prepare(connection, bucket, config, target)).await
    }

    async fn prepare(mut connection: PgConnection, bucket: Bucket, config: &Config, target: &Target) -> Result<Self> {
        let doing = format!("making table {}", target.name);
        positions::ensure(&mut connection).await?;
        execute(&mut connection, &doing, &target.definition()?).await?;
        let columns = compare(&mut connection, target).await?;
        let merge = Merge::of(target)?;
        execute(&mut connection, "making the temporary table of a load", &merge.create).await?;
        let fields = target.schema.arrow().fields().iter().cloned().collect();
        let positions = Positions::of(&target.table.pipeline);
        let link = config.link().clone();
        Ok(Self { connection, link, bucket, target: target.clone(), columns, fields, merge, positions, open: false })
    }

    pub(super) async fn claim(&mut self, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets> {
        if self.open {
            self.run("ROLLBACK").await?;
            self.open = false;
        }
        self.positions.claim(&mut self.connection, partitions, topic).await
    }

    /// The parked keys of partitions.
    pub(super) async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        parked::read(&mut self.connection, &self.target.table.pipeline, partitions).await
    }

    /// Changes parked keys, in the round's transaction.
    pub(super) async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        self.begin().await?;
        parked::change(&mut self.connection, &self.target.table.pipeline, changes).await
    }

    /// Sorts out the rows that can be seen not to fit.
    pub(super) fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)> {
        check_columns(batch.columns(), &self.target.schema)?;
        let mut refused = Refused::default();
        let (columns, schema) = (batch.columns(), batch.columns().schema());
        for (field, array) in schema.fields().iter().zip(columns.columns()) {
            let Some(loaded) = self.columns.iter().find(|loaded| loaded.name == *field.name()) else { continue };
            if loaded.required {
                refused.nulls(field.name(), array);
            }
            refused.nul_characters(field, array).map_err(defect)?;
            rows::check(field, array, loaded.longest, &mut refused).map_err(defect)?;
        }
        refused.sort_out(batch).map_err(defect)
    }

    /// Brings rows into the session's stage, before the transaction: there are no savepoints, and a COPY that is refused would take all
    /// of it along. Returns the rows that the cluster refuses, by numbers that count through all parts.
    pub(super) async fn fill(&mut self, staged: &[Staged]) -> Result<Vec<(usize, String)>> {
        let link = self.link.clone();
        link.step(self.run(merge::EMPTY)).await?;
        let refused = land(&mut Fill { session: self, staged }, count(staged)).await?;
        points::REDSHIFT_STAGE_AFTER.reached()?;
        Ok(refused)
    }

    /// Opens the transaction and brings the stage into the target.
    pub(super) async fn merge(&mut self) -> Result<()> {
        self.begin().await?;
        let doing = format!("loading {}", self.target.name);
        for statement in self.merge.statements() {
            execute(&mut self.connection, &doing, statement).await?;
        }
        Ok(())
    }

    /// Moves the positions and commits, or rolls back when another writer has moved them.
    pub(super) async fn commit(&mut self, from: &Offsets, to: &Offsets, topic: TopicIdentity) -> Result<Commit> {
        self.begin().await?;
        points::REDSHIFT_POSITIONS_BEFORE.reached()?;
        let commit = self.positions.advance(&mut self.connection, from, to, topic).await?;
        points::REDSHIFT_POSITIONS_AFTER.reached()?;
        self.run(if commit == Commit::Done { "COMMIT" } else { "ROLLBACK" }).await?;
        points::REDSHIFT_COMMIT_AFTER.reached()?;
        self.open = false;
        Ok(commit)
    }

    /// The lock comes first: what a transaction sees is what there was at its first statement after it.
    async fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.run("BEGIN").await?;
            self.open = true;
            self.run(positions::LOCK).await?;
        }
        Ok(())
    }

    async fn run(&mut self, sql: &str) -> Result<()> {
        let doing = format!("loading {}", self.target.name);
        execute(&mut self.connection, &doing, sql).await.map(drop)
    }

    fn csv(&self, staged: &[Staged], rows: Range<usize>) -> Result<Vec<u8>, ArrowError> {
        let (mut out, mut number) = (Vec::new(), rows.start);
        for (part, rows) in within(staged, rows) {
            let (first, start, deleted) = (number, rows.start, part.change == Change::Deletions);
            number += rows.len();
            rows::write(part.batch.columns(), &self.fields, rows, |row| format!("{},{deleted}", first + row - start), &mut out)?;
        }
        Ok(out)
    }

    async fn copy(&mut self, rows: Vec<u8>) -> Result<Outcome> {
        let waiting = self.bucket.put(rows).await?;
        points::REDSHIFT_OBJECT_AFTER.reached()?;
        let sql = self.bucket.copy(&self.merge.into, &waiting);
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await;
        self.bucket.delete(waiting).await;
        match done {
            Ok(_) => Ok(Outcome::Landed),
            Err(error) => match refusal(&error) {
                Some(reason) => Ok(Outcome::Refused(reason)),
                None => Err(fault(&format!("copying rows of {}", self.target.name), error)),
            },
        }
    }
}

/// Rows on their way into the stage.
struct Fill<'a> {
    session: &'a mut Session,
    staged: &'a [Staged],
}

#[async_trait]
impl Attempt for Fill<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        let rows = self.session.csv(self.staged, rows).map_err(defect)?;
        let link = self.session.link.clone();
        link.step(self.session.copy(rows)).await
    }
}

/// Runs a statement; returns how many rows it changed.
pub(super) async fn execute(connection: &mut PgConnection, doing: &str, sql: &str) -> Result<u64> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.map(|done| done.rows_affected()).map_err(|error| fault(doing, error))
}

/// The rows that a query answers, as text.
pub(super) async fn texts(connection: &mut PgConnection, doing: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(|error| fault(doing, error))?;
    as_texts(&rows).map_err(|error| fault(doing, error))
}

/// The values of rows, as the cluster writes them.
pub(super) fn as_texts(rows: &[PgRow]) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
    rows.iter().map(|row| (0..row.len()).map(|column| row.try_get_unchecked(column)).collect()).collect()
}
