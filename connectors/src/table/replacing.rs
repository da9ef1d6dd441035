//! The replacement of a table by whole loads.
//!
//! Rows of a load are kept in a table beside the target, each with the partition and the offset of its record, and committed with their
//! positions as any others: a load may be larger than a round, and a crash loses nothing of it. The ends of loads are kept in
//! `millrace_loads`. When a load has ended in all partitions, its rows take the place of the target's, in the transaction of the round that
//! has the last end; what is older goes.
//!
//! Where the schema changes while a load is under way, target and loading rows grow together. Loaders follow it at different times, so that
//! the one that has the last end may know fewer columns than others have filled, or more: what it brings over goes by the tables, not by its
//! schema.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use arrow::error::ArrowError;
use async_trait::async_trait;
use millrace_model::{Batch, Code, Edge, LoadBound, Rejected, Rejection, Result, Schema, Stage};

use super::{Existing, Outcome, Quotes, Target, literal, unfit};

const PARTITION: &str = "millrace_partition";
const OFFSET: &str = "millrace_offset";
/// How many columns the table of loading rows has beyond those of its target.
pub(crate) const LOADING_MARKS: usize = 2;

/// The statements of a replacement, in the SQL that all of our table stores share: no deletion has an alias, and none reads its own table but
/// through a derived one that can't be merged.
#[derive(Debug, Clone)]
pub(crate) struct Replacing {
    quotes: Quotes,
    target: String,
    /// The table of loading rows, quoted.
    pub(crate) loading: String,
    /// The table of ends, quoted.
    loads: String,
    pipeline: String,
    keys: Option<String>,
}

/// What the table of loading rows needs to take the rows of its target.
#[derive(Debug)]
pub(crate) enum Alignment<'a, T> {
    /// The target's column, empty.
    Add(&'a Existing<T>),
    /// The type of the target's column.
    Retype(&'a Existing<T>),
    /// Null in the column.
    TakeNull(&'a Existing<T>),
}

/// A target whose rows are replaced.
#[async_trait]
pub(crate) trait Replaced: Send {
    /// Lets nobody else end loads of the pipeline until the transaction ends.
    async fn lock(&mut self, pipeline: &str) -> Result<()>;

    /// Runs statements of which no row can be to blame.
    async fn run(&mut self, statements: Vec<String>) -> Result<()>;

    /// Runs statements, all of them or none when the target refuses rows.
    async fn attempt(&mut self, statements: Vec<String>) -> Result<Outcome>;

    /// The names of the columns that loading rows bring into the target.
    async fn carried(&mut self) -> Result<Vec<String>>;

    /// The number that a query answers.
    async fn number(&mut self, query: String) -> Result<i64>;
}

impl Replacing {
    /// For a target whose tables are named by `qualified`.
    pub(crate) fn of(target: &Target, qualified: impl Fn(&str) -> String) -> Self {
        Self {
            quotes: target.quotes,
            target: target.name.clone(),
            loading: qualified(&Self::loading_table(target)),
            loads: qualified("millrace_loads"),
            pipeline: literal(&target.table.pipeline),
            keys: (!target.table.keys.is_empty()).then(|| target.keys()),
        }
    }

    /// The name of the table of loading rows, as it is.
    pub(crate) fn loading_table(target: &Target) -> String {
        format!("{}__loading", target.table.table)
    }

    /// The name of the table of ends, and the statement that makes it; `text` is the type of texts that can be a key.
    pub(crate) fn ends_definition(&self, text: &str) -> (String, String) {
        let (loads, [partition, load, end]) = (&self.loads, self.names());
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {loads} (pipeline {text} NOT NULL, topic {text} NOT NULL, {partition} integer NOT NULL, \
             {load} {text} NOT NULL, {end} bigint NOT NULL, PRIMARY KEY (pipeline, topic, {partition}, {load}))"
        );
        (loads.clone(), sql)
    }

    /// The columns of ends whose names are words of SQL: partition, load, end.
    fn names(&self) -> [String; 3] {
        ["partition", "load", "end"].map(|name| self.quotes.name(name))
    }

    /// The columns of loading rows beyond those of the target, as SQL declares them.
    pub(crate) fn marks() -> String {
        format!("{PARTITION} integer NOT NULL, {OFFSET} bigint NOT NULL")
    }

    /// Their names, as SQL lists them.
    pub(crate) fn mark_names() -> [&'static str; LOADING_MARKS] {
        [PARTITION, OFFSET]
    }

    /// That no column of the schema has the name of a mark.
    pub(crate) fn check(schema: &Schema) -> Result<()> {
        let names = schema.arrow().fields().iter().map(|field| field.name());
        let mut taken = names.filter(|name| Self::mark_names().contains(&name.as_str()));
        taken.next().map_or(Ok(()), |name| Err(unfit(format!("a column can't be named {name:?} in mode: replace: rename it"))))
    }

    /// What the table of loading rows needs to take rows of the schema as the target does; `same` compares types. Rows that are there have nothing
    /// for what is added.
    pub(crate) fn alignment<'a, T>(
        schema: &Schema,
        target: &'a [Existing<T>],
        loading: &'a [Existing<T>],
        same: impl Fn(&T, &T) -> bool,
    ) -> Vec<Alignment<'a, T>> {
        let of = |columns: &'a [Existing<T>], name: &str| columns.iter().find(|column| column.name == *name);
        let fields = schema.arrow().fields();
        let wanted = fields.iter().filter_map(|field| of(target, field.name()));
        let needed = wanted.filter_map(|column| match of(loading, &column.name) {
            None => Some(Alignment::Add(column)),
            Some(found) if !same(&found.declared, &column.declared) => Some(Alignment::Retype(column)),
            Some(found) => (found.required && !column.required).then_some(Alignment::TakeNull(found)),
        });
        let is_left = |column: &&Existing<T>| {
            fields.find(&column.name).is_none()
                && !Self::mark_names().contains(&column.name.as_str())
                && column.required
                && !column.has_default
        };
        needed.chain(loading.iter().filter(is_left).map(Alignment::TakeNull)).collect()
    }

    /// The columns that loading rows bring into the target: those of the schema, and those that loaders of another schema have filled. What fills
    /// itself in the target is left to it.
    pub(crate) fn carried<T>(schema: &Schema, target: &[Existing<T>], loading: &[Existing<T>]) -> Vec<String> {
        let fills_itself = |column: &Existing<T>| column.required || column.has_default;
        let known = |column: &Existing<T>| schema.arrow().fields().find(&column.name).is_some();
        let brought = |column: &&Existing<T>| {
            let is_loaded = loading.iter().any(|loaded| loaded.name == column.name);
            is_loaded && !column.generated && (known(column) || !fills_itself(column))
        };
        target.iter().filter(brought).map(|column| column.name.clone()).collect()
    }

    /// Rows with the place of their records.
    pub(crate) fn placed(batch: &Batch) -> Result<Batch, ArrowError> {
        let (origin, columns) = (batch.origin(), batch.columns());
        let rows = || origin.rows().iter().map(|&row| row as usize);
        let partitions: ArrayRef = Arc::new(Int32Array::from_iter_values(rows().map(|row| origin.records().partitions()[row])));
        let offsets: ArrayRef = Arc::new(Int64Array::from_iter_values(rows().map(|row| origin.records().offsets()[row])));
        let marks = [Field::new(PARTITION, DataType::Int32, false), Field::new(OFFSET, DataType::Int64, false)];
        let schema = columns.schema();
        let fields: Vec<_> = schema.fields().iter().cloned().chain(marks.map(Arc::new)).collect();
        let arrays = columns.columns().iter().cloned().chain([partitions, offsets]).collect();
        Ok(Batch::new(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?, origin.clone()))
    }

    /// Does what a bound says, inside the transaction of its round; returns the record of an end whose load the target refuses.
    pub(crate) async fn apply(&self, bound: &LoadBound, target: &mut dyn Replaced) -> Result<Option<Rejected>> {
        let at = At::of(bound);
        target.lock(&self.pipeline).await?;
        if bound.edge == Edge::Begin {
            return target.run(vec![self.void_before(&at)]).await.map(|()| None);
        }
        target.run(self.ended(&at)).await?;
        if target.number(self.ends(&at)).await? < i64::from(bound.partitions) {
            return Ok(None);
        }
        let columns = target.carried().await?;
        let columns = self.quotes.list(columns.iter().map(String::as_str));
        let outcome = target.attempt(vec![format!("DELETE FROM {}", self.target), self.fill(&at, &columns)]).await?;
        target.run(self.forget(&at)).await?;
        Ok(match outcome {
            Outcome::Landed => None,
            Outcome::Refused(reason) => Some(refused(bound, &reason)),
        })
    }

    /// The ends of the pipeline in the topic.
    fn of_topic(&self, name: &str, at: &At) -> String {
        format!("{name}pipeline = {} AND {name}topic = {}", self.pipeline, at.topic)
    }

    /// The ends of the load.
    fn of_load(&self, name: &str, at: &At) -> String {
        let [_, load, _] = self.names();
        format!("{name}{load} = {} AND {}", at.load, self.of_topic(name, at))
    }

    /// The offset of the end before `end` in a partition.
    fn end_before(&self, at: &At, partition: &str, end: &str) -> String {
        let (loads, topic, [of, _, last]) = (&self.loads, self.of_topic("b.", at), self.names());
        format!("coalesce((SELECT max(b.{last}) FROM {loads} b WHERE {topic} AND b.{of} = {partition} AND b.{last} < {end}), -1)")
    }

    fn void_before(&self, at: &At) -> String {
        let (loading, offset, partition) = (&self.loading, at.offset, at.partition);
        let last = self.end_before(at, &partition.to_string(), &offset.to_string());
        format!("DELETE FROM {loading} WHERE {PARTITION} = {partition} AND {OFFSET} < {offset} AND {OFFSET} > {last}")
    }

    /// The load has ended in one more partition. One of that name which never ended in all of them is void.
    fn ended(&self, at: &At) -> Vec<String> {
        let (loading, loads, partition, [of, _, end]) = (&self.loading, &self.loads, at.partition, self.names());
        let before = self.end_before(at, &partition.to_string(), &format!("e.{end}"));
        vec![
            format!(
                "DELETE FROM {loading} WHERE {PARTITION} = {partition} AND EXISTS \
                 (SELECT 1 FROM {loads} e WHERE {} AND e.{of} = {partition} AND {OFFSET} <= e.{end} AND {OFFSET} > {before})",
                self.of_load("e.", at)
            ),
            format!("DELETE FROM {loads} WHERE {} AND {of} = {partition}", self.of_load("", at)),
            format!("INSERT INTO {loads} VALUES ({}, {}, {partition}, {}, {})", self.pipeline, at.topic, at.load, at.offset),
        ]
    }

    /// In how many partitions the load has ended.
    fn ends(&self, at: &At) -> String {
        format!("SELECT count(*) FROM {} WHERE {}", self.loads, self.of_load("", at))
    }

    /// Brings the load's rows into the target; the last one of each key where there are keys.
    fn fill(&self, at: &At, columns: &str) -> String {
        let (target, loading, loads, [of, _, end]) = (&self.target, &self.loading, &self.loads, self.names());
        let before = self.end_before(at, &format!("e.{of}"), &format!("e.{end}"));
        let (rank, last) = match &self.keys {
            Some(keys) => (
                format!(", row_number() OVER (PARTITION BY {keys} ORDER BY {OFFSET} DESC, {PARTITION}) AS millrace_rank"),
                " WHERE millrace_rank = 1",
            ),
            None => (String::new(), ""),
        };
        format!(
            "INSERT INTO {target} ({columns}) SELECT {columns} FROM (SELECT {columns}{rank} FROM {loading} JOIN \
             (SELECT e.{of} AS millrace_of, e.{end} AS millrace_end, {before} AS millrace_before FROM {loads} e WHERE {}) l \
             ON millrace_of = {PARTITION} WHERE {OFFSET} <= millrace_end AND {OFFSET} > millrace_before) s{last}",
            self.of_load("e.", at)
        )
    }

    /// The load is done with, and so is all that is older.
    fn forget(&self, at: &At) -> Vec<String> {
        let (loading, loads, [of, _, end]) = (&self.loading, &self.loads, self.names());
        let done = format!(
            "EXISTS (SELECT 1 FROM (SELECT DISTINCT {of} AS millrace_of, {end} AS millrace_end FROM {loads} WHERE {}) e",
            self.of_load("", at)
        );
        vec![
            format!("DELETE FROM {loading} WHERE {done} WHERE millrace_of = {PARTITION} AND {OFFSET} <= millrace_end)"),
            format!("DELETE FROM {loads} WHERE {} AND {done} WHERE millrace_of = {of} AND {end} <= millrace_end)", self.of_topic("", at)),
        ]
    }
}

/// A bound as SQL has it.
struct At {
    topic: String,
    load: String,
    partition: i32,
    offset: i64,
}

impl At {
    fn of(bound: &LoadBound) -> Self {
        let record = bound.origin.record(0);
        Self { topic: literal(record.topic), load: literal(&bound.load), partition: record.partition, offset: record.offset }
    }
}

fn refused(bound: &LoadBound, reason: &str) -> Rejected {
    let reason = format!("the load {:?} can't take the table's place, which keeps its rows: {reason}", bound.load);
    let rejection = Rejection::new(bound.origin.rows()[0], Code::LoadRefused, reason);
    Rejected::new(bound.origin.records(), Stage::Write, rejection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A column named and declared as `name type`; `!` stands for one that takes no null, `=` for one with a default.
    fn columns(texts: &[&str]) -> Vec<Existing<String>> {
        let column = |text: &&str| {
            let (name, declared) = text.trim_end_matches(['!', '=']).split_once(' ').expect("name and type");
            Existing {
                name: name.into(),
                declared: declared.into(),
                required: text.contains('!'),
                has_default: text.contains('='),
                generated: declared == "generated",
            }
        };
        texts.iter().map(column).collect()
    }

    fn schema(names: &[&str]) -> Schema {
        let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
        Schema::new(json!({ "type": "record", "name": "r", "fields": [] }), Arc::new(ArrowSchema::new(fields)))
    }

    #[test]
    fn loading_rows_get_what_the_schema_has_in_the_target() {
        let target = columns(&["id long!", "n long", "author text", "made time="]);
        let loading = columns(&["id long!", "n int!", "gone text!", "millrace_offset long!"]);
        let needed = Replacing::alignment(&schema(&["id", "n", "author"]), &target, &loading, String::eq);
        let shown: Vec<String> = needed
            .iter()
            .map(|one| match one {
                Alignment::Add(column) => format!("add {} {}", column.name, column.declared),
                Alignment::Retype(column) => format!("retype {} {}", column.name, column.declared),
                Alignment::TakeNull(column) => format!("null {}", column.name),
            })
            .collect();
        assert_eq!(shown, ["retype n long", "add author text", "null gone"]);
    }

    #[test]
    fn what_others_have_filled_comes_over_and_what_fills_itself_does_not() {
        let target = columns(&["id long!", "author text", "made time=", "number long!=", "sum generated", "only_here text"]);
        let loading = columns(&["id long!", "author text", "made time=", "number long", "sum long", "millrace_offset long!"]);
        assert_eq!(Replacing::carried(&schema(&["id"]), &target, &loading), ["id", "author"]);
        assert_eq!(Replacing::carried(&schema(&["id", "made"]), &target, &loading), ["id", "author", "made"]);
    }

    #[test]
    fn no_column_has_the_name_of_a_mark() {
        assert!(Replacing::check(&schema(&["id", OFFSET])).is_err());
        assert!(Replacing::check(&schema(&["id"])).is_ok());
    }
}
