//! The order in which rows are written.
//!
//! Rows come in the order of their topic's partitions. Where they are told apart by the number alone that the table is ordered by, they are written in its
//! order: the table grows at its end, and a page is written once, not once for each partition. Of rows of one number, the first stays the first.

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use millrace_model::{Batch, Result};
use sqlx::sqlite::SqliteConnection;

use super::fault::fault;

/// The column that is the rowid (<https://www.sqlite.org/rowidtable.html>), of a table where nothing else can tell in which order rows came: no other unique
/// index, no trigger, no reference to itself.
const ROWID: &str = "SELECT name FROM pragma_table_info(?1) WHERE pk = 1 AND upper(type) = 'INTEGER' \
     AND (SELECT count(*) FROM pragma_table_info(?1) WHERE pk > 0) = 1 \
     AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE \"unique\" = 1) \
     AND NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(?1) WHERE \"table\" = ?1 COLLATE NOCASE) \
     AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)";

/// A row of one of several batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) batch: usize,
    pub(super) row: usize,
}

impl Place {
    /// Its number through all batches.
    pub(super) fn number(self, batches: &[Batch]) -> usize {
        batches[..self.batch].iter().map(Batch::len).sum::<usize>() + self.row
    }
}

/// The column that the table's rows may be written in the order of.
pub(super) async fn column(connection: &mut SqliteConnection, table: &str) -> Result<Option<String>> {
    let column = sqlx::query_scalar(ROWID).bind(table).fetch_optional(connection).await;
    column.map_err(|error| fault(&format!("reading the indexes of {table:?}"), error))
}

/// All rows, in the order of that column if there is one.
pub(super) fn places(batches: &[Batch], column: Option<&str>) -> Vec<Place> {
    let of_batch = |(batch, rows): (usize, &Batch)| (0..rows.len()).map(move |row| Place { batch, row });
    let mut places: Vec<Place> = batches.iter().enumerate().flat_map(of_batch).collect();
    let numbers = column.and_then(|column| batches.iter().map(|batch| numbers(batch, column)).collect::<Option<Vec<_>>>());
    if let Some(numbers) = numbers {
        places.sort_by_key(|place| numbers[place.batch][place.row]);
    }
    places
}

fn numbers(batch: &Batch, column: &str) -> Option<Vec<i64>> {
    let column = batch.columns().column_by_name(column)?;
    let longs = column.as_primitive_opt::<Int64Type>().map(|longs| longs.values().to_vec());
    longs.or_else(|| Some(column.as_primitive_opt::<Int32Type>()?.values().iter().map(|&int| int.into()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, RecordBatch};
    use millrace_model::{Origin, Record, RecordsBuilder};
    use std::sync::Arc;

    fn batch(ids: &[i64]) -> Batch {
        let mut records = RecordsBuilder::new("t".into(), ids.len());
        for (_, offset) in ids.iter().zip(0..) {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let columns = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(ids.to_vec())) as _)]).expect("a batch");
        Batch::new(columns, Origin::all(Arc::new(records.finish())))
    }

    #[test]
    fn rows_are_in_the_order_of_the_column_and_else_in_their_own() {
        let batches = [batch(&[3, 7]), batch(&[1, 3])];
        let order = |column| places(&batches, column).into_iter().map(|place| place.number(&batches)).collect::<Vec<_>>();
        assert_eq!(order(Some("id")), [2, 0, 3, 1]);
        assert_eq!(order(None), [0, 1, 2, 3]);
        assert_eq!(order(Some("of another name")), [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn nothing_is_put_in_order_where_the_order_could_be_told() {
        let mut connection = <SqliteConnection as sqlx::Connection>::connect("sqlite::memory:").await.expect("opens");
        let tables = [
            ("CREATE TABLE a (id INTEGER PRIMARY KEY, other TEXT); CREATE INDEX ai ON a (other)", "a", Some("id")),
            ("CREATE TABLE b (id INTEGER PRIMARY KEY, other TEXT UNIQUE)", "b", None),
            ("CREATE TABLE c (id TEXT PRIMARY KEY)", "c", None),
            ("CREATE TABLE d (id INTEGER, other INTEGER, PRIMARY KEY (id, other))", "d", None),
            ("CREATE TABLE e (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES E)", "e", None),
            ("CREATE TABLE f (id INTEGER PRIMARY KEY); CREATE TRIGGER ft AFTER INSERT ON f BEGIN SELECT 1; END", "f", None),
            ("CREATE TABLE g (other TEXT)", "g", None),
        ];
        for (definition, table, expected) in tables {
            sqlx::raw_sql(definition).execute(&mut connection).await.expect("is defined");
            assert_eq!(column(&mut connection, table).await.expect("is read").as_deref(), expected, "{definition}");
        }
    }
}
