//! What only SQLite's sink must do.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use millrace_connectors::{Connection, sqlite};
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Origin, Retry, Sink};

use crate::rows::{append, at, batch, notes, partition, records, schema};
use crate::warehouse::{Sqlite, Warehouse};

fn at_path(path: impl AsRef<std::path::Path>) -> Connection {
    Connection::Sqlite(sqlite::Config::at(path))
}

#[tokio::test]
async fn values_that_would_become_null_or_have_no_text_are_rejected() {
    let place = Sqlite::new();
    let schema = schema(vec![Field::new("n", DataType::Float64, true), Field::new("day", DataType::Date32, true)]);
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), Some(-0.5), None]));
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(0), Some(i32::MAX), Some(-1)]));
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), vec![numbers, days]).expect("two columns");
    let mut sink = place.connection().open(&append(), &schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let seen = sink.write(&Batch::new(columns, Origin::all(records(0, 4)))).await.expect("writes");
    assert_eq!(seen.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(), [(0, Code::ValueForbidden), (2, Code::ValueOutOfRange)]);
    assert!(sink.settle().await.expect("settles").is_empty());
    assert_eq!(sink.commit(&Offsets::new(), &at(4)).await.expect("commits"), Commit::Done);
    let place: &dyn Warehouse = &place;
    let shown = [[Some("inf"), Some("1970-01-01")], [None, Some("1969-12-31")]].map(|row| row.map(|text| text.map(str::to_owned)));
    assert_eq!(place.rows("SELECT n, day FROM notes ORDER BY day DESC").await, shown);
}

#[tokio::test]
async fn folders_on_the_way_to_the_database_are_made() {
    let place = Sqlite::new();
    let connection = at_path(place.folder().join("a/b/warehouse.db"));
    connection.open(&append(), &notes()).await.expect("opens");
    assert!(connection.query("SELECT * FROM notes").await.expect("reads").rows.is_empty());
}

#[tokio::test]
async fn a_query_of_a_database_that_is_not_there_says_so_and_makes_none() {
    let place = Sqlite::new();
    let path = place.folder().join("nowhere.db");
    let fault = at_path(&path).query("SELECT 1").await.expect_err("there is none");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetDenied, Retry::Operator), "{fault}");
    assert!(fault.message().contains("nowhere.db") && !path.exists(), "{fault}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_for_an_operator() {
    let place = Sqlite::new();
    let path = place.folder().join("picture.png");
    std::fs::write(&path, vec![7; 4096]).expect("writes");
    match at_path(&path).open(&append(), &notes()).await {
        Ok(_) => panic!("is no database"),
        Err(fault) => assert_eq!(fault.retry(), Retry::Operator, "{fault}"),
    }
}

#[tokio::test]
async fn a_reader_does_not_wait_for_the_writer() {
    let place = Sqlite::new();
    let warehouse: &dyn Warehouse = &place;
    let mut sink = warehouse.claimed(&append(), None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    sink.settle().await.expect("settles");
    assert_eq!(warehouse.notes().await, [""; 0]);
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
}

/// Settles rows of these ids into a table that is there; returns what is said of the refused ones.
async fn landed(place: &Sqlite, rows: &[(i64, Option<&str>)]) -> (Box<dyn Sink>, Result<Vec<String>, Fault>) {
    let mut sink = place.connection().open(&append(), &notes()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink.write(&batch(rows)).await.expect("writes");
    let settled = sink.settle().await;
    (sink, settled.map(|rejected| rejected.iter().map(|one| format!("{}: {}", one.rejection().record, one.rejection().reason)).collect()))
}

/// `RAISE(FAIL)` leaves what the statement has done so far: the row and what its trigger wrote.
#[tokio::test]
async fn nothing_is_left_of_a_row_that_a_trigger_refuses_after_it_came() {
    let place = Sqlite::new();
    let warehouse: &dyn Warehouse = &place;
    let polite = "CREATE TRIGGER polite AFTER INSERT ON notes BEGIN INSERT INTO seen VALUES (NEW.id); \
                  SELECT RAISE(FAIL, 'mind your words') WHERE NEW.note = 'bad'; END";
    warehouse.execute(&format!("CREATE TABLE seen (id integer); CREATE TABLE notes (id integer, note text); {polite}")).await;
    let (mut sink, refused) = landed(&place, &[(1, None), (2, Some("bad")), (3, None)]).await;
    assert_eq!(refused.expect("settles"), ["1: mind your words"]);
    assert_eq!(sink.commit(&Offsets::new(), &at(3)).await.expect("commits"), Commit::Done);
    let both = warehouse.rows("SELECT group_concat(id), (SELECT group_concat(id) FROM seen) FROM notes").await;
    assert_eq!(both, [["1,3", "1,3"].map(|ids| Some(ids.to_owned()))]);
}

/// Were it taken for a refusal, the rows after it would be there without their positions.
#[tokio::test]
async fn a_table_that_rolls_back_where_it_refuses_is_for_an_operator() {
    let place = Sqlite::new();
    let warehouse: &dyn Warehouse = &place;
    warehouse.execute("CREATE TABLE notes (id integer PRIMARY KEY ON CONFLICT ROLLBACK, note text)").await;
    let (_, refused) = landed(&place, &[(1, None), (1, None), (2, None)]).await;
    let fault = refused.expect_err("takes the whole round with it");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
    assert!(fault.message().contains("let it abort"), "{fault}");
    assert_eq!(warehouse.rows("SELECT id FROM notes").await, [[None; 1]; 0]);
}
