//! Which values and keys MySQL takes, and which rows are rejected.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, TimeUnit};
use millrace_connectors::{Mode, TableConfig};
use millrace_model::{Batch, Code, Commit, Offsets, Origin, Schema};

use super::{Mysql, claimed, loaded, of_columns};
use crate::rows::{append, at, batch, insert_ignore, keys, mirror, notes, records, upsert};
use crate::warehouse::Warehouse;

#[tokio::test]
async fn what_the_catalogue_shows_is_rejected_before_it_is_sent() {
    let mysql = Mysql::new("catalogue").await;
    mysql.execute("CREATE TABLE notes (n tinyint unsigned, code varchar(3), short tinytext, price decimal(5,2), id binary(16))").await;
    let uuid = Field::new("id", DataType::FixedSizeBinary(16), true).with_metadata([("logicalType".into(), "uuid".into())].into());
    let fields = vec![
        Field::new("n", DataType::Int32, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("short", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(20, 1), true),
        uuid,
    ];
    let long = "ż".repeat(128);
    let (schema, batch) = of_columns(
        fields,
        vec![
            Arc::new(Int32Array::from(vec![255, 256, -1, 4, 5, 6])),
            Arc::new(StringArray::from(vec!["żół", "b", "c", "long", "e", "f"])),
            Arc::new(StringArray::from(vec!["a", "b", "c", "d", &long, "f"])),
            Arc::new(Decimal128Array::from(vec![9_999, 1, 1, 1, 1, 10_000]).with_precision_and_scale(20, 1).expect("fits")),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]; 6].into_iter()).expect("of one length")),
        ],
    );
    let mut sink = claimed(&mysql, &append(), &schema).await;
    let (range, length) = (Code::ValueOutOfRange, Code::ValueTooLong);
    assert_eq!(loaded(&mut sink, 0, &batch).await, [(1, range), (2, range), (3, length), (4, length), (5, range)]);
    let warehouse: &dyn Warehouse = &mysql;
    let shown = warehouse.rows("SELECT n, code, price, HEX(id) FROM notes").await;
    assert_eq!(shown, [["255", "żół", "999.90", &"11".repeat(16)].map(|text| Some(text.to_owned()))]);
}

#[tokio::test]
async fn values_that_mysql_has_not_are_rejected() {
    let mysql = Mysql::new("values").await;
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let fields =
        vec![Field::new("n", DataType::Float64, true), Field::new("day", DataType::Date32, true), Field::new("seen", instant, true)];
    let (first, last) = (-719_162, 2_932_896);
    let end = (i64::from(last) + 1) * 86_400_000;
    let times = TimestampMillisecondArray::from(vec![0, 0, 0, i64::from(first) * 86_400_000, end - 1, end]).with_timezone("+00:00");
    let (schema, batch) = of_columns(
        fields,
        vec![
            Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, -0.5, 1e308, 0.1, 0.0])),
            Arc::new(Date32Array::from(vec![0, 0, first - 1, first, last, last])),
            Arc::new(times),
        ],
    );
    let mut sink = claimed(&mysql, &append(), &schema).await;
    let expected = [(0, Code::ValueForbidden), (1, Code::ValueForbidden), (2, Code::ValueOutOfRange), (5, Code::ValueOutOfRange)];
    assert_eq!(loaded(&mut sink, 0, &batch).await, expected);
    let warehouse: &dyn Warehouse = &mysql;
    let shown = warehouse.rows("SELECT n, day, seen FROM notes ORDER BY day").await;
    let expected = [["1e308", "0001-01-01", "0001-01-01 00:00:00.000000"], ["0.1", "9999-12-31", "9999-12-31 23:59:59.999000"]];
    assert_eq!(shown, expected.map(|row| row.map(|text| Some(text.to_owned()))));
}

/// Each of these refuses what is bad: the second and the fourth row.
#[tokio::test]
async fn what_only_the_target_knows_is_found_row_by_row() {
    let tables = [
        "CREATE TABLE others (note varchar(20) PRIMARY KEY); INSERT INTO others VALUES ('\"good\"'), ('\"fine\"'); \
         CREATE TABLE notes (id bigint UNIQUE, note varchar(20) REFERENCES others (note))",
        "CREATE TABLE notes (id bigint UNIQUE, note text); CREATE TRIGGER polite BEFORE INSERT ON notes FOR EACH ROW \
         BEGIN IF NEW.note = 'bad' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mind your words'; END IF; END",
        "CREATE TABLE notes (id bigint UNIQUE, note enum('\"good\"', '\"fine\"'))",
        "CREATE TABLE notes (id bigint UNIQUE, note json)",
        "CREATE TABLE notes (id bigint UNIQUE, note varchar(20)) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (100))",
    ];
    for (number, sql) in tables.into_iter().enumerate() {
        let bad_id = |id| if number == 4 { 100 + id } else { id };
        let rows = [(1, Some("\"good\"")), (bad_id(2), Some("bad")), (3, Some("\"fine\"")), (bad_id(4), Some("bad"))];
        for table in [append(), upsert(), insert_ignore(), mirror()] {
            let mysql = Mysql::new(&format!("knows_{number}")).await;
            mysql.execute(sql).await;
            let mut sink = claimed(&mysql, &table, &notes()).await;
            assert_eq!(loaded(&mut sink, 0, &batch(&rows)).await, [(1, Code::RowRefused), (3, Code::RowRefused)], "{sql}");
            let warehouse: &dyn Warehouse = &mysql;
            let ids = warehouse.rows("SELECT id FROM notes ORDER BY id").await;
            assert_eq!(ids, [[Some("1".to_owned())], [Some("3".to_owned())]], "{sql}");
        }
    }
}

/// `ON DUPLICATE KEY` goes by any unique index: it would change the row that has the note.
#[tokio::test]
async fn a_row_never_changes_one_of_other_keys() {
    for keys_null in ["", " NOT NULL"] {
        for mode in [Mode::Upsert, Mode::InsertIgnore, Mode::Mirror] {
            let mysql = Mysql::new("other_keys").await;
            let create = format!(
                "CREATE TABLE notes (number int AUTO_INCREMENT PRIMARY KEY, id bigint{keys_null}, note varchar(20), UNIQUE (note), UNIQUE (id))"
            );
            mysql.execute(&format!("{create}; INSERT INTO notes (id, note) VALUES (0, 'taken')")).await;
            let mut sink = claimed(&mysql, &TableConfig { mode, ..upsert() }, &notes()).await;
            let rows = [(1, Some("a")), (2, Some("taken")), (3, Some("a")), (4, Some("d"))];
            sink.write(&batch(&rows)).await.expect("writes");
            let rejected = sink.settle().await.expect("settles");
            assert_eq!(rejected.iter().map(|one| one.record().offset).collect::<Vec<_>>(), [1, 2], "{mode}");
            assert!(rejected[0].reason().contains("a unique index of the table"), "{}", rejected[0].reason());
            assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
            let warehouse: &dyn Warehouse = &mysql;
            assert_eq!(warehouse.notes().await, ["0 taken", "1 a", "4 d"], "{mode}");
        }
    }
}

fn texts(names: &[&str], rows: &[(&str, i64)]) -> (Schema, Batch) {
    let fields = vec![Field::new(names[0], DataType::Utf8, false), Field::new(names[1], DataType::Int64, true)];
    let keys: ArrayRef = Arc::new(StringArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>()));
    let numbers: ArrayRef = Arc::new(Int64Array::from(rows.iter().map(|row| row.1).collect::<Vec<_>>()));
    of_columns(fields, vec![keys, numbers])
}

#[tokio::test]
async fn keys_of_text_are_told_apart_by_their_bytes() {
    let mysql = Mysql::new("text_keys").await;
    let rows = [("a", 1), ("A", 2), ("a ", 3), ("ä", 4), ("a", 5), ("", 6), ("a\\' OR 1", 7)];
    let (schema, batch) = texts(&["id", "n"], &rows);
    let mut sink = claimed(&mysql, &upsert(), &schema).await;
    assert_eq!(loaded(&mut sink, 0, &batch).await, []);
    let warehouse: &dyn Warehouse = &mysql;
    let count = warehouse.rows("SELECT COUNT(*), SUM(n) FROM notes").await;
    assert_eq!(count, [["6", "27"].map(|text| Some(text.to_owned()))]);
    sink.delete(&Batch::new(batch.columns().slice(2, 1).project(&[0]).expect("has it"), Origin::all(records(9, 1))))
        .await
        .expect("deletes");
    assert_eq!(sink.settle().await.expect("settles").len(), 0);
    assert_eq!(sink.commit(&at(1), &at(2)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.rows("SELECT COUNT(*), SUM(n) FROM notes").await, [["5", "24"].map(|text| Some(text.to_owned()))]);
}

/// Decimals beyond what a float tells apart, instants, dates and UUIDs.
#[tokio::test]
async fn keys_of_every_kind_find_their_row_again() {
    let mysql = Mysql::new("kinds_of_keys").await;
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let uuid = Field::new("uuid", DataType::FixedSizeBinary(16), false).with_metadata([("logicalType".into(), "uuid".into())].into());
    let fields = vec![
        Field::new("price", DataType::Decimal128(30, 4), false),
        Field::new("seen", instant, false),
        Field::new("day", DataType::Date32, false),
        uuid,
        Field::new("n", DataType::Int32, true),
    ];
    let prices = Decimal128Array::from(vec![12_345_678_901_234_567_890_001, 12_345_678_901_234_567_890_002, 1]);
    let (schema, batch) = of_columns(
        fields,
        vec![
            Arc::new(prices.with_precision_and_scale(30, 4).expect("fits")),
            Arc::new(TimestampMillisecondArray::from(vec![1, 1, 1]).with_timezone("+00:00")),
            Arc::new(Date32Array::from(vec![7, 7, 7])),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]; 3].into_iter()).expect("of one length")),
            Arc::new(Int32Array::from(vec![1, 2, 3])),
        ],
    );
    let keys = ["price", "seen", "day", "uuid"].map(str::to_owned).to_vec();
    let mut sink = claimed(&mysql, &TableConfig { keys, ..upsert() }, &schema).await;
    assert_eq!(loaded(&mut sink, 0, &batch).await, []);
    let first = batch.columns().slice(0, 1).project(&[0, 1, 2, 3]).expect("has them");
    sink.delete(&Batch::new(first, Origin::all(records(9, 1)))).await.expect("deletes");
    assert_eq!(loaded(&mut sink, 1, &Batch::new(batch.columns().slice(2, 1), Origin::all(records(10, 1)))).await, []);
    let warehouse: &dyn Warehouse = &mysql;
    assert_eq!(warehouse.rows("SELECT n FROM notes ORDER BY n").await, [[Some("2".to_owned())], [Some("3".to_owned())]]);
}

#[tokio::test]
async fn a_row_that_no_packet_has_room_for_is_rejected_alone() {
    let mysql = Mysql::new("packet").await;
    let large = "x".repeat(17 << 20);
    let mut sink = claimed(&mysql, &append(), &notes()).await;
    let seen = sink.write(&batch(&[(1, Some("a")), (2, Some(&large)), (3, Some("c"))])).await.expect("writes");
    assert_eq!(seen, []);
    let rejected = sink.settle().await.expect("settles");
    assert_eq!(rejected.iter().map(|one| one.record().offset).collect::<Vec<_>>(), [1]);
    assert!(rejected[0].reason().contains("max_allowed_packet"), "{}", rejected[0].reason());
    assert_eq!(sink.commit(&Offsets::new(), &at(3)).await.expect("commits"), Commit::Done);
    let warehouse: &dyn Warehouse = &mysql;
    assert_eq!(warehouse.notes().await, ["1 a", "3 c"]);
}

/// Without care a zero in such a column becomes the next number.
#[tokio::test]
async fn a_zero_is_a_zero_where_a_column_counts_by_itself() {
    let mysql = Mysql::new("zero").await;
    mysql.execute("CREATE TABLE notes (id bigint AUTO_INCREMENT PRIMARY KEY, note text)").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    assert_eq!(loaded(&mut sink, 0, &batch(&[(0, Some("zero")), (7, None)])).await, []);
    assert_eq!(warehouse.notes().await, ["0 zero", "7 null"]);
}

#[tokio::test]
async fn a_deletion_of_many_keys_goes_on_where_a_statement_ends() {
    let mysql = Mysql::new("many_keys").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    let many: Vec<(i64, Option<&str>)> = (0..10_000).map(|id| (id, Some("x"))).collect();
    assert_eq!(loaded(&mut sink, 0, &batch(&many)).await, []);
    let ids: Vec<i64> = (1..10_000).collect();
    assert_eq!(sink.delete(&keys(&ids)).await.expect("deletes"), []);
    assert!(sink.settle().await.expect("settles").is_empty());
    assert_eq!(sink.commit(&at(1), &at(2)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["0 x"]);
}
