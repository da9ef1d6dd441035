//! Declarative partitions of the target: <https://www.postgresql.org/docs/current/ddl-partitioning.html>.
//!
//! Those of a range or a list are made when the first row comes that needs them, in that row's transaction, before any row of it goes
//! into the target. A partition is made beside the table and then attached, which keeps neither readers nor other writers waiting.

use std::hash::Hasher;

use fnv::FnvHasher;
use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::fault::fault;
use super::stage::{DELETED, STAGE};
use crate::table::{Kind, Target, literal, method, quoted, unfit};
use crate::table_config::{PartitionBy, Partitioning};

/// How many bytes of a name PostgreSQL keeps.
const NAME: usize = 63;
const SAVEPOINT: &str = "SAVEPOINT millrace_partition";

/// The statements of a partitioned target.
#[derive(Debug, Clone)]
pub(super) struct Partitions {
    table: String,
    /// The table's name without its schema, and the schema; neither is quoted.
    name: String,
    schema: String,
    /// What the rows of the stage need: for each partition a label and its bounds. None where all of them are made with the table.
    needed: Option<String>,
}

/// A partition that rows need.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Needed {
    label: String,
    /// The least value in it, or the only one.
    lower: String,
    /// Where the next one begins; none in a list.
    upper: Option<String>,
}

impl Partitions {
    /// Those of a target that is to have some.
    pub(super) fn of(target: &Target, schema: &str) -> Option<Self> {
        let by = target.table.partition_by.as_ref()?;
        let (table, name) = (target.name.clone(), target.table.table.clone());
        Some(Self { table, name, schema: schema.to_owned(), needed: needed(target, by) })
    }

    /// Makes the partitions that the stage's rows need and the target lacks.
    pub(super) async fn make(&self, connection: &mut PgConnection) -> Result<()> {
        let Some(sql) = &self.needed else { return Ok(()) };
        let failed = |error| fault(&format!("looking for partitions of {}", self.table), error);
        let rows: Vec<(String, String, Option<String>)> =
            sqlx::query_as(AssertSqlSafe(sql.as_str())).fetch_all(&mut *connection).await.map_err(failed)?;
        let needed: Vec<Needed> = rows.into_iter().map(|(label, lower, upper)| Needed { label, lower, upper }).collect();
        for needed in &needed {
            let name = partition_name(&self.name, &needed.label, needed.upper.is_none());
            if !self.exists(connection, &name).await? {
                self.attach(connection, needed, &name).await?;
            }
        }
        Ok(())
    }

    async fn exists(&self, connection: &mut PgConnection, name: &str) -> Result<bool> {
        // Names are looked up in the tables of the catalogue, not by `to_regclass`: within a transaction that one may not see what others
        // have made since.
        let sql = "SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE i.inhparent = to_regclass($1) AND n.nspname = $2 AND c.relname = $3)";
        let exists = sqlx::query_scalar(sql).bind(&self.table).bind(&self.schema).bind(name).fetch_one(connection).await;
        exists.map_err(|error| fault(&format!("looking for the partition {name}"), error))
    }

    /// Another loader may make the same one: the lock, which lasts to the end of the transaction, lets one of them do it.
    async fn attach(&self, connection: &mut PgConnection, needed: &Needed, name: &str) -> Result<()> {
        self.run(connection, "SELECT pg_advisory_xact_lock(hashtextextended('millrace partition', 0))").await?;
        if self.exists(connection, name).await? {
            return Ok(());
        }
        let (table, name) = (&self.table, format!("{}.{}", quoted(&self.schema), quoted(name)));
        let like = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE";
        let bounds = bounds(needed);
        let attach = format!(
            "{SAVEPOINT}; CREATE TABLE IF NOT EXISTS {name} (LIKE {table} {like}); ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}; \
             RELEASE {SAVEPOINT}"
        );
        match sqlx::raw_sql(AssertSqlSafe(attach)).execute(&mut *connection).await {
            Ok(_) => Ok(()),
            // One that someone else has made takes these rows, or a default one has some already: they find their place.
            Err(error) if is_taken(&error) => {
                self.run(connection, "ROLLBACK TO SAVEPOINT millrace_partition; RELEASE SAVEPOINT millrace_partition").await
            }
            Err(error) => Err(fault(&format!("making the partition {name} of {table}"), error)),
        }
    }

    async fn run(&self, connection: &mut PgConnection, sql: &'static str) -> Result<()> {
        let done = sqlx::raw_sql(sql).execute(connection).await;
        done.map(drop).map_err(|error| fault(&format!("making a partition of {}", self.table), error))
    }
}

/// The name of a partition: the table's and the label. Labels of a list are any text, and a long name is cut: a hash tells those apart that
/// look alike.
fn partition_name(table: &str, label: &str, is_list: bool) -> String {
    let mut readable: String =
        label.chars().map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_lowercase() } else { '_' }).take(20).collect();
    if is_list || table.len() + 1 + readable.len() > NAME {
        let mut hash = FnvHasher::default();
        hash.write(table.as_bytes());
        hash.write(label.as_bytes());
        readable = format!("{readable}_{:08x}", hash.finish() as u32);
    }
    let room = NAME - 1 - readable.len();
    let end = table.char_indices().map(|(at, one)| at + one.len_utf8()).take_while(|end| *end <= room).last().unwrap_or_default();
    format!("{}_{readable}", &table[..end])
}

fn bounds(needed: &Needed) -> String {
    match &needed.upper {
        Some(upper) => format!("FROM ({}) TO ({})", literal(&needed.lower), literal(upper)),
        None => format!("IN ({})", literal(&needed.lower)),
    }
}

/// Whether the server says that the rows' range has a partition already.
fn is_taken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("42P17" | "23514")),
        _ => false,
    }
}

/// What the rows of the stage need. Times of a zone are cut in UTC.
fn needed(target: &Target, by: &PartitionBy) -> Option<String> {
    let column = quoted(&by.column);
    let field = target.schema.arrow().field_with_name(&by.column).ok()?;
    let (unit, label) = match by.by {
        Partitioning::Day => ("day", "YYYY_MM_DD"),
        Partitioning::Month => ("month", "YYYY_MM"),
        Partitioning::Year => ("year", "YYYY"),
        Partitioning::List => {
            return Some(format!(
                "SELECT DISTINCT {column}::text AS label, {column}::text AS lower, NULL::text AS upper FROM {STAGE} \
                 WHERE NOT {DELETED} AND {column} IS NOT NULL"
            ));
        }
        Partitioning::Hash => return None,
    };
    let (zoned, bound): (String, fn(&str) -> String) = match Kind::of(field)? {
        Kind::Timestamp { utc: true, .. } => {
            (format!("{column} AT TIME ZONE 'UTC'"), |time| format!("(({time}) AT TIME ZONE 'UTC')::text"))
        }
        _ => (column.clone(), |time| format!("({time})::text")),
    };
    Some(format!(
        "SELECT to_char(lower, '{label}') AS label, {} AS lower, {} AS upper FROM (SELECT DISTINCT date_trunc('{unit}', ({zoned})::timestamp) AS lower \
         FROM {STAGE} WHERE NOT {DELETED} AND {column} IS NOT NULL) s",
        bound("lower"),
        bound(&format!("lower + interval '1 {unit}'"))
    ))
}

/// The statements that make all partitions of a table by hash, after the one that makes the table.
pub(super) fn of_hash(target: &Target, schema: &str) -> String {
    let Some(by) = target.table.partition_by.as_ref().filter(|by| by.by == Partitioning::Hash) else { return String::new() };
    let name = |number| format!("{}.{}", quoted(schema), quoted(&partition_name(&target.table.table, &format!("p{number}"), false)));
    let make = |number| {
        let (name, table, count) = (name(number), &target.name, by.count());
        format!("; CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES WITH (MODULUS {count}, REMAINDER {number})")
    };
    (0..by.count()).map(make).collect()
}

/// Makes sure that a table which is to be partitioned is, and by that column.
pub(super) async fn compare(connection: &mut PgConnection, target: &Target) -> Result<()> {
    let Some(by) = &target.table.partition_by else { return Ok(()) };
    let sql = "SELECT p.partstrat::text, a.attname::text FROM pg_partitioned_table p \
         JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] WHERE p.partrelid = to_regclass($1) AND p.partnatts = 1";
    let found: Option<(String, String)> = sqlx::query_as(sql)
        .bind(&target.name)
        .fetch_optional(connection)
        .await
        .map_err(|error| fault(&format!("reading the partitions of {}", target.name), error))?;
    let (table, column, wanted) = (&target.name, &by.column, method(by.by));
    match found {
        Some((method, found)) if found == *column && wanted.to_ascii_lowercase().starts_with(&method) => Ok(()),
        _ => {
            Err(unfit(format!("table {table} exists and is not partitioned by {wanted} ({column}): make it anew, or mend `partition_by`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_partitions_fit_and_differ() {
        assert_eq!(partition_name("orders", "2026_11", false), "orders_2026_11");
        let (long, other) = (partition_name(&"ö".repeat(40), "A b/c", true), partition_name(&"ö".repeat(40), "a-b.c", true));
        assert!(long.len() <= NAME && other.len() <= NAME && long != other, "{long} {other}");
        assert!(long.contains("_a_b_c_"), "{long}");
    }

    #[test]
    fn a_value_of_a_list_stays_inside_its_quotes() {
        let needed = Needed { label: "x".into(), lower: "it's".into(), upper: None };
        assert_eq!(bounds(&needed), "IN ('it''s')");
    }
}
