//! What a pipeline lacks in its target: the same of every database.

use millrace_connectors::{Connection, Definition, MisfitKind};

use crate::places::{Postgres, Sqlite, orders, upsert};

/// What is missing is made by its own definitions, and then nothing is.
async fn an_empty_target_lacks_all_and_has_it_once_it_is_made(connection: &Connection, kinds: &[&str]) {
    let examined = connection.examine(&upsert(), &orders()).await.expect("is examined");
    assert_eq!(examined.missing.iter().map(|one| one.kind).collect::<Vec<_>>(), kinds);
    assert!(examined.misfits.is_empty() && examined.denied.is_empty(), "{examined:?}");
    let statements: Vec<String> = examined.missing.into_iter().map(|Definition { sql, .. }| sql).collect();
    connection.define(&statements).await.expect("is made");
    let again = connection.examine(&upsert(), &orders()).await.expect("is examined");
    assert!(again.missing.is_empty() && again.misfits.is_empty() && again.denied.is_empty(), "{again:?}");
    connection.open(&upsert(), &orders()).await.expect("a load finds what it needs");
}

/// All that is wrong is told at once, and what can be mended is by its own statements.
async fn a_table_that_does_not_fit_says_everything(connection: &Connection) {
    let examined = connection.examine(&upsert(), &orders()).await.expect("is examined");
    assert!(examined.missing.is_empty(), "{examined:?}");
    let told: Vec<&str> = examined
        .misfits
        .iter()
        .map(|misfit| match &misfit.kind {
            MisfitKind::Missing { column, .. } | MisfitKind::Type { column, .. } | MisfitKind::Unfilled { column } => column.as_str(),
            MisfitKind::Keys { .. } => "keys",
            MisfitKind::Generated { .. } => "generated",
        })
        .collect();
    assert_eq!(told, ["keys", "batch", "customer", "price"], "{examined:?}");
    let mending: Vec<String> = examined.misfits.iter().filter_map(millrace_connectors::Misfit::mending).collect();
    connection.define(&mending).await.expect("is mended");
    let again = connection.examine(&upsert(), &orders()).await.expect("is examined");
    assert_eq!(again.misfits.len(), 2, "only what no statement mends is left: {again:?}");
}

/// A statement that fails takes those before it with it.
async fn definitions_are_all_made_or_none(connection: &Connection, table: &str) {
    let statements = [format!("CREATE TABLE {table} (a integer)"), "CREATE TABLE nothing (".to_owned()];
    connection.define(&statements).await.expect_err("the second is no SQL");
    connection.define(&statements[..1]).await.expect("the first was not made");
}

const WRONG: &str = "CREATE TABLE {orders} (id bigint NOT NULL, batch integer NOT NULL, price text)";

#[tokio::test]
async fn a_sqlite_file_that_does_not_exist_lacks_all_and_is_not_made_by_a_look() {
    let place = Sqlite::new();
    place.connection().examine(&upsert(), &orders()).await.expect("is examined");
    assert!(!place.file().exists());
    an_empty_target_lacks_all_and_has_it_once_it_is_made(&place.connection(), &["table", "table"]).await;
    definitions_are_all_made_or_none(&place.connection(), "more").await;
}

#[tokio::test]
async fn a_sqlite_table_that_does_not_fit_says_everything() {
    let place = Sqlite::new();
    place.connection().open(&millrace_connectors::TableConfig { table: "other".into(), ..upsert() }, &orders()).await.expect("opens");
    place.execute(&WRONG.replace("{orders}", "orders").replace("price text", "price real")).await;
    a_table_that_does_not_fit_says_everything(&place.connection()).await;
    place.connection().drop_table("orders").await.expect("is dropped");
    assert_eq!(place.connection().examine(&upsert(), &orders()).await.expect("is examined").missing.len(), 1);
}

#[tokio::test]
async fn an_empty_postgresql_lacks_schema_and_tables() {
    let place = Postgres::new("empty").await;
    an_empty_target_lacks_all_and_has_it_once_it_is_made(&place.connection(), &["schema", "table", "table"]).await;
    definitions_are_all_made_or_none(&place.connection(), &format!("\"{}\".more", place.schema)).await;
}

#[tokio::test]
async fn a_postgresql_table_that_does_not_fit_says_everything() {
    let place = Postgres::new("misfit").await;
    place.execute(&format!("CREATE SCHEMA \"{}\"", place.schema)).await;
    place.connection().open(&millrace_connectors::TableConfig { table: "other".into(), ..upsert() }, &orders()).await.expect("opens");
    place.execute(&WRONG.replace("{orders}", &format!("\"{}\".orders", place.schema))).await;
    a_table_that_does_not_fit_says_everything(&place.connection()).await;
    place.connection().drop_table("orders").await.expect("is dropped");
    assert_eq!(place.connection().examine(&upsert(), &orders()).await.expect("is examined").missing.len(), 1);
}

#[tokio::test]
async fn a_right_that_a_postgresql_user_lacks_is_named() {
    let place = Postgres::new("rights").await;
    let schema = &place.schema;
    place
        .execute(&format!(
            "DROP ROLE IF EXISTS catalogue_reader; CREATE ROLE catalogue_reader LOGIN PASSWORD 'x'; CREATE SCHEMA \"{schema}\"; \
             GRANT USAGE ON SCHEMA \"{schema}\" TO catalogue_reader; \
             CREATE TABLE \"{schema}\".orders (id bigint PRIMARY KEY, customer text, price numeric(10,2)); \
             GRANT SELECT, INSERT ON \"{schema}\".orders TO catalogue_reader"
        ))
        .await;
    let config = place.config();
    let reader = millrace_connectors::postgres::Config {
        user: "catalogue_reader".into(),
        password: Some(millrace_runtime::project::Secret::new("x")),
        ..config
    };
    let examined = reader.examine(&upsert(), &orders()).await.expect("is examined");
    place.execute(&format!("DROP SCHEMA \"{schema}\" CASCADE; DROP ROLE catalogue_reader")).await;
    let table = format!("\"{schema}\".\"orders\"");
    assert_eq!(
        examined.denied,
        [format!("UPDATE ON {table}"), format!("DELETE ON {table}"), format!("CREATE ON SCHEMA \"{schema}\"")],
        "the table of positions would have to be made"
    );
}
