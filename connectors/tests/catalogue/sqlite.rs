//! SQLite's tables and queries as Avro.

use millrace_connectors::Relation;
use millrace_model::Code;
use serde_json::{Value, json};

use crate::places::Sqlite;

const TABLE: &str = "CREATE TABLE sales (id INTEGER PRIMARY KEY, customer VARCHAR(20) NOT NULL, price DECIMAL(10,2), paid BOOLEAN, \
     at DATETIME, day DATE, picture BLOB, weight REAL)";

async fn types(place: &Sqlite, relation: Relation<'_>) -> Vec<(Value, bool)> {
    let columns = place.connection().describe(relation).await.expect("is described");
    columns.into_iter().map(|column| (column.avro, column.nullable)).collect()
}

#[tokio::test]
async fn a_table_is_typed_by_what_its_columns_are_declared_as() {
    let place = Sqlite::new();
    place.execute(TABLE).await;
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 });
    assert_eq!(
        types(&place, Relation::Table("sales")).await,
        [
            (json!("long"), false),
            (json!("string"), false),
            (decimal, true),
            (json!("boolean"), true),
            (json!({ "type": "long", "logicalType": "local-timestamp-millis" }), true),
            (json!({ "type": "int", "logicalType": "date" }), true),
            (json!("bytes"), true),
            (json!("double"), true),
        ]
    );
}

#[tokio::test]
async fn a_query_is_typed_by_its_columns_and_casts() {
    let place = Sqlite::new();
    place.execute(TABLE).await;
    let sql = "SELECT customer, CAST(sum(price) AS REAL) AS spent, CAST(count(*) AS INTEGER) AS sales FROM sales GROUP BY customer";
    let told = types(&place, Relation::Query(sql)).await;
    assert_eq!(told, [(json!("string"), true), (json!("double"), true), (json!("long"), true)]);
}

#[tokio::test]
async fn an_expression_without_a_type_is_told_by_name() {
    let place = Sqlite::new();
    place.execute(TABLE).await;
    let fault = place.connection().describe(Relation::Query("SELECT price * 2 AS twice FROM sales")).await.expect_err("has no type");
    assert!(fault.code() == Code::SchemaUnsupported && fault.message().contains("twice") && fault.message().contains("CAST"), "{fault}");
    let missing = place.connection().describe(Relation::Table("orders")).await.expect_err("there is none");
    assert!(missing.message().contains("orders"), "{missing}");
}
