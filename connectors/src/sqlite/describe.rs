//! Tables and queries as Avro, by the types that columns are declared with.
//!
//! | declared | Avro |
//! |---|---|
//! | `BOOLEAN` | boolean |
//! | `DATE` | date |
//! | `DATETIME`, `TIMESTAMP` | local-timestamp-millis |
//! | `DECIMAL(p,s)`, `NUMERIC(p,s)` | decimal in bytes |
//! | `UUID` | uuid in a string |
//! | with `INT` in it | long |
//! | with `CHAR`, `CLOB` or `TEXT` in it, `JSON` | string |
//! | with `BLOB` in it | bytes |
//! | with `REAL`, `FLOA` or `DOUB` in it | double |
//!
//! SQLite keeps any value in any column: one that is not of its declared type is found when it is read. A column without a
//! declared type, such as that of an expression in a query, is refused by name: `CAST` gives it one.

use millrace_model::{Code, Fault, Result};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::config::Config;
use super::connect::connect_read_only;
use super::fault::{fault, query_fault};
use crate::described::{DescribedColumn, Relation, decimal, logical};
use crate::table::quoted;

/// A column that is the rowid is never null.
const COLUMNS: &str =
    "SELECT name, type, (\"notnull\" = 0 AND NOT (pk = 1 AND upper(type) = 'INTEGER')) FROM pragma_table_xinfo(?) WHERE hidden <> 1";

/// A view that lives as long as the connection: it tells what a query's columns are declared as.
const VIEW: &str = "millrace_described";

/// The columns of a table, view or query. Nothing is run.
pub(super) async fn describe(config: &Config, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
    let mut connection = connect_read_only(config).await?;
    let columns = match relation {
        Relation::Table(table) => columns(&mut connection, table).await?,
        Relation::Query(sql) => {
            let view = format!("CREATE TEMPORARY VIEW {VIEW} AS {}", sql.trim_end().trim_end_matches(';'));
            sqlx::raw_sql(AssertSqlSafe(view)).execute(&mut connection).await.map_err(query_fault)?;
            columns(&mut connection, VIEW).await?
        }
    };
    columns.into_iter().map(|(name, declared, nullable)| DescribedColumn::new(name, declared.clone(), avro(&declared), nullable)).collect()
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<(String, String, bool)>> {
    let found: Result<Vec<(String, String, bool)>, _> = sqlx::query_as(COLUMNS).bind(table).fetch_all(connection).await;
    let found = found.map_err(|error| fault(&format!("reading the columns of {}", quoted(table)), error))?;
    if found.is_empty() {
        return Err(Fault::operator(Code::TargetSchema, format!("SQLite: there is no table {}", quoted(table))));
    }
    Ok(found)
}

/// The Avro type of a declared type; none when there is none.
fn avro(declared: &str) -> Option<Value> {
    let declared = declared.trim().to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    Some(match declared.as_str() {
        "BOOLEAN" | "BOOL" => json!("boolean"),
        "DATE" => logical("int", "date"),
        "DATETIME" | "TIMESTAMP" => logical("long", "local-timestamp-millis"),
        "UUID" => logical("string", "uuid"),
        "JSON" => json!("string"),
        _ if has("INT") => json!("long"),
        _ if has("CHAR") || has("CLOB") || has("TEXT") => json!("string"),
        _ if has("BLOB") => json!("bytes"),
        _ if has("REAL") || has("FLOA") || has("DOUB") => json!("double"),
        _ => return digits(&declared).and_then(|(precision, scale)| decimal(precision, scale)),
    })
}

/// Precision and scale of `DECIMAL(p,s)` or `NUMERIC(p,s)`.
fn digits(declared: &str) -> Option<(i32, i32)> {
    let arguments = declared.strip_prefix("DECIMAL").or_else(|| declared.strip_prefix("NUMERIC"))?.trim();
    let (precision, scale) = arguments.strip_prefix('(')?.strip_suffix(')')?.split_once(',').unwrap_or((arguments, "0"));
    let precision = precision.trim_matches(['(', ')', ' ']);
    Some((precision.parse().ok()?, scale.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_told_by_their_words() {
        assert_eq!(avro("bigint"), Some(json!("long")));
        assert_eq!(avro("varchar(20)"), Some(json!("string")));
        assert_eq!(avro("double precision"), Some(json!("double")));
        assert_eq!(avro("Boolean"), Some(json!("boolean")));
    }

    #[test]
    fn a_decimal_has_the_digits_that_it_is_declared_with() {
        let told = |declared: &str| avro(declared).map(|avro| (avro["precision"].clone(), avro["scale"].clone()));
        assert_eq!(told("DECIMAL(10, 2)"), Some((json!(10), json!(2))));
        assert_eq!(told("numeric(5)"), Some((json!(5), json!(0))));
        assert_eq!(avro("NUMERIC"), None);
        assert_eq!(avro(""), None, "an expression of a query has no declared type");
    }
}
