//! What only PostgreSQL's sink must do.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use millrace_connectors::postgres::Config;
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Origin, Retry, Schema, Sink, TopicPartition};
use millrace_runtime::project::Secret;

use crate::rows::{append, at, batch, keys, notes, partition, records, schema, upsert};
use crate::warehouse::{Postgres, Warehouse};

async fn opening(config: &Config) -> Fault {
    match config.open(&append(), &notes()).await {
        Ok(_) => panic!("can't be opened"),
        Err(fault) => fault,
    }
}

async fn landed(sink: &mut Box<dyn Sink>, batch: &Batch) -> Vec<(i64, Code)> {
    let seen = sink.write(batch).await.expect("writes");
    let mut rejected: Vec<(i64, Code)> = seen.iter().map(|one| (i64::from(one.record), one.code)).collect();
    rejected.extend(sink.settle().await.expect("settles").iter().map(|one| (one.record().offset, one.code())));
    rejected
}

#[tokio::test]
async fn what_the_catalogue_shows_is_rejected_before_it_is_sent() {
    let postgres = Postgres::new("catalogue").await;
    postgres.execute("CREATE TABLE notes (n smallint, code varchar(3), price numeric(5,2))").await;
    let fields = vec![
        Field::new("n", DataType::Int32, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(20, 1), true),
    ];
    let schema = schema(fields);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 40_000, 3, 4])),
        Arc::new(StringArray::from(vec!["żół", "b", "long", "d"])),
        Arc::new(Decimal128Array::from(vec![9_999, 1, 1, 10_000]).with_precision_and_scale(20, 1).expect("fits")),
    ];
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("three columns");
    let mut sink = postgres.config().open(&append(), &schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let rejected = landed(&mut sink, &Batch::new(columns, Origin::all(records(0, 4)))).await;
    assert_eq!(rejected, [(1, Code::ValueOutOfRange), (2, Code::ValueTooLong), (3, Code::ValueOutOfRange)]);
    assert_eq!(sink.commit(&Offsets::new(), &at(4)).await.expect("commits"), Commit::Done);
    let warehouse: &dyn Warehouse = &postgres;
    assert_eq!(warehouse.rows("SELECT n, code, price FROM notes").await, [["1", "żół", "999.90"].map(|text| Some(text.to_owned()))]);
}

/// Each of these refuses what is bad: the second and the fourth row.
#[tokio::test]
async fn what_only_the_target_knows_is_found_row_by_row() {
    let tables = [
        "CREATE TABLE notes (id bigint UNIQUE, note text, EXCLUDE USING btree (note WITH =)); INSERT INTO notes VALUES (0, 'bad')",
        "CREATE TABLE others (note text PRIMARY KEY); INSERT INTO others VALUES ('\"good\"'), ('\"fine\"'); \
         CREATE TABLE notes (id bigint UNIQUE, note text REFERENCES others DEFERRABLE INITIALLY DEFERRED)",
        "CREATE FUNCTION polite() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.note = 'bad' THEN RAISE 'mind your words'; END IF; RETURN NEW; END $$; \
         CREATE TABLE notes (id bigint UNIQUE, note text); CREATE TRIGGER polite AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION polite()",
        "CREATE DOMAIN polite AS text CHECK (VALUE <> 'bad'); CREATE TABLE notes (id bigint UNIQUE, note polite)",
        "CREATE TYPE mood AS ENUM ('\"good\"', '\"fine\"'); CREATE TABLE notes (id bigint UNIQUE, note mood)",
        "CREATE TABLE notes (id bigint UNIQUE, note json)",
        "CREATE TABLE notes (id bigint UNIQUE, note jsonb)",
    ];
    let rows = [(1, Some("\"good\"")), (2, Some("bad")), (3, Some("\"fine\"")), (4, Some("bad"))];
    for (number, sql) in tables.into_iter().enumerate() {
        for table in [append(), upsert()] {
            let postgres = Postgres::new(&format!("knows_{number}")).await;
            postgres.execute(sql).await;
            let mut sink = postgres.config().open(&table, &notes()).await.expect("opens");
            sink.claim(&[partition()]).await.expect("claims");
            assert_eq!(landed(&mut sink, &batch(&rows)).await, [(1, Code::RowRefused), (3, Code::RowRefused)], "{sql}");
            assert_eq!(sink.commit(&Offsets::new(), &at(4)).await.expect("commits"), Commit::Done);
            let warehouse: &dyn Warehouse = &postgres;
            let ids = warehouse.rows("SELECT id FROM notes WHERE id > 0 ORDER BY id").await;
            assert_eq!(ids, [[Some("1".to_owned())], [Some("3".to_owned())]], "{sql}");
        }
    }
}

/// The stage refuses what is not JSON, the target what breaks the check; the rows of one key stand on both sides of them.
#[tokio::test]
async fn an_upsert_keeps_its_order_around_what_stage_and_target_refuse() {
    let postgres = Postgres::new("both").await;
    postgres.execute("CREATE TABLE notes (id bigint PRIMARY KEY CHECK (id < 100), note jsonb); INSERT INTO notes VALUES (7, '0')").await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    let first = [(1, Some("1")), (1, Some("bad")), (2, Some("1")), (100, Some("1"))];
    let last = [(1, Some("2")), (200, Some("1")), (2, Some("bad")), (3, Some("1"))];
    sink.write(&batch(&first)).await.expect("writes");
    sink.delete(&keys(&[2, 3, 7])).await.expect("deletes");
    assert_eq!(
        landed(&mut sink, &batch(&last)).await,
        [(1, Code::RowRefused), (3, Code::RowRefused), (1, Code::RowRefused), (2, Code::RowRefused)]
    );
    assert_eq!(sink.commit(&Offsets::new(), &at(11)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 2", "3 1"]);
    assert_eq!(landed(&mut sink, &batch(&[(4, Some("4")), (5, Some("bad"))])).await, [(1, Code::RowRefused)]);
    assert_eq!(sink.commit(&at(11), &at(13)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 2", "3 1", "4 4"]);
}

#[tokio::test]
async fn a_deletion_needs_no_value_where_a_domain_takes_no_null() {
    let postgres = Postgres::new("domain").await;
    postgres
        .execute("CREATE DOMAIN said AS varchar(9) NOT NULL; CREATE TABLE notes (id bigint PRIMARY KEY, note said); INSERT INTO notes VALUES (1, 'a')")
        .await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.delete(&keys(&[1])).await.expect("deletes");
    assert_eq!(landed(&mut sink, &batch(&[(2, Some("b")), (3, None)])).await, [(1, Code::RowRefused)]);
    assert_eq!(sink.commit(&Offsets::new(), &at(3)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 b"]);
}

/// Nothing reads the server's words during a COPY: they would fill the way back until neither side could go on.
#[tokio::test]
async fn a_trigger_that_warns_of_each_row_does_not_stop_a_copy() {
    let postgres = Postgres::new("warns").await;
    postgres
        .execute(
            "CREATE TABLE notes (id bigint, note text); \
             CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '%', repeat('x', 1000); RETURN NEW; END $$; \
             CREATE TRIGGER warn BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION warn()",
        )
        .await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = warehouse.claimed(&append(), None).await;
    let text = "x".repeat(1_000);
    let rows: Vec<(i64, Option<&str>)> = (0..30_000).map(|id| (id, Some(text.as_str()))).collect();
    let loaded = tokio::time::timeout(Duration::from_secs(30), landed(&mut sink, &batch(&rows))).await;
    assert_eq!(loaded.expect("goes on"), []);
}

#[tokio::test]
async fn limits_of_time_that_a_user_has_do_not_end_a_round() {
    let postgres = Postgres::new("hasty").await;
    postgres
        .execute(
            "DROP ROLE IF EXISTS sink_hasty; CREATE ROLE sink_hasty SUPERUSER LOGIN PASSWORD 'x'; \
             ALTER ROLE sink_hasty SET statement_timeout = '200ms'; ALTER ROLE sink_hasty SET idle_session_timeout = '200ms'; \
             ALTER ROLE sink_hasty SET idle_in_transaction_session_timeout = '200ms'",
        )
        .await;
    let config = Config { user: "sink_hasty".into(), password: Some(Secret::new("x")), ..postgres.config() };
    let mut sink = config.open(&append(), &notes()).await.expect("opens");
    let pause = || tokio::time::sleep(Duration::from_millis(500));
    sink.claim(&[partition()]).await.expect("claims");
    pause().await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    pause().await;
    assert!(sink.settle().await.expect("settles").is_empty());
    pause().await;
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    drop(sink);
    postgres.execute("DROP SCHEMA sink_hasty CASCADE; DROP ROLE sink_hasty").await;
}

#[tokio::test]
async fn a_batch_larger_than_a_chunk_arrives_whole() {
    let postgres = Postgres::new("large").await;
    let text = "x".repeat(100);
    let rows: Vec<(i64, Option<&str>)> = (0..30_000).map(|id| (id, Some(text.as_str()))).collect();
    let warehouse: &dyn Warehouse = &postgres;
    for table in [append(), upsert()] {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(landed(&mut sink, &batch(&rows)).await, []);
        assert_eq!(sink.commit(&Offsets::new(), &at(30_000)).await.expect("commits"), Commit::Done);
        let sums = warehouse.rows("SELECT count(*), sum(id), sum(length(note)) FROM notes").await;
        assert_eq!(sums, [["30000", "449985000", "3000000"].map(|text| Some(text.to_owned()))]);
        drop(sink);
        postgres.execute("DROP TABLE notes; DROP TABLE millrace_positions").await;
    }
}

#[tokio::test]
async fn a_session_that_is_lost_is_passing_trouble_and_the_next_claim_mends_it() {
    let postgres = Postgres::new("lost").await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = warehouse.claimed(&append(), None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    postgres.execute("SELECT pg_terminate_backend(backend_pid) FROM millrace_positions").await;
    let settled = sink.settle().await.expect_err("the session is gone");
    let committed = sink.commit(&Offsets::new(), &at(1)).await.expect_err("the round is void");
    for fault in [settled, committed] {
        assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    }
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    assert_eq!(landed(&mut sink, &batch(&[(1, None)])).await, []);
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 null"]);
}

#[tokio::test]
async fn successors_that_claim_at_once_all_get_an_answer() {
    let postgres = Postgres::new("claims").await;
    let config = postgres.config();
    let (table, schema) = (append(), notes());
    drop(config.open(&table, &schema).await.expect("opens"));
    let claims = (0..4).map(|_| async {
        let mut sink = config.open(&table, &schema).await?;
        sink.claim(&[partition()]).await
    });
    for claimed in futures::future::join_all(claims).await {
        match claimed {
            Ok(offsets) => assert_eq!(offsets, Offsets::new()),
            Err(fault) => assert_eq!(fault.retry(), Retry::BackOff, "{fault}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_passing_trouble() {
    let postgres = Postgres::new("away").await;
    // A port that was free a moment ago, and on which nothing listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("has an address").port();
    let fault = opening(&Config { host: "127.0.0.1".into(), port, ..postgres.config() }).await;
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
}

#[tokio::test]
async fn refused_credentials_and_missing_rights_are_for_an_operator() {
    let postgres = Postgres::new("rights").await;
    postgres.execute("DROP ROLE IF EXISTS sink_nobody; CREATE ROLE sink_nobody LOGIN PASSWORD 'x'").await;
    let denied = opening(&Config { user: "sink_nobody".into(), password: Some(Secret::new("x")), ..postgres.config() }).await;
    assert_eq!((denied.code(), denied.retry()), (Code::TargetDenied, Retry::Operator), "{denied}");
    let unknown = opening(&Config { user: "sink_unknown".into(), password: Some(Secret::new("hunter2")), ..postgres.config() }).await;
    assert_eq!((unknown.code(), unknown.retry()), (Code::TargetAuthentication, Retry::Operator), "{unknown}");
    let mend = ["as \"sink_unknown\"", "`user` and `password` of the connection to"];
    assert!(mend.iter().all(|told| unknown.message().contains(told)) && !unknown.to_string().contains("hunter2"), "{unknown}");
    let nowhere = opening(&Config { database: "sink_nowhere".into(), ..postgres.config() }).await;
    assert_eq!(nowhere.code(), Code::TargetAuthentication, "{nowhere}");
    assert!(nowhere.message().contains("`database` of the connection to"), "{nowhere}");
    postgres.execute("DROP ROLE sink_nobody").await;
}

fn numbers(n: DataType, x: DataType, price: DataType, nullable: bool) -> Schema {
    schema(vec![Field::new("n", n, nullable), Field::new("x", x, true), Field::new("price", price, true)])
}

fn wide_row(schema: &Schema) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1 << 40), None])),
        Arc::new(Float64Array::from(vec![0.1, 0.2])),
        Arc::new(Decimal128Array::from(vec![1_234_567, 1]).with_precision_and_scale(20, 2).expect("fits")),
    ];
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("three columns");
    Batch::new(columns, Origin::all(records(0, 2)))
}

/// An int becomes a long, a float a double, a decimal has more digits, and a column that took no null takes it.
#[tokio::test]
async fn types_are_widened_with_the_schema_and_a_loader_of_the_former_one_goes_on() {
    let postgres = Postgres::new("widened").await;
    let narrow = numbers(DataType::Int32, DataType::Float32, DataType::Decimal128(5, 2), false);
    let wide = numbers(DataType::Int64, DataType::Float64, DataType::Decimal128(20, 2), true);
    let mut old = postgres.config().open(&append(), &narrow).await.expect("opens");
    let other = TopicPartition::new("orders", 1);
    old.claim(std::slice::from_ref(&other)).await.expect("claims");
    let mut sink = postgres.config().open(&append(), &narrow).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink.reshape(&wide).await.expect("is widened");
    assert_eq!(landed(&mut sink, &wide_row(&wide)).await, []);
    assert_eq!(sink.commit(&Offsets::new(), &at(2)).await.expect("commits"), Commit::Done);

    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![7])),
        Arc::new(Float32Array::from(vec![0.5])),
        Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).expect("fits")),
    ];
    let columns = RecordBatch::try_new(Arc::clone(narrow.arrow()), columns).expect("three columns");
    assert_eq!(landed(&mut old, &Batch::new(columns, Origin::all(records(0, 1)))).await, []);
    assert_eq!(old.commit(&Offsets::new(), &Offsets::from([(other, 1)])).await.expect("commits"), Commit::Done);
    let warehouse: &dyn Warehouse = &postgres;
    let shown = warehouse.rows("SELECT n, x, price, pg_typeof(n) FROM notes ORDER BY n NULLS LAST").await;
    let shown: Vec<Vec<Option<&str>>> = shown.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
    let row = |n, x, price| vec![n, Some(x), Some(price), Some("bigint")];
    assert_eq!(shown, [row(Some("7"), "0.5", "1.50"), row(Some("1099511627776"), "0.1", "12345.67"), row(None, "0.2", "0.01")]);
}

#[tokio::test]
async fn a_growth_that_the_user_has_no_right_to_says_so() {
    let postgres = Postgres::new("ungrown").await;
    let warehouse: &dyn Warehouse = &postgres;
    drop(warehouse.claimed(&append(), None).await);
    postgres
        .execute(
            "DROP ROLE IF EXISTS sink_reader; CREATE ROLE sink_reader LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA sink_ungrown TO sink_reader; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sink_ungrown TO sink_reader",
        )
        .await;
    let config = Config { user: "sink_reader".into(), password: Some(Secret::new("x")), ..postgres.config() };
    let mut sink = config.open(&append(), &notes()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let more = schema(vec![Field::new("id", DataType::Int64, false), Field::new("more", DataType::Utf8, true)]);
    let fault = sink.reshape(&more).await.expect_err("is not the owner");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetDenied, Retry::Operator), "{fault}");
    drop(sink);
    postgres.execute("DROP SCHEMA sink_ungrown CASCADE; DROP ROLE sink_reader").await;
}
