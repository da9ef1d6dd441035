//! One connection, and the transaction of a round in it.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Rejected, Rejection, Result, Stage, TopicPartition};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::config::Config;
use super::connect::connect;
use super::fault::{fault, refusal};
use super::target::{compare, ensure};
use super::{positions, values};
use crate::config::Mode;
use crate::table::{Attempt, Outcome, Refused, Target, check_columns, land, quoted_list};

/// How many values go into one statement. SQLite takes 32,766; more than some thousands make nothing faster.
const VALUES: usize = 4096;

/// A connection, what was read from the catalogue through it, and whether a round is open.
pub(super) struct Session {
    connection: SqliteConnection,
    target: Target,
    required: BTreeSet<String>,
    open: bool,
}

impl Session {
    /// Opens the database, makes the tables that do not exist, and compares the target with the schema.
    pub(super) async fn open(config: &Config, target: &Target) -> Result<Self> {
        let mut connection = connect(config).await?;
        positions::ensure(&mut connection).await?;
        ensure(&mut connection, target).await?;
        let required = compare(&mut connection, target).await?;
        Ok(Self { connection, target: target.clone(), required, open: false })
    }

    pub(super) async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        if self.open {
            self.run("ROLLBACK").await?;
            self.open = false;
        }
        positions::claim(&mut self.connection, &self.target.table.pipeline, partitions).await
    }

    /// Sorts out the rows that can be seen not to fit.
    pub(super) fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)> {
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

    /// Puts rows into the table, or deletes those of the batch's keys; returns what the database refuses.
    pub(super) async fn land(&mut self, batch: &Batch, deleted: bool) -> Result<Vec<Rejected>> {
        if !self.open {
            self.run("BEGIN IMMEDIATE").await?;
            self.open = true;
        }
        let origin = batch.origin();
        let fields = self.fields(batch);
        let refused = land(&mut Work { session: self, batch, fields, deleted }, batch.len()).await?;
        let reject = |(row, reason): (usize, String)| {
            Rejected::new(origin.records(), Stage::Write, Rejection::new(origin.rows()[row], Code::RowRefused, reason))
        };
        Ok(refused.into_iter().map(reject).collect())
    }

    /// Moves the positions and commits, or rolls back when another writer has moved them.
    pub(super) async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        if !self.open {
            self.run("BEGIN IMMEDIATE").await?;
            self.open = true;
        }
        let commit = positions::advance(&mut self.connection, &self.target.table.pipeline, from, to).await?;
        self.run(if commit == Commit::Done { "COMMIT" } else { "ROLLBACK" }).await?;
        self.open = false;
        Ok(commit)
    }

    /// The schema's fields of a batch's columns: they say what a batch of keys may not, such as which bytes are UUIDs.
    fn fields(&self, batch: &Batch) -> Vec<FieldRef> {
        let schema = batch.columns().schema();
        let known = |field: &FieldRef| self.target.schema.arrow().fields().find(field.name()).map_or(field, |(_, known)| known).clone();
        schema.fields().iter().map(known).collect()
    }

    async fn run(&mut self, sql: &'static str) -> Result<()> {
        let done = sqlx::raw_sql(sql).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| fault(&format!("loading {}", self.target.name), error))
    }
}

/// Rows of a batch on their way into the table, or keys on their way out of it.
struct Work<'a> {
    session: &'a mut Session,
    batch: &'a Batch,
    fields: Vec<FieldRef>,
    deleted: bool,
}

impl Work<'_> {
    async fn execute(&mut self, rows: Range<usize>) -> Result<(), sqlx::Error> {
        let whole = (VALUES / self.batch.columns().num_columns().max(1)).max(1);
        for start in rows.clone().step_by(whole) {
            let chunk = start..rows.end.min(start + whole);
            let sql = self.statement(chunk.len());
            // Only whole chunks come again with the same text.
            let persistent = chunk.len() == whole;
            let arguments = values::arguments(&self.fields, self.batch.columns(), chunk).map_err(sqlx::Error::Encode)?;
            sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(persistent).execute(&mut self.session.connection).await?;
        }
        Ok(())
    }

    fn statement(&self, rows: usize) -> String {
        let target = &self.session.target;
        let names: Vec<&str> = self.fields.iter().map(|field| field.name().as_str()).collect();
        let row = format!("({})", vec!["?"; names.len()].join(","));
        let (table, columns, values) = (&target.name, quoted_list(names.iter().copied()), vec![row; rows].join(","));
        match target.table.mode {
            _ if self.deleted => format!("DELETE FROM {table} WHERE ({columns}) IN (VALUES {values})"),
            Mode::Append => format!("INSERT INTO {table} ({columns}) VALUES {values}"),
            Mode::Upsert => format!("INSERT INTO {table} ({columns}) VALUES {values} {}", target.on_conflict(&names)),
        }
    }
}

#[async_trait]
impl Attempt for Work<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.session.run("SAVEPOINT millrace").await?;
        match self.execute(rows).await {
            Ok(()) => {
                self.session.run("RELEASE millrace").await?;
                Ok(Outcome::Landed)
            }
            Err(error) => match refusal(&error) {
                Some(reason) => {
                    self.session.run("ROLLBACK TO millrace; RELEASE millrace").await?;
                    Ok(Outcome::Refused(reason))
                }
                None => Err(fault(&format!("loading {}", self.session.target.name), error)),
            },
        }
    }
}

fn defect(error: arrow::error::ArrowError) -> Fault {
    Fault::fatal(Code::Internal, "a batch can't be read by its columns").because(error)
}
