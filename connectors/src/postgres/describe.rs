//! Tables and queries as Avro.
//!
//! | PostgreSQL | Avro |
//! |---|---|
//! | `boolean` | boolean |
//! | `smallint`, `integer` | int |
//! | `bigint`, `oid` | long |
//! | `real`, `double precision` | float, double |
//! | `numeric(p,s)` | decimal in bytes |
//! | `numeric` | string: no decimal of Avro holds all of its values |
//! | `text`, `varchar`, `char`, `citext`, `name`, enumerated types, `json`, `jsonb`, `xml`, network addresses, `timetz`, `interval` | string |
//! | `uuid` | uuid in a string |
//! | `bytea` | bytes |
//! | `date` | date |
//! | `time` | time-micros |
//! | `timestamp` | local-timestamp-micros |
//! | `timestamptz` | timestamp-micros |
//! | an array of these | array, its items nullable |
//!
//! A domain is its base type. Every other type is refused by the column's name: a query can cast it.

use millrace_model::{Code, Fault, Result};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, FromRow, Row, SqlSafeStr, Statement};

use super::config::Config;
use super::connect::{Access, connect};
use super::fault::{fault, query_fault};
use super::types::digits;
use crate::described::{DescribedColumn, Relation, decimal, logical};
use crate::table::quoted;

/// The columns of a relation. An array's type stands for its items, with `is_array`.
const COLUMNS: &str = "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS shown, NOT a.attnotnull AS nullable, \
     i.typname::text AS type_name, i.typtype::text AS type_class, (b.typelem <> 0 AND b.typcategory = 'A') AS is_array, \
     CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS modifier \
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
     JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
     JOIN pg_type i ON i.oid = CASE WHEN b.typelem <> 0 AND b.typcategory = 'A' THEN b.typelem ELSE b.oid END \
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The same of a statement's columns, as far as the protocol tells: modifiers only of columns that are a table's own.
const PREPARED: &str = "SELECT c.name, format_type(c.oid, coalesce(a.atttypmod, -1)) AS shown, true AS nullable, \
     i.typname::text AS type_name, i.typtype::text AS type_class, (b.typelem <> 0 AND b.typcategory = 'A') AS is_array, \
     CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE coalesce(a.atttypmod, -1) END AS modifier \
     FROM unnest($1::text[], $2::oid[], $3::oid[], $4::int2[]) WITH ORDINALITY c(name, oid, relation, attribute, position) \
     JOIN pg_type t ON t.oid = c.oid \
     JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
     JOIN pg_type i ON i.oid = CASE WHEN b.typelem <> 0 AND b.typcategory = 'A' THEN b.typelem ELSE b.oid END \
     LEFT JOIN pg_attribute a ON a.attrelid = c.relation AND a.attnum = c.attribute ORDER BY c.position";

/// A view that lives as long as its transaction, which is rolled back: its columns are typed in full.
const VIEW: &str = "millrace_described";

/// A column as the catalogue has it.
struct Found {
    name: String,
    shown: String,
    nullable: bool,
    type_name: String,
    type_class: String,
    is_array: bool,
    modifier: i32,
}

impl FromRow<'_, PgRow> for Found {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            shown: row.try_get("shown")?,
            nullable: row.try_get("nullable")?,
            type_name: row.try_get("type_name")?,
            type_class: row.try_get("type_class")?,
            is_array: row.try_get("is_array")?,
            modifier: row.try_get("modifier")?,
        })
    }
}

/// The columns of a table, view or query. Nothing is run.
pub(super) async fn describe(config: &Config, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
    let mut connection = connect(config, "describe", Access::Read).await?;
    let found = match relation {
        Relation::Table(table) => table_columns(&mut connection, &config.qualified(table)).await?,
        Relation::Query(sql) => {
            let search = format!("SET search_path = {}, public", quoted(&config.schema));
            sqlx::raw_sql(AssertSqlSafe(search)).execute(&mut connection).await.map_err(query_fault)?;
            query_columns(&mut connection, sql).await?
        }
    };
    found.into_iter().map(column).collect()
}

async fn table_columns(connection: &mut PgConnection, name: &str) -> Result<Vec<Found>> {
    let found: Result<Vec<Found>, _> = sqlx::query_as(COLUMNS).bind(name).fetch_all(connection).await;
    let found = found.map_err(|error| fault(&format!("reading the columns of {name}"), error))?;
    if found.is_empty() {
        return Err(Fault::operator(Code::TargetSchema, format!("PostgreSQL: there is no table {name}")));
    }
    Ok(found)
}

/// By a temporary view where one may be made; a standby or a user without the right to is asked less.
async fn query_columns(connection: &mut PgConnection, sql: &str) -> Result<Vec<Found>> {
    // The statement alone, so that a second one behind it is refused.
    let prepared = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(query_fault)?;
    let view = format!("CREATE TEMPORARY VIEW {VIEW} AS {}", sql.trim_end().trim_end_matches(';'));
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await.map_err(query_fault)?;
    let made = sqlx::raw_sql(AssertSqlSafe(view)).execute(&mut *connection).await;
    let found = match made {
        Ok(_) => sqlx::query_as(COLUMNS).bind(VIEW).fetch_all(&mut *connection).await.map(Some),
        Err(_) => Ok(None),
    };
    sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.map_err(query_fault)?;
    match found.map_err(query_fault)? {
        Some(found) => Ok(found),
        None => prepared_columns(connection, &prepared).await,
    }
}

async fn prepared_columns(connection: &mut PgConnection, prepared: &sqlx::postgres::PgStatement) -> Result<Vec<Found>> {
    let columns = prepared.columns();
    let names: Vec<&str> = columns.iter().map(sqlx::Column::name).collect();
    let types: Vec<_> = columns.iter().map(|column| column.type_info().oid().unwrap_or_default()).collect();
    let relations: Vec<_> = columns.iter().map(sqlx::postgres::PgColumn::relation_id).collect();
    let attributes: Vec<_> = columns.iter().map(sqlx::postgres::PgColumn::relation_attribute_no).collect();
    let found = sqlx::query_as(PREPARED).bind(names).bind(types).bind(relations).bind(attributes);
    found.fetch_all(connection).await.map_err(query_fault)
}

fn column(found: Found) -> Result<DescribedColumn> {
    let item = avro(&found.type_name, &found.type_class, found.modifier);
    let avro = item.map(|item| if found.is_array { json!({ "type": "array", "items": ["null", item] }) } else { item });
    DescribedColumn::new(found.name, found.shown, avro, found.nullable)
}

/// The Avro type of a PostgreSQL type that is no array; none when there is none.
fn avro(name: &str, class: &str, modifier: i32) -> Option<Value> {
    Some(match name {
        "bool" => json!("boolean"),
        "int2" | "int4" => json!("int"),
        "int8" | "oid" => json!("long"),
        "float4" => json!("float"),
        "float8" => json!("double"),
        "numeric" => digits(modifier).and_then(|(precision, scale)| decimal(precision, scale)).unwrap_or_else(|| json!("string")),
        "text" | "varchar" | "bpchar" | "citext" | "name" | "json" | "jsonb" | "xml" | "inet" | "cidr" | "macaddr" | "macaddr8"
        | "timetz" | "interval" => json!("string"),
        "uuid" => logical("string", "uuid"),
        "bytea" => json!("bytes"),
        "date" => logical("int", "date"),
        "time" => logical("long", "time-micros"),
        "timestamp" => logical("long", "local-timestamp-micros"),
        "timestamptz" => logical("long", "timestamp-micros"),
        _ if class == "e" => json!("string"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_precision_keeps_all_of_its_digits_as_text() {
        assert_eq!(avro("numeric", "b", -1), Some(json!("string")));
        let price = avro("numeric", "b", ((10 << 16) | 2) + 4).expect("has a form");
        assert_eq!((&price["precision"], &price["scale"]), (&json!(10), &json!(2)));
        let hundreds = ((5 << 16) | (-2 & 0x7ff)) + 4;
        assert_eq!(avro("numeric", "b", hundreds), Some(json!("string")), "Avro has no negative scale");
    }

    #[test]
    fn times_keep_whether_they_have_a_zone() {
        assert_eq!(avro("timestamp", "b", -1).expect("a form")["logicalType"], "local-timestamp-micros");
        assert_eq!(avro("timestamptz", "b", -1).expect("a form")["logicalType"], "timestamp-micros");
    }

    #[test]
    fn labels_are_text_and_points_are_nothing() {
        assert_eq!(avro("mood", "e", -1), Some(json!("string")));
        assert_eq!(avro("point", "b", -1), None);
    }
}
