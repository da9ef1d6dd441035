//! Tables of MySQL: their engines, types and names.

use std::sync::Arc;

use arrow::array::{Decimal128Array, Int64Array};
use arrow::datatypes::{DataType, Field};
use millrace_connectors::mysql::Config;
use millrace_connectors::postgres;
use millrace_model::{Code, Commit, Edge, LoadBound, Offsets, Origin, Retry};
use millrace_runtime::project::Resilience;

use super::{Mysql, claimed, landed, loaded, of_columns, opening};
use crate::rows::{append, at, batch, notes, partition, records_of, replace, rows_at, schema, upsert};
use crate::warehouse::Warehouse;

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let mysql = Mysql::new("engine").await;
    mysql.execute("CREATE TABLE notes (id bigint, note text) ENGINE=MyISAM").await;
    let fault = opening(&mysql.config()).await;
    assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
    assert!(fault.message().contains("ALTER TABLE `notes` ENGINE=InnoDB"), "{fault}");
}

#[tokio::test]
async fn a_definition_that_is_changed_between_rounds_is_looked_at_again() {
    let mysql = Mysql::new("changed").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    assert_eq!(loaded(&mut sink, 0, &batch(&[(1, Some("a"))])).await, []);
    mysql.execute("ALTER TABLE notes DROP PRIMARY KEY").await;
    sink.write(&batch(&[(1, Some("b"))])).await.expect("writes");
    let fault = sink.settle().await.expect_err("would make a second row of the key");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
    assert!(fault.message().contains("CREATE UNIQUE INDEX `notes_keys` ON `notes` (`id`)"), "{fault}");
    mysql.execute("CREATE UNIQUE INDEX `notes_keys` ON `notes` (`id`)").await;
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(1));
    assert_eq!(loaded(&mut sink, 1, &batch(&[(1, Some("b"))])).await, []);
    assert_eq!(warehouse.notes().await, ["1 b"]);
}

#[tokio::test]
async fn types_are_widened_with_the_schema() {
    let mysql = Mysql::new("widened").await;
    let of = |n: DataType, price: DataType, nullable| vec![Field::new("n", n, nullable), Field::new("price", price, true)];
    let narrow = schema(of(DataType::Int32, DataType::Decimal128(5, 2), false));
    let (wide, rows) = of_columns(
        of(DataType::Int64, DataType::Decimal128(20, 2), true),
        vec![
            Arc::new(Int64Array::from(vec![Some(1 << 40), None])),
            Arc::new(Decimal128Array::from(vec![1_234_567, 1]).with_precision_and_scale(20, 2).expect("fits")),
        ],
    );
    let mut sink = claimed(&mysql, &append(), &narrow).await;
    sink.reshape(&wide).await.expect("is widened");
    assert_eq!(loaded(&mut sink, 0, &rows).await, []);
    let warehouse: &dyn Warehouse = &mysql;
    let shown = warehouse.rows("SELECT n, price FROM notes ORDER BY price").await;
    assert_eq!(shown, [[None, Some("0.01".to_owned())], [Some("1099511627776".to_owned()), Some("12345.67".to_owned())]]);
    drop(sink);
    // What a statement would have to say again is not said: the owner of the column changes it.
    mysql
        .execute(
            "DROP TABLE notes; DROP TABLE millrace_positions; CREATE TABLE notes (n int NOT NULL COMMENT 'pieces', price decimal(20,2))",
        )
        .await;
    let mut sink = claimed(&mysql, &append(), &narrow).await;
    sink.reshape(&wide).await.expect("narrower columns take what fits them");
    assert_eq!(landed(&mut sink, &rows).await, [(0, Code::ValueOutOfRange), (1, Code::ValueNull)]);
}

#[tokio::test]
async fn loads_have_names_of_any_letters_and_length() {
    let mysql = Mysql::new("load_names").await;
    let warehouse: &dyn Warehouse = &mysql;
    let long = "l".repeat(300);
    let mut sink = claimed(&mysql, &replace(), &notes()).await;
    for (offset, load) in ["it's \\' OR 1 = 1 --", "ż\"`", &long].into_iter().enumerate() {
        let offset = offset as i64;
        let note = offset.to_string();
        sink.write(&rows_at(0, offset, &[(offset, Some(&note))])).await.expect("writes");
        let origin = Origin::all(records_of(0, offset, 1));
        sink.bound(LoadBound { edge: Edge::End, load: load.into(), origin, partitions: 1 }).await.expect("ends");
        assert!(sink.settle().await.expect("settles").is_empty());
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        assert_eq!(sink.commit(&from, &at(offset + 1)).await.expect("commits"), Commit::Done);
        assert_eq!(warehouse.notes().await, [format!("{offset} {offset}")]);
    }
}

#[tokio::test]
async fn columns_that_differ_in_case_only_are_refused_by_check() {
    let config = Config {
        host: "nowhere".into(),
        port: 1,
        database: "d".into(),
        user: "u".into(),
        password: None,
        tls: postgres::Tls::Prefer,
        ca: None,
        resilience: Resilience::default(),
    };
    let schema = schema(vec![Field::new("Id", DataType::Int64, false), Field::new("id", DataType::Int64, false)]);
    let fault = config.check(&append(), &schema).expect_err("are one");
    assert!(fault.message().contains("\"Id\" and \"id\""), "{fault}");
}

#[tokio::test]
async fn a_look_at_the_database_tells_what_is_missing_and_what_does_not_fit() {
    let mysql = Mysql::new("looked_at").await;
    let connection = Warehouse::connection(&mysql);
    let examined = connection.examine(&upsert(), &notes()).await.expect("looks");
    assert_eq!(examined.missing.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["`millrace_positions`", "`notes`"]);
    assert!(examined.misfits.is_empty() && examined.denied.is_empty(), "{examined:?}");
    let statements: Vec<String> = examined.missing.into_iter().map(|one| one.sql).collect();
    connection.define(&statements).await.expect("defines");
    assert_eq!(connection.examine(&upsert(), &notes()).await.expect("looks").missing, []);
    mysql.execute("ALTER TABLE notes DROP COLUMN note").await;
    let examined = connection.examine(&upsert(), &notes()).await.expect("looks");
    let mending = examined.misfits[0].mending().expect("can be mended");
    assert_eq!(mending, "ALTER TABLE `notes` ADD COLUMN `note` longtext");
    connection.define(&[mending]).await.expect("mends");
    assert!(connection.examine(&upsert(), &notes()).await.expect("looks").misfits.is_empty());
    connection.drop_table("notes").await.expect("drops");
}
