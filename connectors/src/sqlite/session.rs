//! One connection, and the transaction of a round in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, LoadBound, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Stage, TopicIdentity,
    TopicPartition,
};
use millrace_runtime::resilience::Link;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::bulk::{Bulk, Rows};
use super::config::Config;
use super::connect::connect;
use super::fault::{fault, refusal};
use super::statements::Statements;
use super::target::{compare, compare_grown, does_more, ensure, grow, present, target};
use super::{order, parked, positions, replacing, values};
use crate::crash_points as points;
use crate::table::{Change, Outcome, Refused, Replaced, Replacing, RoundSession, Target, check_columns, defect, rejected, unsettled};
use crate::table_config::TableConfig;

const SAVEPOINT: &str = "SAVEPOINT millrace";

/// A connection, what was read from the catalogue through it, and whether a round is open.
pub(super) struct Session {
    connection: SqliteConnection,
    link: Link,
    target: Target,
    required: BTreeSet<String>,
    replacing: Option<Replacing>,
    /// Whether the next transaction adds columns before anything else: those of a changed schema, or those that loading rows lack since the table
    /// has them.
    grows: bool,
    open: bool,
    /// The column that rows are written in the order of.
    ordered_by: Option<String>,
    /// Those of the last batch: the next one is most often of the same columns.
    statements: Option<Arc<Statements>>,
}

#[async_trait]
impl RoundSession for Session {
    type Config = Config;
    const NAME: &'static str = "SQLite";

    fn link(config: &Config) -> &Link {
        config.link()
    }

    fn target(_: &Config, table: &TableConfig, schema: &Schema) -> Target {
        target(table, schema)
    }

    async fn open(config: &Config, target: &Target) -> Result<Self> {
        let mut connection = connect(config).await?;
        positions::ensure(&mut connection).await?;
        ensure(&mut connection, target).await?;
        let target = &present(&mut connection, target).await?;
        let required = compare(&mut connection, target).await?;
        let replacing = replacing::open(&mut connection, target).await?;
        let (link, target, grows) = (config.link().clone(), target.clone(), replacing.is_some());
        let ordered_by = if replacing.is_some() { None } else { order::column(&mut connection, &target.table.table).await? };
        Ok(Self { connection, link, target, required, replacing, grows, open: false, ordered_by, statements: None })
    }

    fn present(&self) -> &Target {
        &self.target
    }

    /// In the transaction of the next round.
    async fn reshape(&mut self, target: &Target) -> Result<()> {
        if self.open {
            return Err(unsettled());
        }
        if self.replacing.is_some() {
            Replacing::check(&target.schema)?;
        }
        self.required = compare_grown(&mut self.connection, target).await?;
        self.target = target.clone();
        self.statements = None;
        self.grows = true;
        Ok(())
    }

    async fn claim(&mut self, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets> {
        if self.open {
            self.run("ROLLBACK").await?;
            self.open = false;
        }
        positions::claim(&mut self.connection, &self.target.table.pipeline, partitions, topic).await
    }

    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        parked::read(&mut self.connection, &self.target.table.pipeline, partitions).await
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        self.begin().await?;
        parked::change(&mut self.connection, &self.target.table.pipeline, changes).await
    }

    fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)> {
        check_columns(batch.columns(), &self.target.schema)?;
        let mut refused = Refused::default();
        let columns = batch.columns();
        let schema = columns.schema();
        for (field, array) in schema.fields().iter().zip(columns.columns()) {
            if self.required.contains(field.name()) {
                refused.nulls(field.name(), array);
            }
            refused.nul_characters(field, array).map_err(defect)?;
            values::check(field, array, &mut refused);
        }
        refused.sort_out(batch).map_err(defect)
    }

    async fn land(&mut self, batches: &[Batch], change: Change) -> Result<Vec<Rejected>> {
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        self.begin().await?;
        let fields = self.fields(first);
        let statements = self.statements_for(&fields, change);
        let places = order::places(batches, self.ordered_by.as_deref());
        let guarded = does_more(&mut self.connection, &self.target.table.table).await?;
        let (bulk, rows) = (Bulk { statements: statements.texts(), guarded }, Rows { fields: &fields, batches, places: &places });
        let doing = format!("loading {}", self.target.name);
        let done = async { bulk.run(&mut self.connection, rows).await.map_err(|error| fault(&doing, error)) };
        let refused = self.link.step(done).await?;
        let numbered = refused.into_iter().map(|(place, reason)| (places[place].number(batches), reason));
        let mut numbered: Vec<(usize, String)> = numbered.collect();
        numbered.sort_unstable();
        Ok(rejected(batches, numbered))
    }

    async fn clear(&mut self, origin: &Origin) -> Result<Vec<Rejected>> {
        self.begin().await?;
        self.run(SAVEPOINT).await?;
        let delete = AssertSqlSafe(format!("DELETE FROM {}", self.target.name));
        let done = sqlx::raw_sql(delete).execute(&mut self.connection).await.map(drop);
        let Outcome::Refused(reason) = self.settle_savepoint(done).await? else { return Ok(Vec::new()) };
        let reject = |&record| Rejected::new(origin.records(), Stage::Write, Rejection::new(record, Code::RowRefused, reason.clone()));
        Ok(origin.rows().iter().map(reject).collect())
    }

    async fn bound(&mut self, bound: &LoadBound) -> Result<Vec<Rejected>> {
        self.begin().await?;
        let Some(replacing) = self.replacing.clone() else { return Ok(Vec::new()) };
        Ok(replacing.apply(bound, self).await?.into_iter().collect())
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets, topic: TopicIdentity) -> Result<Commit> {
        self.begin().await?;
        points::SQLITE_POSITIONS_BEFORE.reached()?;
        let commit = positions::advance(&mut self.connection, &self.target.table.pipeline, from, to, topic).await?;
        points::SQLITE_POSITIONS_AFTER.reached()?;
        self.run(if commit == Commit::Done { "COMMIT" } else { "ROLLBACK" }).await?;
        points::SQLITE_COMMIT_AFTER.reached()?;
        self.open = false;
        self.grows &= commit != Commit::Done;
        Ok(commit)
    }
}

impl Session {
    /// The table that rows go into.
    fn loads_into(&self) -> &str {
        self.replacing.as_ref().map_or(&self.target.name, |replacing| &replacing.loading)
    }

    fn statements_for(&mut self, fields: &[FieldRef], change: Change) -> Arc<Statements> {
        let last = self.statements.take().filter(|last| last.are_for(self.loads_into(), fields, change));
        let statements = last.unwrap_or_else(|| Arc::new(Statements::of(&self.target, self.loads_into(), fields, change)));
        self.statements = Some(Arc::clone(&statements));
        statements
    }

    /// The schema's fields of a batch's columns: they say what a batch of keys may not, such as which bytes are UUIDs.
    fn fields(&self, batch: &Batch) -> Vec<FieldRef> {
        let schema = batch.columns().schema();
        let known = |field: &FieldRef| self.target.schema.arrow().fields().find(field.name()).map_or(field, |(_, known)| known).clone();
        schema.fields().iter().map(known).collect()
    }

    async fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.run("BEGIN IMMEDIATE").await?;
            self.open = true;
            if self.grows {
                grow(&mut self.connection, &self.target).await?;
                if let Some(replacing) = &self.replacing {
                    replacing::align(&mut self.connection, replacing, &self.target).await?;
                }
                points::SQLITE_GROWTH_AFTER.reached()?;
            }
        }
        Ok(())
    }

    /// Keeps what was done since the savepoint when it succeeded, or undoes it when the rows are to blame.
    async fn settle_savepoint(&mut self, done: Result<(), sqlx::Error>) -> Result<Outcome> {
        match done {
            Ok(()) => {
                self.run("RELEASE millrace").await?;
                Ok(Outcome::Landed)
            }
            Err(error) => match refusal(&error) {
                Some(reason) => {
                    self.run("ROLLBACK TO millrace; RELEASE millrace").await?;
                    Ok(Outcome::Refused(reason))
                }
                None => Err(fault(&format!("loading {}", self.target.name), error)),
            },
        }
    }

    async fn run(&mut self, sql: &'static str) -> Result<()> {
        let done = sqlx::raw_sql(sql).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| fault(&format!("loading {}", self.target.name), error))
    }
}

#[async_trait]
impl Replaced for Session {
    /// There is one writer at a time.
    async fn lock(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn run(&mut self, statements: Vec<String>) -> Result<()> {
        let done = sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| fault(&format!("loading {}", self.target.name), error))
    }

    async fn attempt(&mut self, statements: Vec<String>) -> Result<Outcome> {
        Session::run(self, SAVEPOINT).await?;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut self.connection).await;
        self.settle_savepoint(done.map(drop)).await
    }

    async fn carried(&mut self) -> Result<Vec<String>> {
        replacing::carried(&mut self.connection, &self.target).await
    }

    async fn number(&mut self, query: String) -> Result<i64> {
        let number = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.connection).await;
        number.map_err(|error| fault(&format!("loading {}", self.target.name), error))
    }
}
