//! Values of each type of each database, read by the schema that the database itself tells.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use millrace_connectors::{Relation, described};
use millrace_model::Pulled;
use millrace_runtime::codec;
use serde_json::{Value, json};

use crate::places::{Database, Mysql, Postgres, Sqlite, source};
use crate::rows::pull;

/// All rows of the table `t`, in the order of its `id`, by the schema that describes it.
async fn everything(database: &dyn Database) -> Pulled {
    let columns = database.connection().describe(Relation::Table("t")).await.expect("describes");
    let schema = codec::schema(described::record("t", &columns).expect("is a record")).expect("a schema");
    let settings = json!({ "connection": "shop", "sql": "SELECT * FROM t", "cursor": "id", "mode": "once" });
    let mut source = source(&settings, "query").open("query", &schema, None, &database.connections()).await.expect("opens");
    pull(source.as_mut()).await
}

/// The first row as Arrow shows it, a line for each column.
fn first(pulled: &Pulled) -> Vec<String> {
    let options = FormatOptions::new();
    let columns = pulled.batch.columns();
    let shown = |(field, array): (&arrow::datatypes::FieldRef, &arrow::array::ArrayRef)| {
        let value = ArrayFormatter::try_new(array, &options).expect("has a text").value(0).to_string();
        format!("{} {value}", field.name())
    };
    columns.schema().fields().iter().zip(columns.columns()).map(shown).collect()
}

fn original(pulled: &Pulled, row: usize) -> Value {
    serde_json::from_slice(pulled.batch.origin().record(row).value.expect("has a value")).expect("is JSON")
}

fn assert_nulls(pulled: &Pulled) {
    let columns = pulled.batch.columns();
    for (field, column) in columns.schema().fields().iter().zip(columns.columns()).skip(1) {
        assert!(column.is_null(1), "{}", field.name());
    }
}

#[tokio::test]
async fn postgresql() {
    let postgres = Postgres::new("types").await;
    postgres
        .execute(
            "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN price AS numeric(10,2); \
             CREATE TABLE t (id bigint PRIMARY KEY, flag boolean, small smallint, whole integer, single real, twice double precision, \
             exact numeric(12,3), sum price, free numeric, label text, code char(3), mood mood, bytes bytea, uid uuid, day date, clock time, \
             local timestamp, instant timestamptz, doc jsonb, ip inet, tags text[], counts integer[], days date[]); \
             INSERT INTO t VALUES (1, true, -7, 2147483647, 0.1, 1e300, -123.450, 12.5, 123456789012345678901234567890.5, 'żółw', 'ab', 'sad', \
             '\\x00ff', '11111111-1111-1111-1111-111111111111', '1969-12-31', '05:30:00.000001', '2013-01-31 05:30', \
             '2013-01-31 05:30:00.5+05:30', '{\"a\": [1]}', '10.0.0.1/8', '{a,NULL,\"b c\"}', '{}', '{2013-01-31}'); INSERT INTO t (id) VALUES (2)",
        )
        .await;
    let pulled = everything(&postgres).await;
    assert_eq!(pulled.rejected.iter().map(|rejected| rejected.reason().to_owned()).collect::<Vec<_>>(), [""; 0]);
    let expected = [
        "id 1",
        "flag true",
        "small -7",
        "whole 2147483647",
        "single 0.1",
        "twice 1e300",
        "exact -123.450",
        "sum 12.50",
        "free 123456789012345678901234567890.5",
        "label żółw",
        "code ab ",
        "mood sad",
        "bytes 00ff",
        "uid 11111111111111111111111111111111",
        "day 1969-12-31",
        "clock 05:30:00.000001",
        "local 2013-01-31T05:30:00",
        "instant 2013-01-31T00:00:00.500Z",
        "doc {\"a\": [1]}",
        "ip 10.0.0.1/8",
        "tags [a, , b c]",
        "counts []",
        "days [2013-01-31]",
    ];
    assert_eq!(first(&pulled), expected);
    assert_nulls(&pulled);
    let original = original(&pulled, 0);
    assert_eq!(
        (&original["instant"], &original["doc"], &original["exact"]),
        (&json!("2013-01-31T00:00:00.5Z"), &json!({ "a": [1] }), &json!(-123.45))
    );
}

#[tokio::test]
async fn mariadb() {
    let mysql = Mysql::new("types").await;
    mysql
        .execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, flag boolean, tiny tinyint unsigned, whole int, large bigint unsigned, single float, \
             twice double, exact decimal(12,3), label varchar(20), cased varchar(20) COLLATE utf8mb4_bin, mood enum('ok','sad'), bytes varbinary(9), \
             uid uuid, day date, clock time(6), local datetime(6), instant timestamp(6) NULL, doc json, bits bit(9), year year); \
             SET time_zone = '+00:00'; \
             INSERT INTO t VALUES (1, true, 255, -2147483648, 18446744073709551615, 0.1, 1e300, -123.45, 'żółw', 'ab', 'sad', X'00ff', \
             '11111111-1111-1111-1111-111111111111', '1969-12-31', '05:30:00.000001', '2013-01-31 05:30', '2013-01-31 00:00:00.5', '{\"a\": [1]}', b'101', 2013), \
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        )
        .await;
    let pulled = everything(&mysql).await;
    assert_eq!(pulled.rejected.iter().map(|rejected| rejected.reason().to_owned()).collect::<Vec<_>>(), [""; 0]);
    let expected = [
        "id 1",
        "flag true",
        "tiny 255",
        "whole -2147483648",
        "large 18446744073709551615",
        "single 0.1",
        "twice 1e300",
        "exact -123.450",
        "label żółw",
        "cased ab",
        "mood sad",
        "bytes 00ff",
        "uid 11111111111111111111111111111111",
        "day 1969-12-31",
        "clock 05:30:00.000001",
        "local 2013-01-31T05:30:00",
        "instant 2013-01-31T00:00:00.500Z",
        "doc {\"a\": [1]}",
        "bits 5",
        "year 2013",
    ];
    assert_eq!(first(&pulled), expected);
    assert_nulls(&pulled);
    let described = mysql.connection().describe(Relation::Query("SELECT exact * 2 AS x FROM t")).await.expect("describes");
    assert_eq!((&described[0].avro["logicalType"], described[0].nullable), (&json!("decimal"), true));
}

#[tokio::test]
async fn sqlite() {
    let sqlite = Sqlite::new();
    sqlite
        .execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, flag BOOLEAN, whole INT, twice REAL, exact DECIMAL(12,3), label TEXT, bytes BLOB, \
             uid UUID, day DATE, local DATETIME); \
             INSERT INTO t VALUES (1, 1, -7, 1e300, -123.45, 'żółw', X'00ff', '11111111-1111-1111-1111-111111111111', '1969-12-31', '2013-01-31 05:30:00'); \
             INSERT INTO t (id) VALUES (2)",
        )
        .await;
    let pulled = everything(&sqlite).await;
    assert_eq!(pulled.rejected.iter().map(|rejected| rejected.reason().to_owned()).collect::<Vec<_>>(), [""; 0]);
    let expected = [
        "id 1",
        "flag true",
        "whole -7",
        "twice 1e300",
        "exact -123.450",
        "label żółw",
        "bytes 00ff",
        "uid 11111111111111111111111111111111",
        "day 1969-12-31",
        "local 2013-01-31T05:30:00",
    ];
    assert_eq!(first(&pulled), expected);
    assert_nulls(&pulled);
}

#[tokio::test]
async fn values_that_no_type_has_are_rejected_row_by_row() {
    let postgres = Postgres::new("odd").await;
    postgres
        .execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, instant timestamptz, day date, exact numeric(10,2)); \
             INSERT INTO t VALUES (1, 'infinity', NULL, NULL), (2, NULL, '-infinity', NULL), (3, NULL, NULL, 'NaN'), (4, now(), NULL, 1)",
        )
        .await;
    let pulled = everything(&postgres).await;
    let reasons: Vec<&str> = pulled.rejected.iter().map(millrace_model::Rejected::reason).collect();
    assert_eq!(pulled.batch.len(), 1);
    assert!(reasons[0].starts_with("row 1: instant: expected timestamp") && reasons[0].contains("infinity"), "{reasons:?}");
    assert!(reasons[1].contains("day: expected date") && reasons[2].contains("exact: expected decimal"), "{reasons:?}");
}
