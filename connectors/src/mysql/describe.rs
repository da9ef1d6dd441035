//! Tables and queries as Avro.
//!
//! | MySQL, MariaDB | Avro |
//! |---|---|
//! | `tinyint(1)` | boolean |
//! | other `tinyint`, `smallint`, `mediumint`, `int`, `year` | int |
//! | `int unsigned`, `bigint`, `bit` | long |
//! | `bigint unsigned` | decimal of 20 digits |
//! | `float`, `double` | float, double |
//! | `decimal(p,s)` | decimal in bytes |
//! | `char`, `varchar`, `text` of any size, `enum`, `set`, `json` | string |
//! | `uuid` (MariaDB) | uuid in a string |
//! | `binary`, `varbinary`, `blob` of any size | bytes |
//! | `date` | date |
//! | `time` | time-micros, which has no times of a day or more |
//! | `datetime` | local-timestamp-micros |
//! | `timestamp` | timestamp-micros |
//!
//! Every other type is refused by the column's name: a query can cast it.

use millrace_model::{Code, Fault, Result};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::config::Config;
use super::connect::connect;
use super::fault::{fault, query_fault};
use crate::described::{DescribedColumn, Relation, decimal, logical};
use crate::query::database::Dialect;

/// An empty table that only this session sees and that goes with it: it tells what a query's columns are, decimals and all.
const TABLE: &str = "millrace_described";

/// The columns of a table, view or query. Of a query no row is read; the user needs the right to make temporary tables.
pub(super) async fn describe(config: &Config, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
    let mut connection = connect(config).await?;
    match relation {
        Relation::Table(table) => columns(&mut connection, table, false).await,
        Relation::Query(sql) => {
            let sql = sql.trim_end().trim_end_matches(';');
            let create = format!("CREATE TEMPORARY TABLE {TABLE} AS SELECT * FROM (\n{sql}\n) AS millrace_query LIMIT 0");
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.map_err(query_fault)?;
            columns(&mut connection, TABLE, true).await
        }
    }
}

async fn columns(connection: &mut MySqlConnection, table: &str, nullable: bool) -> Result<Vec<DescribedColumn>> {
    let show = format!("SHOW COLUMNS FROM {}", Dialect::Mysql.quoted(table));
    let rows = sqlx::raw_sql(AssertSqlSafe(show)).fetch_all(connection).await;
    let rows = rows.map_err(|error| fault(&format!("reading the columns of {table}"), error))?;
    rows.iter().map(|row| column(row, nullable)).collect()
}

fn column(row: &MySqlRow, nullable: bool) -> Result<DescribedColumn> {
    let text = |name: &str| row.try_get_unchecked::<Vec<u8>, _>(name).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (Some(name), Some(declared), Some(null)) = (text("Field"), text("Type"), text("Null")) else {
        return Err(Fault::fatal(Code::Internal, "MySQL: SHOW COLUMNS has an answer of another form"));
    };
    let told = avro(&declared);
    DescribedColumn::new(name, declared, told, nullable || null == "YES")
}

/// The Avro type of a declared type; none when there is none.
fn avro(declared: &str) -> Option<Value> {
    let declared = declared.to_ascii_lowercase();
    let unsigned = declared.contains("unsigned");
    let (name, arguments) = declared.split_once('(').unwrap_or((&declared, ""));
    Some(match name.split(' ').next().unwrap_or_default() {
        "tinyint" if arguments.starts_with("1)") => json!("boolean"),
        "int" | "integer" if unsigned => json!("long"),
        "bigint" if unsigned => decimal(20, 0)?,
        "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "year" => json!("int"),
        "bigint" | "bit" => json!("long"),
        "float" => json!("float"),
        "double" | "real" => json!("double"),
        "decimal" | "numeric" => {
            let (precision, scale) = arguments.split_once(')')?.0.split_once(',')?;
            decimal(precision.trim().parse().ok()?, scale.trim().parse().ok()?)?
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "json" => json!("string"),
        "uuid" => logical("string", "uuid"),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => json!("bytes"),
        "date" => logical("int", "date"),
        "time" => logical("long", "time-micros"),
        "datetime" => logical("long", "local-timestamp-micros"),
        "timestamp" => logical("long", "timestamp-micros"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_told_by_their_words() {
        assert_eq!(avro("tinyint(1)"), Some(json!("boolean")));
        assert_eq!(avro("tinyint(4) unsigned"), Some(json!("int")));
        assert_eq!(avro("int(10) unsigned"), Some(json!("long")));
        assert_eq!(avro("bigint unsigned").expect("a form")["precision"], 20);
        assert_eq!(avro("decimal(10,2) unsigned").expect("a form")["scale"], 2);
        assert_eq!(avro("datetime(6)").expect("a form")["logicalType"], "local-timestamp-micros");
        assert_eq!(avro("point"), None);
    }
}
