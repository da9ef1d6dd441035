//! What only SQLite's sink must do.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use millrace_connectors::{Connection, sqlite};
use millrace_model::{Batch, Code, Commit, Offsets, Origin, Retry};

use crate::rows::{append, at, batch, notes, partition, records, rows_at, schema};
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

/// More than go ahead of the round's end.
const PORTION: i64 = 12_000;
const PORTIONS: i64 = 3;

/// Rows of a round in portions; the first row of each portion is bad.
fn portions() -> impl Iterator<Item = Batch> {
    (0..PORTIONS).map(|portion| {
        let ids = portion * PORTION..(portion + 1) * PORTION;
        let rows: Vec<_> = ids.map(|id| (id, Some(if id % PORTION == 0 { "bad" } else { "good" }))).collect();
        rows_at(0, portion * PORTION, &rows)
    })
}

#[tokio::test]
async fn rows_that_go_ahead_of_the_rounds_end_are_refused_committed_and_undone_with_it() {
    let place = Sqlite::new();
    let warehouse: &dyn Warehouse = &place;
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
    let count = "SELECT count(*), count(DISTINCT id) FROM notes";
    let mut sink = warehouse.claimed(&append(), None).await;
    for portion in portions() {
        assert_eq!(sink.write(&portion).await.expect("writes"), []);
    }
    let early = sink.commit(&Offsets::new(), &at(PORTIONS * PORTION)).await.expect_err("is not settled");
    assert_eq!(early.code(), Code::Internal, "{early}");
    let early = sink.reshape(&notes()).await.expect_err("is not settled");
    assert_eq!(early.code(), Code::Internal, "{early}");
    assert_eq!(warehouse.rows(count).await, [[Some("0".to_owned()), Some("0".to_owned())]], "nothing shows before the commit");

    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new(), "what was under way is void");
    for portion in portions() {
        assert_eq!(sink.write(&portion).await.expect("writes"), []);
    }
    let refused = sink.settle().await.expect("settles");
    let refused: Vec<_> = refused.iter().map(|one| (one.record().offset, one.code())).collect();
    assert_eq!(refused, [0, PORTION, 2 * PORTION].map(|offset| (offset, Code::RowRefused)));
    assert_eq!(sink.commit(&Offsets::new(), &at(PORTIONS * PORTION)).await.expect("commits"), Commit::Done);
    let rows = (PORTIONS * PORTION - PORTIONS).to_string();
    assert_eq!(warehouse.rows(count).await, [[Some(rows.clone()), Some(rows)]]);
}
