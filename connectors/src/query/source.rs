//! A query as a [`Source`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use millrace_model::{Position, Pulled, Record, Records, RecordsBuilder, Rejected, Result, Schema, Source, Stage};
use millrace_runtime::formats::{JsonReader, Parsed, RowReader, write_object};

use super::config::{Config, Mode, unfit};
use super::database::{QueryColumn, Shared};
use super::position::{At, CursorValue};
use super::rows::{Row, Rows};
use super::select::Select;

/// How many rows without a cursor are rejected. More of them are a query's matter: it can leave them out.
const MOST_WITHOUT_CURSOR: usize = 10_000;

/// The rows of a query.
///
/// - They come in the order of the cursor. The position has the cursor's values in the last row, and reading goes on behind them: rows
///   of equal times are told apart by the columns that follow, so none is left out and none comes twice.
/// - A pass is one statement, whose rows are streamed: by a cursor of the server, or from an unbuffered result.
/// - A row whose cursor is null has no place in the order. Those that there are when a pass begins are rejected; `check` sees to
///   it that the topic's schema does not expect any.
/// - Two rows with the same cursor are a fault for an operator: it could be between them that reading goes on.
/// - A record's value, which a dead letter shows, is the row as JSON.
pub struct QuerySource {
    config: Config,
    split: String,
    topic: Arc<str>,
    database: Shared,
    columns: Vec<QueryColumn>,
    /// For each column of the cursor its number among the columns.
    cursor: Vec<usize>,
    select: Select,
    reader: RowReader,
    at: At,
    phase: Phase,
    /// Whether all that was there when it was opened has been brought.
    complete: bool,
}

impl std::fmt::Debug for QuerySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuerySource")
            .field("config", &self.config)
            .field("at", &self.at)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// What a query is at.
#[derive(Debug)]
enum Phase {
    /// It is asked when the time has come; never without one.
    Resting(Option<Instant>),
    /// Rows up to the bound are read when they have been there for the delay.
    Settling { bound: Vec<CursorValue>, until: Instant },
    /// Its rows come.
    Reading(Rows),
}

impl QuerySource {
    pub(super) async fn open(config: &Config, split: &str, schema: &Schema, position: Option<&Position>, database: Shared) -> Result<Self> {
        let cursor = config.cursor.columns();
        let at = position.map_or_else(|| Ok(At::start(cursor)), |position| At::of(position, cursor))?;
        let columns = database.columns(config.statement()).await?;
        let types: Vec<_> = columns.iter().map(|column| (column.name.clone(), column.cells.clone())).collect();
        let reader = RowReader::new(schema, "query", &types)?;
        let select = Select::new(database.dialect(), config.statement(), &columns, cursor);
        let cursor = cursor.iter().map(|name| place(&columns, name)).collect::<Result<_>>()?;
        let (topic, split) = (format!("query:{}", config.connection).into(), split.to_owned());
        let phase = Phase::Resting(rest(config, &at));
        Ok(Self { config: config.clone(), split, topic, database, columns, cursor, select, reader, at, phase, complete: false })
    }

    fn run(&self, statement: String) -> Rows {
        Rows::run(Arc::clone(&self.database), statement, self.columns.clone(), self.config.batch)
    }

    /// Begins a pass, or goes on with the one that was interrupted. Brings the rows that have no place in it.
    async fn begin(&mut self) -> Result<Option<Pulled>> {
        if self.at.ended.is_some() {
            self.at = At { rows: self.at.rows, ..At::start(self.config.cursor.columns()) };
        }
        if !self.at.nulls {
            let rows = self.run(self.select.without_cursor(MOST_WITHOUT_CURSOR + 1)).all().await?;
            self.at.nulls = true;
            if !rows.is_empty() {
                return self.without_cursor(&rows).map(Some);
            }
        }
        self.phase = match (self.config.mode, self.config.delay.duration()) {
            (Mode::Incremental, delay) if !delay.is_zero() => self.settling(delay).await?,
            _ => Phase::Reading(self.run(self.select.rows(self.at.last.as_deref(), None))),
        };
        Ok(None)
    }

    fn without_cursor(&mut self, rows: &[Row]) -> Result<Pulled> {
        if rows.len() > MOST_WITHOUT_CURSOR {
            return Err(unfit(format!(
                "more than {MOST_WITHOUT_CURSOR} rows of the query have no cursor: leave them out by WHERE {} IS NOT NULL",
                self.config.cursor.columns().join(" IS NOT NULL AND ")
            )));
        }
        self.pulled(rows.to_vec())
    }

    /// The rows that are there now have settled when the last of them has been there for the delay.
    async fn settling(&mut self, delay: Duration) -> Result<Phase> {
        let last = self.run(self.select.last()).all().await?;
        if let Some(row) = last.first() {
            let bound = self.values(row)?;
            if self.at.last.as_ref() != Some(&bound) {
                return Ok(Phase::Settling { bound, until: Instant::now() + delay });
            }
        }
        self.complete = true;
        Ok(self.resting())
    }

    fn resting(&self) -> Phase {
        Phase::Resting(Some(Instant::now() + self.config.interval.duration()))
    }

    /// A pass has brought its last row. Where that is to be remembered, it is a position of its own.
    fn end(&mut self) -> Result<Option<Pulled>> {
        self.complete = true;
        if self.config.mode == Mode::Incremental {
            self.phase = self.resting();
            return Ok(None);
        }
        self.at.ended = Some(Timestamp::now().as_millisecond());
        self.phase = Phase::Resting(rest(&self.config, &self.at));
        self.pulled(Vec::new()).map(Some)
    }

    /// Rows in the order of the cursor: none has that of another.
    fn take(&mut self, rows: Vec<Row>) -> Result<Pulled> {
        for row in &rows {
            let values = self.values(row)?;
            if self.at.last.as_ref() == Some(&values) {
                let columns = self.config.cursor.columns().join(", ");
                return Err(unfit(format!(
                    "two rows of the query have the same [{columns}]: add a column to the cursor that tells them apart"
                )));
            }
            self.at.last = Some(values);
        }
        self.pulled(rows)
    }

    fn values(&self, row: &Row) -> Result<Vec<CursorValue>> {
        let value = |&column: &usize| {
            CursorValue::of(&row[column]).ok_or_else(|| {
                unfit(format!("`{}` of the query has values that no cursor has, such as fractions", self.columns[column].name))
            })
        };
        self.cursor.iter().map(value).collect()
    }

    fn pulled(&mut self, rows: Vec<Row>) -> Result<Pulled> {
        let records = self.records(&rows);
        self.at.rows += rows.len() as u64;
        let parsed = self.reader.read(&records, rows.into_iter())?;
        let rejected = parsed.refused.iter().map(|refusal| {
            let mut rejection = refusal.rejection();
            rejection.reason = format!("row {}: {}", records.offsets()[refusal.record as usize] + 1, rejection.reason);
            Rejected::new(&records, Stage::Read, rejection)
        });
        Ok(Pulled { rejected: rejected.collect(), batch: parsed.batch, position: self.at.position(&self.split)?, finished: None })
    }

    fn records(&self, rows: &[Row]) -> Arc<Records> {
        let now = Timestamp::now().as_millisecond();
        let mut builder = RecordsBuilder::new(Arc::clone(&self.topic), rows.len());
        let mut text = Vec::new();
        for (number, row) in (self.at.rows as i64..).zip(rows) {
            text.clear();
            write_object(self.columns.iter().map(|column| column.name.as_str()).zip(row), &mut text);
            let (topic, value) = (&*self.topic, Some(text.as_slice()));
            builder.push(&Record { topic, partition: 0, offset: number, timestamp: now, key: None, value, headers: &[] });
        }
        Arc::new(builder.finish())
    }
}

/// Reads rows once more that were rejected, by the JSON that they are kept as.
pub(crate) fn reread(schema: &Schema, records: &Arc<Records>) -> Result<Parsed> {
    JsonReader::new(schema)?.read(records)
}

/// When a query is asked that stands at `at`; never again without a time.
fn rest(config: &Config, at: &At) -> Option<Instant> {
    match (config.mode, at.ended_at()) {
        (Mode::Once, Some(_)) => None,
        (Mode::Full, Some(ended)) => {
            let since = Timestamp::now().duration_since(ended).unsigned_abs();
            Some(Instant::now() + config.interval.duration().saturating_sub(since))
        }
        _ => Some(Instant::now()),
    }
}

fn place(columns: &[QueryColumn], name: &str) -> Result<usize> {
    let found = columns.iter().position(|column| column.name == name);
    found.ok_or_else(|| unfit(format!("the query has no column `{name}`, which the cursor names: select it")))
}

#[async_trait]
impl Source for QuerySource {
    async fn next(&mut self) -> Result<Option<Pulled>> {
        loop {
            let now = Instant::now();
            match &mut self.phase {
                Phase::Resting(until) if until.is_none_or(|until| until > now) => return Ok(None),
                Phase::Settling { until, .. } if *until > now => return Ok(None),
                Phase::Resting(_) => {
                    if let Some(rejected) = self.begin().await? {
                        return Ok(Some(rejected));
                    }
                }
                Phase::Settling { bound, .. } => {
                    let statement = self.select.rows(self.at.last.as_deref(), Some(bound));
                    self.phase = Phase::Reading(self.run(statement));
                }
                Phase::Reading(rows) => match rows.next().await? {
                    Some(rows) => return self.take(rows).map(Some),
                    None => {
                        if let Some(ended) = self.end()? {
                            return Ok(Some(ended));
                        }
                    }
                },
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.complete || matches!(self.phase, Phase::Resting(None))
    }

    /// A database keeps what it has.
    async fn settled(&mut self, _position: &Position) -> Result<()> {
        Ok(())
    }
}
