//! PostgreSQL's tables and queries as Avro.

use millrace_connectors::described::record;
use millrace_connectors::{DescribedColumn, Relation};
use millrace_model::Code;
use millrace_runtime::codec;
use serde_json::{Value, json};

use crate::places::Postgres;

const TABLE: &str = r#"
CREATE SCHEMA "{schema}";
CREATE TYPE "{schema}".mood AS ENUM ('sad', 'not sad');
CREATE DOMAIN "{schema}".price AS numeric(8,2);
CREATE TABLE "{schema}".everything (
  id bigint PRIMARY KEY, small smallint, flag boolean NOT NULL, ratio double precision, cost numeric(10,2), any_number numeric,
  domained "{schema}".price, name varchar(20), mood "{schema}".mood, document jsonb, mark uuid, bytes bytea, day date,
  clock time, local timestamp, instant timestamptz, tags text[], costs numeric(6,1)[]
);
CREATE VIEW "{schema}".seen AS SELECT id, cost FROM "{schema}".everything;
"#;

async fn place(test: &str) -> Postgres {
    let place = Postgres::new(test).await;
    place.execute(&TABLE.replace("{schema}", &place.schema)).await;
    place
}

async fn described(place: &Postgres, relation: Relation<'_>) -> Vec<DescribedColumn> {
    place.connection().describe(relation).await.expect("is described")
}

fn decimal(precision: u8, scale: u8) -> Value {
    json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
}

#[tokio::test]
async fn a_table_is_typed_column_by_column() {
    let place = place("table").await;
    let columns = described(&place, Relation::Table("everything")).await;
    let types: Vec<Value> = columns.iter().map(|column| column.avro.clone()).collect();
    let logical = |base: &str, logical: &str| json!({ "type": base, "logicalType": logical });
    let list = |item: Value| json!({ "type": "array", "items": ["null", item] });
    assert_eq!(
        types,
        [
            json!("long"),
            json!("int"),
            json!("boolean"),
            json!("double"),
            decimal(10, 2),
            json!("string"),
            decimal(8, 2),
            json!("string"),
            json!("string"),
            json!("string"),
            logical("string", "uuid"),
            json!("bytes"),
            logical("int", "date"),
            logical("long", "time-micros"),
            logical("long", "local-timestamp-micros"),
            logical("long", "timestamp-micros"),
            list(json!("string")),
            list(decimal(6, 1)),
        ]
    );
    let required: Vec<&str> = columns.iter().filter(|column| !column.nullable).map(|column| column.name.as_str()).collect();
    assert_eq!(required, ["id", "flag"]);
    codec::schema(record("Everything", &columns).expect("is Avro")).expect("is what the codec carries");
}

#[tokio::test]
async fn a_query_is_typed_with_its_casts_and_may_be_null_everywhere() {
    let place = place("query").await;
    let sql = "SELECT id, cost, (cost * 1.19)::numeric(12,3) AS gross, count(*) OVER () AS everyone FROM everything;";
    let columns = described(&place, Relation::Query(sql)).await;
    let types: Vec<Value> = columns.iter().map(|column| column.avro.clone()).collect();
    assert_eq!(types, [json!("long"), decimal(10, 2), decimal(12, 3), json!("long")]);
    assert!(columns.iter().all(|column| column.nullable));
}

#[tokio::test]
async fn where_no_view_may_be_made_a_query_is_typed_as_far_as_the_protocol_tells() {
    let place = place("standby").await;
    place.execute("DROP ROLE IF EXISTS catalogue_standby; CREATE ROLE catalogue_standby LOGIN PASSWORD 'x'").await;
    place.execute("ALTER ROLE catalogue_standby SET default_transaction_read_only = on").await;
    place
        .execute(&format!(
            "GRANT USAGE ON SCHEMA \"{0}\" TO catalogue_standby; GRANT SELECT ON ALL TABLES IN SCHEMA \"{0}\" TO catalogue_standby",
            place.schema
        ))
        .await;
    let config = millrace_connectors::postgres::Config {
        user: "catalogue_standby".into(),
        password: Some(millrace_runtime::project::Secret::new("x")),
        ..place.config()
    };
    let columns = config.describe(Relation::Query("SELECT id, cost, cost + 1 AS more, tags FROM everything")).await.expect("is described");
    place.execute(&format!("DROP OWNED BY catalogue_standby; DROP ROLE catalogue_standby; DROP SCHEMA \"{}\" CASCADE", place.schema)).await;
    let types: Vec<Value> = columns.iter().map(|column| column.avro.clone()).collect();
    assert_eq!(types, [json!("long"), decimal(10, 2), json!("string"), json!({ "type": "array", "items": ["null", "string"] })]);
}

#[tokio::test]
async fn a_view_is_described_as_a_table_is() {
    let place = place("view").await;
    let columns = described(&place, Relation::Table("seen")).await;
    assert_eq!(columns.iter().map(|column| column.avro.clone()).collect::<Vec<_>>(), [json!("long"), decimal(10, 2)]);
}

#[tokio::test]
async fn what_can_not_be_described_is_told_by_name() {
    let place = place("refused").await;
    let fault = async |relation| place.connection().describe(relation).await.expect_err("is refused");
    let missing = fault(Relation::Table("nothing")).await;
    assert!(missing.code() == Code::TargetSchema && missing.message().contains("nothing"), "{missing}");
    let wrong = fault(Relation::Query("SELECT nothing FROM everything")).await;
    assert!(wrong.to_string().contains("nothing"), "{wrong}");
    let point = fault(Relation::Query("SELECT point(1, 2) AS here")).await;
    assert!(point.code() == Code::SchemaUnsupported && point.message().contains("\"here\" is point"), "{point}");
    let two = fault(Relation::Query("SELECT 1; DROP TABLE everything")).await;
    assert_eq!(described(&place, Relation::Table("everything")).await.len(), 18, "{two}");
}
