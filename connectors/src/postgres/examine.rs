//! What the database has of what a pipeline needs, and the making of what it lacks.

use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::connect::{Access, connect};
use super::fault::fault;
use super::partitions::of_hash;
use super::positions::Positions;
use super::target::{LOCK, misfits};
use crate::table::{Definition, Examined, Target, quoted};
use crate::table_config::Mode;

/// What a user has to be able to do with the table of positions.
const TO_POSITIONS: &[&str] = &["SELECT", "INSERT", "UPDATE"];

/// Compares the database with what the pipeline needs. Changes nothing.
pub(super) async fn examine(config: &Config, target: &Target) -> Result<Examined> {
    let mut catalogue =
        Looker { connection: connect(config, &target.table.pipeline, Access::Write).await?, doing: format!("looking at {}", target.name) };
    let positions = Positions::of(config, &target.table.pipeline);
    let mut examined = Examined { table: target.name.clone(), ..Examined::default() };
    let schema = quoted(&config.schema);
    let has_schema = catalogue.says("SELECT to_regnamespace($1) IS NOT NULL", &schema).await?;
    if !has_schema {
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        examined.missing.push(Definition { kind: "schema", name: schema.clone(), sql });
    }
    let rights = to_table(target.table.mode);
    for (name, sql, rights) in [
        (positions.table(), positions.definition(), TO_POSITIONS),
        (&target.name, target.definition()? + &of_hash(target, &config.schema), rights),
    ] {
        if catalogue.says("SELECT to_regclass($1) IS NOT NULL", name).await? {
            examined.denied.extend(catalogue.denied(name, rights).await?);
            if name == positions.table() && positions.lacks_ids(&mut catalogue.connection).await? {
                examined.missing.push(Definition { kind: "column", name: format!("{name}.topic_id"), sql: positions.add_ids() });
            }
        } else {
            examined.missing.push(Definition { kind: "table", name: name.to_owned(), sql });
        }
    }
    examined.denied.extend(catalogue.denied_to_make(&examined, has_schema.then_some(&*schema), target.table.mode).await?);
    if examined.missing.iter().all(|definition| definition.name != target.name) {
        examined.misfits = misfits(&mut catalogue.connection, target).await?;
    }
    Ok(examined)
}

/// What a user has to be able to do with the table.
fn to_table(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Append => &["INSERT"],
        Mode::InsertIgnore => &["INSERT", "SELECT"],
        Mode::Replace => &["INSERT", "DELETE", "SELECT"],
        Mode::Upsert | Mode::Mirror => &["INSERT", "UPDATE", "DELETE", "SELECT"],
    }
}

/// Asks the catalogue.
struct Looker {
    connection: PgConnection,
    doing: String,
}

impl Looker {
    async fn says(&mut self, sql: &'static str, name: &str) -> Result<bool> {
        let answer = sqlx::query_scalar(sql).bind(name).fetch_one(&mut self.connection).await;
        answer.map_err(|error| fault(&self.doing, error))
    }

    /// Those of the rights that the user has not.
    async fn denied(&mut self, table: &str, rights: &[&str]) -> Result<Vec<String>> {
        let sql = "SELECT p || ' ON ' || $1 FROM unnest($2::text[]) p WHERE NOT has_table_privilege(to_regclass($1), p)";
        let denied = sqlx::query_scalar(sql).bind(table).bind(rights).fetch_all(&mut self.connection).await;
        denied.map_err(|error| fault(&self.doing, error))
    }

    /// Those of the rights to make what is missing, and what a load makes for itself, that the user has not.
    async fn denied_to_make(&mut self, examined: &Examined, schema: Option<&str>, mode: Mode) -> Result<Vec<String>> {
        let mut denied = Vec::new();
        match schema {
            Some(schema) => {
                let rights: &[&str] = if examined.missing.is_empty() { &["USAGE"] } else { &["USAGE", "CREATE"] };
                denied.extend(self.denied_in_schema(schema, rights).await?);
            }
            None => denied.extend(self.denied_in_database("CREATE").await?),
        }
        if mode.is_keyed() {
            denied.extend(self.denied_in_database("TEMPORARY").await?);
        }
        Ok(denied)
    }

    async fn denied_in_schema(&mut self, schema: &str, rights: &[&str]) -> Result<Vec<String>> {
        let sql = "SELECT p || ' ON SCHEMA ' || $1 FROM unnest($2::text[]) p WHERE NOT has_schema_privilege(to_regnamespace($1)::oid, p)";
        let denied = sqlx::query_scalar(sql).bind(schema).bind(rights).fetch_all(&mut self.connection).await;
        denied.map_err(|error| fault(&self.doing, error))
    }

    async fn denied_in_database(&mut self, right: &str) -> Result<Option<String>> {
        let sql =
            "SELECT $1 || ' ON DATABASE ' || quote_ident(current_database()) WHERE NOT has_database_privilege(current_database(), $1)";
        let denied = sqlx::query_scalar(sql).bind(right).fetch_optional(&mut self.connection).await;
        denied.map_err(|error| fault(&self.doing, error))
    }
}

/// Runs definitions, all or none. What loaders do at the same time waits, and finds them made.
pub(super) async fn define(config: &Config, statements: &[String]) -> Result<()> {
    let mut connection = connect(config, "apply", Access::Write).await?;
    let sql = format!("BEGIN; {LOCK}; {}; COMMIT", statements.join("; "));
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
    done.map(drop).map_err(|error| fault("changing tables", error))
}

/// Drops a table with its rows.
pub(super) async fn drop_table(config: &Config, table: &str) -> Result<()> {
    define(config, &[format!("DROP TABLE {}", config.qualified(table))]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_needs_to_insert_only() {
        assert_eq!(to_table(Mode::Append), ["INSERT"]);
        assert!(to_table(Mode::Upsert).contains(&"DELETE"), "a tombstone deletes");
    }
}
