//! Which query is read, and how.

use std::time::Duration;

use millrace_model::{Code, Fault, Position, Result, Schema};
use millrace_runtime::formats::RowReader;
use millrace_runtime::project::{Key, Millis, suggest};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::database;
use super::source::QuerySource;
use crate::config::Connections;
use crate::sources::Split;

/// The rows of a SQL query on a database. Its columns are the fields of the topic's schema, by name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Query")]
pub struct Config {
    /// The name of a connection under `connections:`, to PostgreSQL, MySQL, MariaDB or SQLite.
    pub connection: String,
    /// One statement that reads, without ORDER BY and LIMIT: it is put into another one that asks for what comes after the last row.
    pub sql: String,
    /// The column, or columns, that rows are read in the order of and that reading goes on from, such as `id` or `[updated_at, id]`.
    /// They are never null, and no two rows have the same values in all of them: a time alone does not tell rows apart.
    pub cursor: Key,
    /// What is read after the last row.
    #[serde(default)]
    pub mode: Mode,
    /// How long to wait after the last row before the query is asked again.
    #[serde(default = "interval")]
    pub interval: Millis,
    /// For `mode: incremental`, how long a row waits that another one could still come before, because its transaction began
    /// earlier and commits later: as long as the longest transaction that writes these rows. A row is read when it, or one after it,
    /// has been seen for so long. `0s` reads rows at once, and misses those that are committed late.
    #[serde(default = "delay")]
    pub delay: Millis,
    /// How many rows at most are one transaction in Kafka.
    #[serde(default = "batch")]
    #[schemars(range(min = 1, max = 100_000))]
    pub batch: usize,
}

/// What is read after the last row of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "QueryMode")]
pub enum Mode {
    /// The rows that come after it by the cursor: new ones, and with a column of the last change those that were changed.
    #[default]
    Incremental,
    /// Nothing: the query is read once, from its first row to its last.
    Once,
    /// The query from its first row again, after the `interval`.
    Full,
}

const fn interval() -> Millis {
    Millis::new(30_000)
}

const fn delay() -> Millis {
    Millis::new(5_000)
}

const fn batch() -> usize {
    5_000
}

/// How often a query's splits are listed: they stay as they are, but an instance may come to have them.
pub(crate) const LISTING: Duration = Duration::from_secs(5);
/// The name of a query's split: it has one.
const SPLIT: &str = "query";

impl Config {
    /// Whether the query can bring records of `schema`, as far as can be said without I/O: its columns are known to the database only.
    pub fn check(&self, schema: &Schema, connections: &Connections) -> Result<()> {
        self.database(connections)?;
        if self.statement().is_empty() {
            return Err(Fault::operator(Code::ProjectSyntax, "`sql` is empty"));
        }
        if !(1..=100_000).contains(&self.batch) {
            return Err(Fault::operator(Code::ProjectSyntax, "`batch` must be from 1 to 100000"));
        }
        RowReader::check(schema)?;
        self.check_cursor(schema)
    }

    fn check_cursor(&self, schema: &Schema) -> Result<()> {
        let columns = self.cursor.columns();
        let mut orders = Vec::with_capacity(columns.len());
        for (number, column) in columns.iter().enumerate() {
            if columns[..number].contains(column) {
                return Err(unfit(format!("the cursor has the column `{column}` twice")));
            }
            orders.push(ordering(schema, column)?);
        }
        match (orders.last(), columns.last()) {
            (Some(Ordering::Time), Some(last)) => Err(unfit(format!(
                "rows that have the same `{last}` can't be told apart: name a unique column after it, such as the table's key: `cursor: [{}, id]`",
                columns.join(", ")
            ))),
            _ => Ok(()),
        }
    }

    /// The statement without what would end it.
    pub(super) fn statement(&self) -> &str {
        self.sql.trim().trim_end_matches(';').trim_end()
    }

    /// The splits there are: one.
    pub fn splits(&self) -> Vec<Split> {
        vec![Split { name: SPLIT.to_owned(), version: None, bytes: None }]
    }

    /// Opens the query at `position`, or at its first row. Asks the database what the query's columns are; where they do not fit the
    /// schema, the fault says which.
    pub async fn open(&self, split: &str, schema: &Schema, position: Option<&Position>, connections: &Connections) -> Result<QuerySource> {
        let database = self.database(connections)?;
        QuerySource::open(self, split, schema, position, database).await
    }

    fn database(&self, connections: &Connections) -> Result<database::Shared> {
        let name = &self.connection;
        let connection = connections.get(name).ok_or_else(|| {
            let help = suggest::help(name, "connections", connections.keys().map(String::as_str));
            let help = help.unwrap_or_else(|| format!("declare it under `connections:`, as `{name}:`"));
            Fault::operator(Code::ProjectFlow, format!("there is no connection `{name}`; {help}"))
        })?;
        database::of(connection).ok_or_else(|| {
            let message =
                format!("the connection `{name}` can be loaded and not be read; name one to PostgreSQL, MySQL, MariaDB or SQLite");
            Fault::operator(Code::ProjectFlow, message)
        })
    }
}

/// What a cursor's column is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ordering {
    /// Rows may share a value.
    Time,
    /// A value may be one row's alone.
    Unique,
}

fn ordering(schema: &Schema, column: &str) -> Result<Ordering> {
    let Some(field) = schema.field(column) else {
        let known = schema.fields().iter().filter_map(|field| field["name"].as_str());
        let help = suggest::help(column, "columns", known).map(|help| format!("; {help}")).unwrap_or_default();
        return Err(unfit(format!("the topic's schema has no column `{column}`, which the cursor names{help}")));
    };
    let avro = &field["type"];
    match (avro, avro["logicalType"].as_str(), avro["type"].as_str().or(avro.as_str())) {
        (Value::Array(_), ..) => {
            Err(unfit(format!("the schema lets `{column}` be null, which the cursor can't be: make its type one without null")))
        }
        (_, Some(logical), _) if logical.contains("timestamp") || logical == "date" => Ok(Ordering::Time),
        (_, Some("decimal" | "uuid"), _) | (_, None, Some("int" | "long" | "string")) => Ok(Ordering::Unique),
        _ => Err(unfit(format!("`{column}` can't be a cursor: that takes a whole number, a decimal, text, a uuid, a date or a timestamp"))),
    }
}

/// That a cursor does not order the rows.
pub(super) fn unfit(message: String) -> Fault {
    Fault::operator(Code::CursorUnfit, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Connection;
    use millrace_runtime::codec;
    use serde_json::{from_str, from_value, json};

    fn connections() -> Connections {
        // As text: `type` must come first, and the order of a JSON value's keys is not kept.
        let shop: Connection = from_str(r#"{ "type": "sqlite", "path": "shop.db" }"#).expect("a connection");
        Connections::from([("shop".to_owned(), shop)])
    }

    fn refusal(settings: &Value) -> String {
        let mut config = json!({ "connection": "shop", "sql": "SELECT * FROM orders", "cursor": "id" });
        config.as_object_mut().expect("an object").extend(settings.as_object().cloned().unwrap_or_default());
        let config: Config = from_value(config).expect("reads");
        let fields = json!([
            { "name": "id", "type": "long" },
            { "name": "updated_at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
            { "name": "seen_at", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] },
            { "name": "weight", "type": "double" },
        ]);
        let schema = codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema");
        config.check(&schema, &connections()).err().map(|fault| fault.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_cursor_is_what_orders_rows_and_tells_them_apart() {
        assert_eq!(refusal(&json!({ "cursor": "id" })), "");
        assert_eq!(refusal(&json!({ "cursor": ["updated_at", "id"] })), "");
        assert!(refusal(&json!({ "cursor": "updated_at" })).contains("`cursor: [updated_at, id]`"));
        assert!(refusal(&json!({ "cursor": ["seen_at", "id"] })).contains("lets `seen_at` be null"));
        assert!(refusal(&json!({ "cursor": "weight" })).contains("can't be a cursor"));
        assert!(refusal(&json!({ "cursor": ["id", "id"] })).contains("twice"));
        assert!(refusal(&json!({ "cursor": "ide" })).contains("no column `ide`"));
    }

    #[test]
    fn a_connection_that_is_not_there_is_named() {
        let message = refusal(&json!({ "connection": "shpo" }));
        assert!(message.starts_with("there is no connection `shpo`") && message.contains("shop"), "{message}");
    }

    #[test]
    fn a_statement_is_not_empty() {
        assert_eq!(refusal(&json!({ "sql": " ; " })), "`sql` is empty");
    }
}
