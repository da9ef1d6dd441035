//! Rows of a batch on their way into the table, or keys on their way out of it.

use std::ops::Range;

use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use millrace_model::{Batch, Result};
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlArguments;

use super::session::Session;
use super::statements::{Statements, text};
use super::target::Loaded;
use super::values::{Rows, Unsendable};
use crate::table::{Attempt, Outcome};

/// What is to be done with a batch.
pub(super) struct Work<'a> {
    pub(super) session: &'a mut Session,
    pub(super) batch: &'a Batch,
    pub(super) fields: &'a [FieldRef],
    pub(super) columns: &'a [Loaded],
    pub(super) statements: Statements,
}

/// Why rows did not land.
enum Stopped {
    /// The server, or the connection to it, said no.
    By(sqlx::Error),
    /// A row can't be sent.
    Refused(String),
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        Self::By(error)
    }
}

/// The rows of the next statement.
struct Next {
    values: MySqlArguments,
    rows: usize,
    /// What the `UPDATE` before an `INSERT` takes.
    parameters: Option<MySqlArguments>,
}

impl Work<'_> {
    async fn execute(&mut self, rows: Range<usize>) -> Result<(), Stopped> {
        let mut start = rows.start;
        while start < rows.end {
            let next = self.next(start..rows.end)?;
            start += next.rows;
            self.send(next).await?;
        }
        Ok(())
    }

    fn next(&self, rows: Range<usize>) -> Result<Next, Stopped> {
        let packet = self.room();
        let mut columns = Rows::of(self.fields, self.batch.columns(), self.columns).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let parameters = match &self.statements {
            Statements::Each { update, .. } => Some(columns.parameters(rows.start, &update.parameters).map_err(sqlx::Error::Encode)?),
            Statements::Many { .. } => None,
        };
        let (values, rows) = columns.take(rows, self.statements.rows(), packet).map_err(|unsendable| unsendable.stopped(packet))?;
        Ok(Next { values, rows, parameters })
    }

    async fn send(&mut self, next: Next) -> Result<(), sqlx::Error> {
        match &self.statements {
            Statements::Many { head, row, tail, .. } => {
                // Only whole statements come again with the same text.
                let is_whole = next.rows == self.statements.rows();
                run(self.session, text(head, row, next.rows, tail), next.values, is_whole).await?;
            }
            Statements::Each { update, insert } => {
                // Rows that were found count, changed or not.
                let found = run(self.session, update.sql.clone(), next.parameters.unwrap_or_default(), true).await?;
                if found == 0 {
                    run(self.session, insert.clone(), next.values, true).await?;
                }
            }
        }
        Ok(())
    }

    /// How many bytes the values of one statement may have: the statement's own head counts as well.
    fn room(&self) -> usize {
        self.session.server.packet.saturating_sub(1 << 10)
    }
}

async fn run(session: &mut Session, sql: String, arguments: MySqlArguments, persistent: bool) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(persistent);
    query.execute(&mut session.connection).await.map(|done| done.rows_affected())
}

impl Unsendable {
    fn stopped(self, packet: usize) -> Stopped {
        match self {
            Self::Broken(error) => Stopped::By(sqlx::Error::Encode(error)),
            Self::TooLarge(bytes) => Stopped::Refused(format!(
                "the row needs {bytes} bytes of a statement, and the server takes {packet}: raise its max_allowed_packet"
            )),
        }
    }
}

#[async_trait]
impl Attempt for Work<'_> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.session.set_savepoint().await?;
        match self.execute(rows).await {
            Ok(()) => self.session.keep().await,
            Err(Stopped::Refused(reason)) => self.session.undo(reason).await,
            Err(Stopped::By(error)) => self.session.settle_savepoint(Err(error)).await,
        }
    }
}
