//! Tables and their columns: which are made, which fit, and what they hold.

use futures::future::join_all;
use millrace_connectors::TableConfig;
use millrace_model::{Code, Commit, Fault, Offsets, Retry, Schema};

use super::{commit, settled, table, tables};
use crate::everything;
use crate::rows::{append, at, batch, notes, partition, upsert};
use crate::warehouse::Warehouse;

pub(crate) async fn every_type_and_its_null_arrive(warehouse: &dyn Warehouse) {
    let (schema, batch) = everything::batch();
    for table in tables(warehouse) {
        let mut sink = warehouse.open(&table, &schema).await.expect("opens");
        sink.claim(&[partition()]).await.expect("claims");
        assert_eq!(sink.write(&batch).await.expect("writes"), []);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
        let shown = warehouse.all_values(&schema).await;
        let shown: Vec<Vec<Option<&str>>> = shown.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        assert_eq!(shown, warehouse.everything());
        drop(sink);
        warehouse.clean().await;
    }
}

async fn refused(warehouse: &dyn Warehouse, table: &TableConfig, schema: &Schema) -> Fault {
    match warehouse.open(table, schema).await {
        Ok(_) => panic!("the table does not fit"),
        Err(fault) => fault,
    }
}

pub(crate) async fn a_table_that_does_not_fit_is_refused_with_what_to_do(warehouse: &dyn Warehouse) {
    let cases = [
        ("CREATE TABLE notes (id bigint, note integer)", append(), "\"note\""),
        ("CREATE TABLE notes (id bigint, note text, more text NOT NULL)", append(), "\"more\""),
        ("CREATE TABLE notes (id bigint, note text)", upsert(), "CREATE UNIQUE INDEX"),
    ];
    for (sql, table, told) in cases {
        warehouse.execute(sql).await;
        let fault = refused(warehouse, &table, &notes()).await;
        assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
        assert!(fault.message().contains(told), "{fault}");
        warehouse.execute("DROP TABLE notes").await;
    }
}

pub(crate) async fn columns_that_fill_themselves_may_stand_beside_those_of_the_schema(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (extra text, note text, id bigint, source text NOT NULL DEFAULT 'kafka', UNIQUE (id))").await;
    for table in [append(), upsert()] {
        warehouse.claimed(&table, None).await;
    }
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.write(&batch(&[(1, Some("a"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    assert_eq!(warehouse.rows("SELECT source FROM notes").await, [[Some("kafka".to_owned())]]);
}

pub(crate) async fn writers_that_start_at_once_make_the_tables_once(warehouse: &dyn Warehouse) {
    let tables: Vec<TableConfig> = (0..8).map(|number| TableConfig { pipeline: format!("shop.{number}"), ..table(warehouse) }).collect();
    let schema = notes();
    let opened = join_all(tables.iter().map(|table| async {
        let mut sink = warehouse.open(table, &schema).await?;
        sink.write(&batch(&[(1, None)])).await?;
        sink.settle().await?;
        sink.claim(&[partition()]).await
    }));
    for claimed in opened.await {
        assert_eq!(claimed.expect("opens and claims"), Offsets::new());
    }
}

pub(crate) async fn check_tells_the_columns_without_a_server(warehouse: &dyn Warehouse) {
    let connection = warehouse.connection();
    let columns = connection.check(&warehouse.table(&table(warehouse)), &notes()).expect("fits");
    assert_eq!(columns.iter().map(|column| (column.name.as_str(), column.nullable)).collect::<Vec<_>>(), [("id", false), ("note", true)]);
    for table in tables(warehouse).into_iter().filter(|table| table.mode.is_keyed()) {
        let nullable_key = TableConfig { keys: vec!["note".into()], ..table };
        assert_eq!(
            connection.check(&warehouse.table(&nullable_key), &notes()).expect_err("a key can't be null").code(),
            Code::TargetSchema
        );
    }
}

pub(crate) async fn the_types_of_avro_have_columns(warehouse: &dyn Warehouse) {
    let table = table(warehouse);
    let columns = warehouse.connection().check(&warehouse.table(&table), &everything::avro()).expect("fits");
    let types: Vec<&str> = columns.iter().map(|column| column.sql_type.as_str()).collect();
    assert_eq!(types, warehouse.types_of_avro());
    warehouse.open(&table, &everything::avro()).await.expect("the table is made");
}

pub(crate) async fn a_query_shows_columns_without_rows_and_changes_nothing(warehouse: &dyn Warehouse) {
    warehouse.claimed(&append(), None).await;
    let result = warehouse.connection().query("SELECT id, note FROM notes WHERE id < 0").await.expect("runs");
    assert_eq!((result.columns, result.rows.len()), (vec!["id".to_owned(), "note".to_owned()], 0));
    warehouse.connection().query("DELETE FROM notes").await.expect_err("is read only");
    let fault = warehouse.connection().query("SELECT nonsense FROM notes").await.expect_err("has no such column");
    assert_eq!(fault.code(), Code::TargetSchema, "{fault}");
}

pub(crate) async fn names_are_taken_as_they_are_written(warehouse: &dyn Warehouse) {
    let table = TableConfig { table: "Order \"Notes\"; --".into(), ..table(warehouse) };
    let mut sink = warehouse.open(&table, &notes()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink.write(&batch(&[(1, Some("a'; DROP TABLE x; --"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
}

pub(crate) async fn rows_of_ten_megabytes_arrive(warehouse: &dyn Warehouse) {
    let text = "x".repeat(10 << 20);
    for table in tables(warehouse) {
        let mut sink = warehouse.claimed(&table, None).await;
        sink.write(&batch(&[(1, Some(&text)), (2, Some("small")), (3, Some(&text))])).await.expect("writes");
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
        let notes = warehouse.values(&["note"]).await;
        let notes: Vec<Option<&str>> = notes.iter().map(|row| row[0].as_deref()).collect();
        assert!(notes == [Some(&*text), Some("small"), Some(&*text)], "all that was written");
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn as_many_columns_arrive_as_the_target_takes_and_one_more_is_refused_by_check(warehouse: &dyn Warehouse) {
    let connection = warehouse.connection();
    for table in tables(warehouse) {
        let most = connection.capabilities().most_columns(&table);
        let (schema, batch) = everything::wide(most);
        let mut sink = warehouse.open(&table, &schema).await.expect("opens");
        sink.claim(&[partition()]).await.expect("claims");
        assert_eq!(sink.write(&batch).await.expect("writes"), []);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
        let last = warehouse.values(&["id", &format!("c{}", most - 1)]).await;
        assert_eq!(last, [["0", "0"], ["1", "1"]].map(|row| row.map(|text| Some(text.to_owned()))));
        let fault = connection.check(&warehouse.table(&table), &everything::wide(most + 1).0).expect_err("is one too many");
        assert!(fault.message().contains(&format!("more than the {most}")), "{fault}");
        drop(sink);
        warehouse.clean().await;
    }
}
