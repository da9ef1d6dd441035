//! The target table in the catalogue.

use std::collections::BTreeSet;
use std::fmt;

use millrace_model::{Fault, Result, Schema};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, FromRow, Row};

use super::CAPABILITIES;
use super::fault::{fault, number};
use super::server::Server;
use super::types::{Declared, Form, Limit, fit, sql_type};
use crate::table::{Existing, Kind, Misfit, Quotes, Target, unfit};
use crate::table_config::TableConfig;

/// What stands behind the columns of a table that is made here. Only those of `InnoDB` are of any use: rows and positions are one transaction.
pub(super) const OPTIONS: &str = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4";

/// How one column of the schema goes into the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) limit: Limit,
    /// Whether the target takes no null here.
    pub(super) required: bool,
    /// The column as SQL declares it, without its name.
    pub(super) declaration: String,
}

/// A column's declared type.
#[derive(Debug, Clone)]
pub(super) struct ColumnType {
    name: String,
    /// The type as SQL writes it.
    pub(super) shown: String,
    length: Option<u64>,
    precision: Option<u64>,
    scale: Option<u64>,
    fractions: Option<u64>,
    /// Of a text: character set and collation.
    text: Option<(String, String)>,
    /// Whether there is nothing to it but its type and whether it takes null: what changes it has to state all of it.
    pub(super) is_plain: bool,
}

impl FromRow<'_, MySqlRow> for ColumnType {
    fn from_row(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        let number = |column| row.try_get::<Option<i64>, _>(column).map(|number| number.and_then(|number| u64::try_from(number).ok()));
        let text = |column| row.try_get::<Option<String>, _>(column);
        Ok(Self {
            name: row.try_get("type_name")?,
            shown: row.try_get("shown")?,
            length: number("type_length")?,
            precision: number("type_precision")?,
            scale: number("type_scale")?,
            fractions: number("fractions")?,
            text: text("charset")?.zip(text("collation_of")?),
            is_plain: row.try_get("is_plain")?,
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl ColumnType {
    fn declared(&self) -> Declared<'_> {
        Declared {
            name: &self.name,
            unsigned: self.shown.contains("unsigned"),
            length: self.length.unwrap_or_default(),
            precision: self.precision.unwrap_or_default(),
            scale: self.scale,
            fractions: self.fractions.unwrap_or_default(),
        }
    }

    /// The type, with the collation of a text.
    pub(super) fn in_full(&self) -> String {
        match &self.text {
            Some((charset, collation)) => format!("{} CHARACTER SET {charset} COLLATE {collation}", self.shown),
            None => self.shown.clone(),
        }
    }
}

/// The length of a text is one in characters where its type counts them, and in bytes otherwise; one whose default is null has a default of
/// `NULL` in MariaDB.
const COLUMNS: &str = "SELECT CAST(column_name AS CHAR) AS name, CAST(data_type AS CHAR) AS type_name, CAST(column_type AS CHAR) AS shown, \
     CAST(IF(data_type IN ('char', 'varchar'), character_maximum_length, character_octet_length) AS SIGNED) AS type_length, \
     CAST(numeric_precision AS SIGNED) AS type_precision, CAST(numeric_scale AS SIGNED) AS type_scale, \
     CAST(datetime_precision AS SIGNED) AS fractions, \
     CAST(character_set_name AS CHAR) AS charset, CAST(collation_name AS CHAR) AS collation_of, \
     CAST(is_nullable = 'NO' AS SIGNED) AS required, \
     CAST((column_default IS NOT NULL AND NOT (is_nullable = 'YES' AND column_default = 'NULL')) OR extra LIKE '%auto_increment%' OR extra LIKE '%DEFAULT_GENERATED%' AS SIGNED) AS has_default, \
     CAST(COALESCE(generation_expression, '') <> '' AS SIGNED) AS generated, \
     CAST(COALESCE(column_default, 'NULL') = 'NULL' AND extra = '' AND column_comment = '' AS SIGNED) AS is_plain \
     FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position";

/// The columns of unique indexes that tell rows apart by all of each column.
const UNIQUE: &str = "SELECT CAST(index_name AS CHAR), CAST(column_name AS CHAR), CAST(sub_part IS NULL AS SIGNED) \
     FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0";

const ENGINE: &str = "SELECT CAST(t.engine AS CHAR), CAST(COALESCE(e.transactions, 'NO') AS CHAR) FROM information_schema.tables t \
     LEFT JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = DATABASE() AND t.table_name = ?";

/// The table that rows are loaded into.
pub(super) fn target(table: &TableConfig, schema: &Schema) -> Target {
    let quotes = Quotes::Back;
    let name = quotes.name(&table.table);
    Target { table: table.clone(), schema: schema.clone(), name, quotes, sql_type, capabilities: &CAPABILITIES }
}

/// The statement that makes the table. Texts that are keys are told apart by their bytes.
pub(super) fn definition(target: &Target, server: &Server) -> Result<String> {
    let columns = target.columns()?.into_iter().map(|column| {
        let is_text_key = target.has_primary_key() && target.is_key(&column.name) && column.sql_type.starts_with("varchar");
        let collation = if is_text_key { format!(" COLLATE {}", server.exact_collation) } else { String::new() };
        let null = if column.nullable { "" } else { " NOT NULL" };
        format!("{} {}{collation}{null}", target.quotes.name(&column.name), column.sql_type)
    });
    let mut parts: Vec<String> = columns.collect();
    if target.has_primary_key() {
        parts.push(format!("PRIMARY KEY ({})", target.keys()));
    }
    Ok(format!("CREATE TABLE IF NOT EXISTS {} ({}){OPTIONS}", target.name, parts.join(", ")))
}

/// The user has no right to that.
const DENIED: &[u16] = &[1142, 1143];

/// Keeps a table's definition as it is until [`let_go`]: what the catalogue says of a table that is being changed is true of neither before nor
/// after. A user who may not read the table goes without.
pub(super) async fn hold(connection: &mut MySqlConnection, name: &str) -> Result<()> {
    look(connection, name, "START TRANSACTION READ ONLY; ").await
}

/// The same until the end of the transaction at hand.
pub(super) async fn keep(connection: &mut MySqlConnection, name: &str) -> Result<()> {
    look(connection, name, "").await
}

async fn look(connection: &mut MySqlConnection, name: &str, before: &str) -> Result<()> {
    let sql = format!("{before}SELECT 1 FROM {name} LIMIT 0");
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
        Err(error) if !number(&error).is_some_and(|number| DENIED.contains(&number)) => Err(fault(&format!("looking at {name}"), error)),
        _ => Ok(()),
    }
}

/// Lets the definition be changed again.
pub(super) async fn let_go(connection: &mut MySqlConnection) -> Result<()> {
    sqlx::raw_sql("COMMIT").execute(connection).await.map(drop).map_err(|error| fault("looking at a table", error))
}

/// Compares the table in the database with the schema, and says how each column goes into it. Its definition must be held.
pub(super) async fn compare(connection: &mut MySqlConnection, target: &Target) -> Result<Vec<Loaded>> {
    check_engine(connection, target).await?;
    let (existing, unique) = read(connection, target).await?;
    target.compare(&existing, &unique, loaded)
}

/// The same between rounds.
pub(super) async fn compare_held(connection: &mut MySqlConnection, target: &Target) -> Result<Vec<Loaded>> {
    hold(connection, &target.name).await?;
    let columns = compare(connection, target).await;
    let_go(connection).await?;
    columns
}

/// The target for rows of the columns alone that the table has.
pub(super) async fn present(connection: &mut MySqlConnection, target: &Target) -> Result<Target> {
    hold(connection, &target.name).await?;
    let existing = columns(connection, &target.table.table).await;
    let_go(connection).await?;
    Ok(target.present(&existing?))
}

/// All that does not fit.
pub(super) async fn misfits(connection: &mut MySqlConnection, target: &Target) -> Result<Vec<Misfit>> {
    hold(connection, &target.name).await?;
    check_engine(connection, target).await?;
    let (existing, unique) = read(connection, target).await?;
    let_go(connection).await?;
    target.misfits(&existing, &unique, loaded)
}

/// The columns of the table of that name.
pub(super) async fn columns(connection: &mut MySqlConnection, table: &str) -> Result<Vec<Existing<ColumnType>>> {
    let columns = sqlx::query_as(COLUMNS).bind(table).fetch_all(connection).await;
    columns.map_err(|error| fault(&format!("reading the columns of {}", Quotes::Back.name(table)), error))
}

/// The columns of the table, and the columns of its unique indexes.
pub(super) async fn read(connection: &mut MySqlConnection, target: &Target) -> Result<(Vec<Existing<ColumnType>>, Vec<BTreeSet<String>>)> {
    let existing = columns(connection, &target.table.table).await?;
    let indexed: Vec<(String, Option<String>, bool)> = sqlx::query_as(UNIQUE)
        .bind(&target.table.table)
        .fetch_all(connection)
        .await
        .map_err(|error| fault(&format!("reading the indexes of {}", target.name), error))?;
    Ok((existing, unique(&indexed)))
}

/// The indexes of which each part is a whole column.
fn unique(indexed: &[(String, Option<String>, bool)]) -> Vec<BTreeSet<String>> {
    let names: BTreeSet<&str> = indexed.iter().map(|(index, ..)| index.as_str()).collect();
    let columns = |name: &str| {
        let parts = indexed.iter().filter(|(index, ..)| index == name);
        parts.map(|(_, column, whole)| column.clone().filter(|_| *whole)).collect::<Option<BTreeSet<String>>>()
    };
    names.into_iter().filter_map(columns).collect()
}

async fn check_engine(connection: &mut MySqlConnection, target: &Target) -> Result<()> {
    let engine: Option<(Option<String>, String)> = sqlx::query_as(ENGINE)
        .bind(&target.table.table)
        .fetch_optional(connection)
        .await
        .map_err(|error| fault(&format!("reading the engine of {}", target.name), error))?;
    match engine {
        Some((Some(engine), transactions)) if transactions != "YES" => Err(without_transactions(target, &engine)),
        Some((None, _)) => Err(unfit(format!("{} is a view: name a table", target.name))),
        _ => Ok(()),
    }
}

fn without_transactions(target: &Target, engine: &str) -> Fault {
    let table = &target.name;
    unfit(format!("table {table} is of the engine {engine}, which has no transactions: ALTER TABLE {table} ENGINE=InnoDB"))
}

pub(super) fn loaded(kind: Kind, column: &Existing<ColumnType>) -> Option<Loaded> {
    let (form, limit) = fit(kind, column.declared.declared())?;
    let null = if column.required { " NOT NULL" } else { "" };
    let declaration = format!("{}{null}", column.declared.in_full());
    Some(Loaded { name: column.name.clone(), form, limit, required: column.required, declaration })
}

/// Makes a table that is missing, without troubling the user's rights when it is not.
pub(super) async fn ensure(connection: &mut MySqlConnection, table: &str, definition: &str) -> Result<()> {
    if has_table(connection, table).await? {
        return Ok(());
    }
    let made = sqlx::raw_sql(AssertSqlSafe(definition)).execute(connection).await;
    made.map(drop).map_err(|error| fault(&format!("making table {}", Quotes::Back.name(table)), error))
}

/// Another session has added the column.
const COLUMN_IS_THERE: u16 = 1060;

/// Runs a statement that changes columns of the table of that quoted name. `false` says that another session was quicker with some of it, and that
/// nothing was done: what it has not done is still to be done.
pub(super) async fn change_columns(connection: &mut MySqlConnection, table: &str, sql: &str) -> Result<bool> {
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
        Err(error) if number(&error) == Some(COLUMN_IS_THERE) => Ok(false),
        done => done.map(|_| true).map_err(|error| fault(&format!("changing the columns of {table}"), error)),
    }
}

/// Whether there is such a table.
pub(super) async fn has_table(connection: &mut MySqlConnection, table: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?)";
    let found = sqlx::query_scalar(sql).bind(table).fetch_one(connection).await;
    found.map_err(|error| fault(&format!("looking for table {}", Quotes::Back.name(table)), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_on_a_part_of_a_column_tells_no_rows_apart() {
        let part = |index: &str, column: Option<&str>, whole| (index.to_owned(), column.map(str::to_owned), whole);
        let indexed = [
            part("PRIMARY", Some("a"), true),
            part("PRIMARY", Some("b"), true),
            part("short", Some("c"), false),
            part("computed", None, true),
        ];
        assert_eq!(unique(&indexed), [BTreeSet::from(["a".to_owned(), "b".to_owned()])]);
    }
}
