//! What only the source of a query must do.

use millrace_connectors::SourceConfig;
use millrace_model::{Code, Fault, Position, Retry, Schema, Source};
use millrace_runtime::codec;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection as _};

use crate::places::{Database, Mysql, Postgres, Sqlite, source};
use crate::rows::{assert_nothing, fault, orders, pull, seen, take};

/// `id`, and when it was changed.
fn changes() -> Schema {
    let time = json!({ "type": "long", "logicalType": "local-timestamp-micros" });
    let fields = json!([{ "name": "id", "type": "long" }, { "name": "changed", "type": time }]);
    codec::schema(json!({ "type": "record", "name": "Change", "fields": fields })).expect("a schema")
}

fn query(more: &Value) -> SourceConfig {
    let mut settings = json!({ "connection": "shop", "sql": "SELECT id, changed FROM changes", "cursor": ["changed", "id"], "batch": 3, "interval": "10ms", "delay": "0s" });
    settings.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    source(&settings, "query")
}

async fn open(database: &dyn Database, more: &Value, position: Option<&Position>) -> Result<Box<dyn Source>, Fault> {
    query(more).open("query", &changes(), position, &database.connections()).await
}

async fn opened(database: &dyn Database, more: &Value, position: Option<&Position>) -> Box<dyn Source> {
    open(database, more, position).await.expect("opens")
}

async fn refusal(database: &dyn Database, more: &Value) -> Fault {
    match open(database, more, None).await {
        Ok(_) => panic!("can't be opened"),
        Err(fault) => fault,
    }
}

/// One of each database, with a table of changes that is empty.
async fn databases(test: &str) -> Vec<Box<dyn Database>> {
    let databases: Vec<Box<dyn Database>> =
        vec![Box::new(Sqlite::new()), Box::new(Postgres::new(test).await), Box::new(Mysql::new(test).await)];
    for (database, time) in databases.iter().zip(["DATETIME", "timestamp", "datetime(6)"]) {
        database.execute(&format!("CREATE TABLE changes (id bigint, changed {time})")).await;
    }
    databases
}

/// Rows of one time each, `seconds` after noon.
async fn change(database: &dyn Database, rows: &[(i64, u32)]) {
    let rows: Vec<String> = rows.iter().map(|(id, seconds)| format!("({id}, '2013-01-31 12:00:{seconds:02}.250000')")).collect();
    database.execute(&format!("INSERT INTO changes VALUES {}", rows.join(", "))).await;
}

#[tokio::test]
async fn rows_of_one_time_are_told_apart_wherever_a_batch_ends() {
    for database in databases("ties").await {
        change(&*database, &[(5, 1), (3, 1), (4, 1), (1, 1), (2, 1), (9, 2), (8, 2), (0, 0)]).await;
        let expected = orders([0, 1, 2, 3, 4, 5, 8, 9]);
        let mut source = opened(&*database, &json!({}), None).await;
        let (all, positions) = take(source.as_mut(), 8).await;
        assert_eq!(all, expected);
        for (count, position) in positions {
            let mut source = opened(&*database, &json!({}), Some(&position)).await;
            assert_eq!(take(source.as_mut(), 8 - count).await.0, expected[count..]);
        }
        change(&*database, &[(10, 2), (7, 3), (11, 2)]).await;
        assert_eq!(take(source.as_mut(), 3).await.0, orders([10, 11, 7]));
    }
}

#[tokio::test]
async fn rows_without_a_cursor_are_rejected_once() {
    for database in databases("nulls").await {
        change(&*database, &[(1, 1), (2, 2)]).await;
        database.execute("INSERT INTO changes VALUES (7, NULL), (8, NULL)").await;
        let mut source = opened(&*database, &json!({}), None).await;
        let pulled = pull(source.as_mut()).await;
        assert_eq!((pulled.batch.len(), pulled.rejected.len()), (0, 2));
        assert!(pulled.rejected[0].reason().contains("changed: expected local timestamp"), "{}", pulled.rejected[0].reason());
        assert_eq!(take(source.as_mut(), 2).await.0, orders([1, 2]));
        let mut again = opened(&*database, &json!({}), Some(&pulled.position)).await;
        assert_eq!(take(again.as_mut(), 2).await.0, orders([1, 2]), "they are behind the position");
        assert_nothing(again.as_mut()).await;
    }
}

#[tokio::test]
async fn rows_with_one_cursor_are_an_operators_matter() {
    for database in databases("twins").await {
        change(&*database, &[(1, 1), (1, 1)]).await;
        let mut source = opened(&*database, &json!({}), None).await;
        let (fault, pulled) = fault(source.as_mut()).await;
        assert!(pulled.iter().all(|pulled| seen(pulled).is_empty()));
        assert_eq!((fault.code(), fault.retry()), (Code::CursorUnfit, Retry::Operator), "{fault}");
        assert!(fault.message().contains("[changed, id]"), "{fault}");
    }
}

#[tokio::test]
async fn a_query_that_is_read_once_stays_read() {
    for database in databases("once").await {
        change(&*database, &[(1, 1), (2, 2), (3, 3), (4, 4)]).await;
        let once = json!({ "mode": "once" });
        let mut source = opened(&*database, &once, None).await;
        let (_, positions) = take(source.as_mut(), 4).await;
        let end = pull(source.as_mut()).await;
        assert!(seen(&end).is_empty());
        change(&*database, &[(5, 5)]).await;
        assert_nothing(source.as_mut()).await;
        assert_nothing(opened(&*database, &once, Some(&end.position)).await.as_mut()).await;
        let mut resumed = opened(&*database, &once, Some(&positions[0].1)).await;
        assert_eq!(take(resumed.as_mut(), 2).await.0, orders([4, 5]), "one that was interrupted goes on");
    }
}

#[tokio::test]
async fn a_query_that_is_read_in_full_begins_again_after_its_interval() {
    for database in databases("full").await {
        change(&*database, &[(1, 1), (2, 2), (3, 3), (4, 4)]).await;
        let mut source = opened(&*database, &json!({ "mode": "full", "interval": "50ms" }), None).await;
        assert_eq!(take(source.as_mut(), 4).await.0, orders([1, 2, 3, 4]));
        assert_eq!(take(source.as_mut(), 4).await.0, orders([1, 2, 3, 4]));
        let mut slow = opened(&*database, &json!({ "mode": "full", "interval": "1h" }), None).await;
        take(slow.as_mut(), 4).await;
        let end = pull(slow.as_mut()).await.position;
        assert_nothing(opened(&*database, &json!({ "mode": "full", "interval": "1h" }), Some(&end)).await.as_mut()).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_halts_with_what_to_change() {
    for database in databases("unfit").await {
        let message = async |more: Value| refusal(&*database, &more).await;
        let fault = message(json!({ "sql": "SELECT id, changed, 1 AS extra FROM changes" })).await;
        assert_eq!((fault.code(), fault.retry()), (Code::ColumnsUnfit, Retry::Operator));
        assert!(fault.message().contains("the column `extra` of the query is not in the schema"), "{fault}");
        let fault = message(json!({ "sql": "SELECT id FROM changes", "cursor": "id" })).await;
        assert!(fault.message().contains("the query has no column `changed`"), "{fault}");
        let fault = message(json!({ "sql": "SELECT id, changed FROM chnages" })).await;
        assert_eq!((fault.code(), fault.retry()), (Code::QueryInvalid, Retry::Operator), "{fault}");
        assert!(fault.to_string().contains("chnages"), "{fault}");
    }
    let postgres = Postgres::new("unlike").await;
    postgres.execute("CREATE TABLE changes (id bigint, changed boolean)").await;
    let fault = refusal(&postgres, &json!({})).await;
    assert!(fault.message().contains("the column `changed` of the query is boolean, and the schema has: local timestamp"), "{fault}");
}

#[tokio::test]
async fn a_position_of_another_cursor_is_not_gone_on_from() {
    let sqlite = Sqlite::new();
    sqlite.execute("CREATE TABLE changes (id bigint, changed DATETIME)").await;
    change(&sqlite, &[(1, 1)]).await;
    let position = pull(opened(&sqlite, &json!({}), None).await.as_mut()).await.position;
    let fault = open(&sqlite, &json!({ "cursor": "id" }), Some(&position)).await.err().expect("is refused");
    assert_eq!(fault.code(), Code::CursorUnfit);
}

#[tokio::test]
async fn a_row_that_is_committed_late_comes_in_its_place() {
    let postgres = Postgres::new("late").await;
    postgres.execute("CREATE TABLE changes (id bigserial, changed timestamp DEFAULT localtimestamp)").await;
    let mut late = postgres.options.connect().await.expect("connects");
    let mut transaction = late.begin().await.expect("begins");
    sqlx::raw_sql("INSERT INTO changes DEFAULT VALUES").execute(&mut *transaction).await.expect("inserts 1");
    postgres.execute("INSERT INTO changes DEFAULT VALUES").await;
    let mut source = opened(&postgres, &json!({ "cursor": "id", "delay": "3s" }), None).await;
    assert_nothing(source.as_mut()).await;
    transaction.commit().await.expect("commits");
    assert_eq!(take(source.as_mut(), 2).await.0, orders([1, 2]));
}

#[tokio::test]
async fn a_session_that_ends_in_mid_result_is_passing_trouble_and_reading_goes_on() {
    let postgres = Postgres::new("ended").await;
    postgres.execute("CREATE TABLE changes AS SELECT id, '2013-01-31'::timestamp AS changed, repeat('x', 2000) AS filler FROM generate_series(1, 20000) id").await;
    let more = json!({ "sql": "SELECT id, changed FROM (SELECT * FROM changes) c", "batch": 100 });
    let mut source = opened(&postgres, &more, None).await;
    let (first, positions) = take(source.as_mut(), 100).await;
    assert_eq!(first, orders(1..=100));
    let mut other = postgres.options.connect().await.expect("connects");
    // The open cursor holds a lock on its table; other tests have sessions of their own.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'changes'::regclass AND pid <> pg_backend_pid()";
    assert_eq!(sqlx::raw_sql(end).fetch_all(&mut other).await.expect("ends it").len(), 1, "sessions that read the table");
    let (fault, pulled) = fault(source.as_mut()).await;
    let count = 100 + pulled.iter().map(|pulled| pulled.batch.len()).sum::<usize>();
    let last = pulled.last().map_or(&positions[0].1, |pulled| &pulled.position);
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    let mut again = opened(&postgres, &more, Some(last)).await;
    let next = count as i64 + 1;
    assert_eq!(take(again.as_mut(), 20_000 - count).await.0, orders(next..=20_000));
}

#[tokio::test]
async fn names_and_texts_are_taken_as_they_are() {
    let fields = json!([{ "name": "key", "type": "string" }, { "name": "select", "type": "long" }]);
    let schema = codec::schema(json!({ "type": "record", "name": "Odd", "fields": fields })).expect("a schema");
    let databases: Vec<(Box<dyn Database>, &str)> = vec![
        (Box::new(Sqlite::new()), "\"select\""),
        (Box::new(Postgres::new("odd_names").await), "\"select\""),
        (Box::new(Mysql::new("odd_names").await), "`select`"),
    ];
    for (database, column) in databases {
        let name = if column.starts_with('`') { "`key`" } else { "\"key\"" };
        database.execute(&format!("CREATE TABLE odd ({name} varchar(40) PRIMARY KEY, {column} bigint)")).await;
        let backslash = if column.starts_with('`') { "b\\\\" } else { "b\\" };
        database.execute(&format!("INSERT INTO odd VALUES ('a''; DROP TABLE odd; --', 1), ('{backslash}', 2), ('ż', 3)")).await;
        let settings = json!({ "connection": "shop", "sql": "SELECT * FROM odd -- all of it", "cursor": "key", "batch": 1, "interval": "10ms", "delay": "0s" });
        let config = source(&settings, "query");
        let mut position = None;
        for expected in 1..=3 {
            let mut source = config.open("query", &schema, position.as_ref(), &database.connections()).await.expect("opens");
            let pulled = pull(source.as_mut()).await;
            let original: Value = serde_json::from_slice(pulled.batch.origin().record(0).value.expect("a value")).expect("JSON");
            assert_eq!(original["select"], expected);
            position = Some(pulled.position);
        }
    }
}
