//! What only the sink of MySQL and MariaDB must do, and the place where the suite runs: a database of the server that `MILLRACE_TEST_MYSQL` names.

use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, TimeUnit};
use async_trait::async_trait;
use fnv::FnvHasher;
use millrace_connectors::mysql::Config;
use millrace_connectors::{Connection, Mode, TableConfig, postgres};
use millrace_model::{Batch, Code, Commit, Edge, Fault, LoadBound, Offsets, Origin, Retry, Schema, Sink};
use millrace_runtime::project::{Resilience, Secret};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::rows::{
    append, at, batch, insert_ignore, keys, mirror, notes, partition, records, records_of, replace, rows_at, schema, upsert,
};
use crate::warehouse::Warehouse;

/// A database.
pub(crate) struct Mysql {
    options: MySqlConnectOptions,
    database: String,
}

impl Mysql {
    pub(crate) async fn new(test: &str) -> Self {
        let options: MySqlConnectOptions = url().parse().expect("MILLRACE_TEST_MYSQL is a URL");
        let database = name(test);
        let mut connection = options.connect().await.expect("connects");
        let create = format!("DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database} CHARACTER SET utf8mb4");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.expect("makes a database");
        Self { options: options.database(&database), database }
    }

    /// How it is reached.
    fn config(&self) -> Config {
        Config {
            host: self.options.get_host().into(),
            port: self.options.get_port(),
            database: self.database.clone(),
            user: self.options.get_username().into(),
            password: password(),
            tls: postgres::Tls::Prefer,
            ca: None,
            resilience: Resilience::default(),
        }
    }
}

/// A name that MySQL takes: 64 characters at most.
fn name(test: &str) -> String {
    let mut hash = FnvHasher::default();
    hash.write(test.as_bytes());
    format!("sink_{}_{:x}", &test[..test.len().min(40)], hash.finish())
}

fn url() -> String {
    std::env::var("MILLRACE_TEST_MYSQL")
        .expect("MILLRACE_TEST_MYSQL is not set: run this by `make test`, or scripts/services/with-servers.sh cargo test …")
}

/// The password of the URL, which the parsed options keep to themselves.
fn password() -> Option<Secret> {
    let url = url();
    let (user, _) = url.split_once("://")?.1.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| Secret::new(password))
}

#[async_trait]
impl Warehouse for Mysql {
    fn connection(&self) -> Connection {
        Connection::Mysql(self.config())
    }

    async fn execute(&self, sql: &str) {
        let mut connection = self.options.connect().await.expect("connects");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        let shown = [
            "1",
            "1",
            "-7",
            "9007199254740993",
            "1.5",
            "0.1",
            "żółw",
            "2 bytes",
            "\u{1}\u{2}\u{3}\u{4}",
            "11111111-1111-1111-1111-111111111111",
            "-123.45",
            "123456789012345678901234567890123456789.0001",
            "2013-01-31",
            "05:30:00.001000",
            "05:30:00.000001",
            "2013-01-31 05:30:00.001000",
            "2013-01-31 05:30:00.000001",
            "2013-01-31 05:30:00.001000",
            "1 mons 2 days 0.003000000 secs",
            "NEW",
            r#"["a",null]"#,
            r#"{"k":1}"#,
            r#"{"x":1,"y":null}"#,
        ];
        let mut nulls = vec![None; shown.len()];
        nulls[1] = Some("2");
        vec![shown.map(Some).to_vec(), nulls]
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        vec![
            "char(36)",
            "tinyint(1)",
            "int",
            "bigint",
            "float",
            "double",
            "longtext",
            "longtext",
            "longblob",
            "longblob",
            "decimal(9,2)",
            "date",
            "time(6)",
            "time(6)",
            "datetime(6)",
            "datetime(6)",
            "json",
            "json",
            "json",
        ]
    }

    fn takes_nul(&self) -> bool {
        true
    }

    fn defines_at_once(&self) -> bool {
        true
    }
}

async fn claimed(mysql: &Mysql, table: &TableConfig, schema: &Schema) -> Box<dyn Sink> {
    let mut sink = mysql.config().open(table, schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink
}

async fn landed(sink: &mut Box<dyn Sink>, batch: &Batch) -> Vec<(i64, Code)> {
    let seen = sink.write(batch).await.expect("writes");
    let mut rejected: Vec<(i64, Code)> = seen.iter().map(|one| (i64::from(one.record), one.code)).collect();
    rejected.extend(sink.settle().await.expect("settles").iter().map(|one| (one.record().offset, one.code())));
    rejected
}

async fn loaded(sink: &mut Box<dyn Sink>, from: i64, batch: &Batch) -> Vec<(i64, Code)> {
    let rejected = landed(sink, batch).await;
    let position = if from == 0 { Offsets::new() } else { at(from) };
    assert_eq!(sink.commit(&position, &at(from + 1)).await.expect("commits"), Commit::Done);
    rejected
}

fn of_columns(fields: Vec<Field>, columns: Vec<ArrayRef>) -> (Schema, Batch) {
    let schema = schema(fields);
    let count = columns[0].len();
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("the columns fit");
    (schema, Batch::new(columns, Origin::all(records(0, count))))
}

async fn opening(config: &Config) -> Fault {
    match config.open(&append(), &notes()).await {
        Ok(_) => panic!("can't be opened"),
        Err(fault) => fault,
    }
}

#[tokio::test]
async fn what_the_catalogue_shows_is_rejected_before_it_is_sent() {
    let mysql = Mysql::new("catalogue").await;
    mysql.execute("CREATE TABLE notes (n tinyint unsigned, code varchar(3), short tinytext, price decimal(5,2), id binary(16))").await;
    let uuid = Field::new("id", DataType::FixedSizeBinary(16), true).with_metadata([("logicalType".into(), "uuid".into())].into());
    let fields = vec![
        Field::new("n", DataType::Int32, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("short", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(20, 1), true),
        uuid,
    ];
    let long = "ż".repeat(128);
    let (schema, batch) = of_columns(
        fields,
        vec![
            Arc::new(Int32Array::from(vec![255, 256, -1, 4, 5, 6])),
            Arc::new(StringArray::from(vec!["żół", "b", "c", "long", "e", "f"])),
            Arc::new(StringArray::from(vec!["a", "b", "c", "d", &long, "f"])),
            Arc::new(Decimal128Array::from(vec![9_999, 1, 1, 1, 1, 10_000]).with_precision_and_scale(20, 1).expect("fits")),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]; 6].into_iter()).expect("of one length")),
        ],
    );
    let mut sink = claimed(&mysql, &append(), &schema).await;
    let (range, length) = (Code::ValueOutOfRange, Code::ValueTooLong);
    assert_eq!(loaded(&mut sink, 0, &batch).await, [(1, range), (2, range), (3, length), (4, length), (5, range)]);
    let warehouse: &dyn Warehouse = &mysql;
    let shown = warehouse.rows("SELECT n, code, price, HEX(id) FROM notes").await;
    assert_eq!(shown, [["255", "żół", "999.90", &"11".repeat(16)].map(|text| Some(text.to_owned()))]);
}

#[tokio::test]
async fn values_that_mysql_has_not_are_rejected() {
    let mysql = Mysql::new("values").await;
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let fields =
        vec![Field::new("n", DataType::Float64, true), Field::new("day", DataType::Date32, true), Field::new("seen", instant, true)];
    let (first, last) = (-719_162, 2_932_896);
    let end = (i64::from(last) + 1) * 86_400_000;
    let times = TimestampMillisecondArray::from(vec![0, 0, 0, i64::from(first) * 86_400_000, end - 1, end]).with_timezone("+00:00");
    let (schema, batch) = of_columns(
        fields,
        vec![
            Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, -0.5, 1e308, 0.1, 0.0])),
            Arc::new(Date32Array::from(vec![0, 0, first - 1, first, last, last])),
            Arc::new(times),
        ],
    );
    let mut sink = claimed(&mysql, &append(), &schema).await;
    let expected = [(0, Code::ValueForbidden), (1, Code::ValueForbidden), (2, Code::ValueOutOfRange), (5, Code::ValueOutOfRange)];
    assert_eq!(loaded(&mut sink, 0, &batch).await, expected);
    let warehouse: &dyn Warehouse = &mysql;
    let shown = warehouse.rows("SELECT n, day, seen FROM notes ORDER BY day").await;
    let expected = [["1e308", "0001-01-01", "0001-01-01 00:00:00.000000"], ["0.1", "9999-12-31", "9999-12-31 23:59:59.999000"]];
    assert_eq!(shown, expected.map(|row| row.map(|text| Some(text.to_owned()))));
}

/// Each of these refuses what is bad: the second and the fourth row.
#[tokio::test]
async fn what_only_the_target_knows_is_found_row_by_row() {
    let tables = [
        "CREATE TABLE others (note varchar(20) PRIMARY KEY); INSERT INTO others VALUES ('\"good\"'), ('\"fine\"'); \
         CREATE TABLE notes (id bigint UNIQUE, note varchar(20) REFERENCES others (note))",
        "CREATE TABLE notes (id bigint UNIQUE, note text); CREATE TRIGGER polite BEFORE INSERT ON notes FOR EACH ROW \
         BEGIN IF NEW.note = 'bad' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mind your words'; END IF; END",
        "CREATE TABLE notes (id bigint UNIQUE, note enum('\"good\"', '\"fine\"'))",
        "CREATE TABLE notes (id bigint UNIQUE, note json)",
        "CREATE TABLE notes (id bigint UNIQUE, note varchar(20)) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (100))",
    ];
    for (number, sql) in tables.into_iter().enumerate() {
        let bad_id = |id| if number == 4 { 100 + id } else { id };
        let rows = [(1, Some("\"good\"")), (bad_id(2), Some("bad")), (3, Some("\"fine\"")), (bad_id(4), Some("bad"))];
        for table in [append(), upsert(), insert_ignore(), mirror()] {
            let mysql = Mysql::new(&format!("knows_{number}")).await;
            mysql.execute(sql).await;
            let mut sink = claimed(&mysql, &table, &notes()).await;
            assert_eq!(loaded(&mut sink, 0, &batch(&rows)).await, [(1, Code::RowRefused), (3, Code::RowRefused)], "{sql}");
            let warehouse: &dyn Warehouse = &mysql;
            let ids = warehouse.rows("SELECT id FROM notes ORDER BY id").await;
            assert_eq!(ids, [[Some("1".to_owned())], [Some("3".to_owned())]], "{sql}");
        }
    }
}

/// `ON DUPLICATE KEY` goes by any unique index: it would change the row that has the note.
#[tokio::test]
async fn a_row_never_changes_one_of_other_keys() {
    for keys_null in ["", " NOT NULL"] {
        for mode in [Mode::Upsert, Mode::InsertIgnore, Mode::Mirror] {
            let mysql = Mysql::new("other_keys").await;
            let create = format!(
                "CREATE TABLE notes (number int AUTO_INCREMENT PRIMARY KEY, id bigint{keys_null}, note varchar(20), UNIQUE (note), UNIQUE (id))"
            );
            mysql.execute(&format!("{create}; INSERT INTO notes (id, note) VALUES (0, 'taken')")).await;
            let mut sink = claimed(&mysql, &TableConfig { mode, ..upsert() }, &notes()).await;
            let rows = [(1, Some("a")), (2, Some("taken")), (3, Some("a")), (4, Some("d"))];
            sink.write(&batch(&rows)).await.expect("writes");
            let rejected = sink.settle().await.expect("settles");
            assert_eq!(rejected.iter().map(|one| one.record().offset).collect::<Vec<_>>(), [1, 2], "{mode}");
            assert!(rejected[0].reason().contains("a unique index of the table"), "{}", rejected[0].reason());
            assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
            let warehouse: &dyn Warehouse = &mysql;
            assert_eq!(warehouse.notes().await, ["0 taken", "1 a", "4 d"], "{mode}");
        }
    }
}

fn texts(names: &[&str], rows: &[(&str, i64)]) -> (Schema, Batch) {
    let fields = vec![Field::new(names[0], DataType::Utf8, false), Field::new(names[1], DataType::Int64, true)];
    let keys: ArrayRef = Arc::new(StringArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>()));
    let numbers: ArrayRef = Arc::new(Int64Array::from(rows.iter().map(|row| row.1).collect::<Vec<_>>()));
    of_columns(fields, vec![keys, numbers])
}

#[tokio::test]
async fn keys_of_text_are_told_apart_by_their_bytes() {
    let mysql = Mysql::new("text_keys").await;
    let rows = [("a", 1), ("A", 2), ("a ", 3), ("ä", 4), ("a", 5), ("", 6), ("a\\' OR 1", 7)];
    let (schema, batch) = texts(&["id", "n"], &rows);
    let mut sink = claimed(&mysql, &upsert(), &schema).await;
    assert_eq!(loaded(&mut sink, 0, &batch).await, []);
    let warehouse: &dyn Warehouse = &mysql;
    let count = warehouse.rows("SELECT COUNT(*), SUM(n) FROM notes").await;
    assert_eq!(count, [["6", "27"].map(|text| Some(text.to_owned()))]);
    sink.delete(&Batch::new(batch.columns().slice(2, 1).project(&[0]).expect("has it"), Origin::all(records(9, 1))))
        .await
        .expect("deletes");
    assert_eq!(sink.settle().await.expect("settles").len(), 0);
    assert_eq!(sink.commit(&at(1), &at(2)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.rows("SELECT COUNT(*), SUM(n) FROM notes").await, [["5", "24"].map(|text| Some(text.to_owned()))]);
}

/// Decimals beyond what a float tells apart, instants, dates and UUIDs.
#[tokio::test]
async fn keys_of_every_kind_find_their_row_again() {
    let mysql = Mysql::new("kinds_of_keys").await;
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let uuid = Field::new("uuid", DataType::FixedSizeBinary(16), false).with_metadata([("logicalType".into(), "uuid".into())].into());
    let fields = vec![
        Field::new("price", DataType::Decimal128(30, 4), false),
        Field::new("seen", instant, false),
        Field::new("day", DataType::Date32, false),
        uuid,
        Field::new("n", DataType::Int32, true),
    ];
    let prices = Decimal128Array::from(vec![12_345_678_901_234_567_890_001, 12_345_678_901_234_567_890_002, 1]);
    let (schema, batch) = of_columns(
        fields,
        vec![
            Arc::new(prices.with_precision_and_scale(30, 4).expect("fits")),
            Arc::new(TimestampMillisecondArray::from(vec![1, 1, 1]).with_timezone("+00:00")),
            Arc::new(Date32Array::from(vec![7, 7, 7])),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]; 3].into_iter()).expect("of one length")),
            Arc::new(Int32Array::from(vec![1, 2, 3])),
        ],
    );
    let keys = ["price", "seen", "day", "uuid"].map(str::to_owned).to_vec();
    let mut sink = claimed(&mysql, &TableConfig { keys, ..upsert() }, &schema).await;
    assert_eq!(loaded(&mut sink, 0, &batch).await, []);
    let first = batch.columns().slice(0, 1).project(&[0, 1, 2, 3]).expect("has them");
    sink.delete(&Batch::new(first, Origin::all(records(9, 1)))).await.expect("deletes");
    assert_eq!(loaded(&mut sink, 1, &Batch::new(batch.columns().slice(2, 1), Origin::all(records(10, 1)))).await, []);
    let warehouse: &dyn Warehouse = &mysql;
    assert_eq!(warehouse.rows("SELECT n FROM notes ORDER BY n").await, [[Some("2".to_owned())], [Some("3".to_owned())]]);
}

#[tokio::test]
async fn a_row_that_no_packet_has_room_for_is_rejected_alone() {
    let mysql = Mysql::new("packet").await;
    let large = "x".repeat(17 << 20);
    let mut sink = claimed(&mysql, &append(), &notes()).await;
    let seen = sink.write(&batch(&[(1, Some("a")), (2, Some(&large)), (3, Some("c"))])).await.expect("writes");
    assert_eq!(seen, []);
    let rejected = sink.settle().await.expect("settles");
    assert_eq!(rejected.iter().map(|one| one.record().offset).collect::<Vec<_>>(), [1]);
    assert!(rejected[0].reason().contains("max_allowed_packet"), "{}", rejected[0].reason());
    assert_eq!(sink.commit(&Offsets::new(), &at(3)).await.expect("commits"), Commit::Done);
    let warehouse: &dyn Warehouse = &mysql;
    assert_eq!(warehouse.notes().await, ["1 a", "3 c"]);
}

#[tokio::test]
async fn a_row_lock_of_a_writer_that_stands_still_goes_with_its_session() {
    let mysql = Mysql::new("row_lock").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut stale = warehouse.claimed(&upsert(), None).await;
    stale.write(&batch(&[(1, Some("stale"))])).await.expect("writes");
    stale.settle().await.expect("settles");

    let mut successor = warehouse.claimed(&upsert(), None).await;
    assert_eq!(loaded(&mut successor, 0, &batch(&[(1, Some("successor"))])).await, []);

    let fault = stale.commit(&Offsets::new(), &at(1)).await.expect_err("the session has ended");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!(warehouse.notes().await, ["1 successor"]);
    let left = warehouse.rows("SELECT COUNT(*) FROM millrace_positions WHERE IS_USED_LOCK(`session`) = connection_id").await;
    assert_eq!(left, [[Some("1".to_owned())]], "the row names the session that lives");
}

#[tokio::test]
async fn locks_that_do_not_come_are_passing_trouble() {
    let mysql = Mysql::new("locks").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut other = warehouse.claimed(&TableConfig { pipeline: "shop.other".into(), ..upsert() }, None).await;
    other.write(&batch(&[(1, Some("first"))])).await.expect("writes");
    other.settle().await.expect("settles");
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.write(&batch(&[(1, Some("second"))])).await.expect("writes");
    let fault = sink.settle().await.expect_err("the row is locked");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!(other.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    assert_eq!(loaded(&mut sink, 0, &batch(&[(1, Some("second"))])).await, []);
    assert_eq!(warehouse.notes().await, ["1 second"]);
}

#[tokio::test]
async fn a_session_that_is_lost_is_passing_trouble_and_the_next_claim_mends_it() {
    let mysql = Mysql::new("lost").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&append(), None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    let id = warehouse.rows("SELECT connection_id FROM millrace_positions").await[0][0].clone().expect("is named");
    mysql.execute(&format!("KILL {id}")).await;
    let settled = sink.settle().await.expect_err("the session is gone");
    let committed = sink.commit(&Offsets::new(), &at(1)).await.expect_err("the round is void");
    for fault in [settled, committed] {
        assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    }
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    assert_eq!(loaded(&mut sink, 0, &batch(&[(1, None)])).await, []);
    assert_eq!(warehouse.notes().await, ["1 null"]);
}

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let mysql = Mysql::new("engine").await;
    mysql.execute("CREATE TABLE notes (id bigint, note text) ENGINE=MyISAM").await;
    let fault = opening(&mysql.config()).await;
    assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
    assert!(fault.message().contains("ALTER TABLE `notes` ENGINE=InnoDB"), "{fault}");
}

/// Without care a zero in such a column becomes the next number.
#[tokio::test]
async fn a_zero_is_a_zero_where_a_column_counts_by_itself() {
    let mysql = Mysql::new("zero").await;
    mysql.execute("CREATE TABLE notes (id bigint AUTO_INCREMENT PRIMARY KEY, note text)").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    assert_eq!(loaded(&mut sink, 0, &batch(&[(0, Some("zero")), (7, None)])).await, []);
    assert_eq!(warehouse.notes().await, ["0 zero", "7 null"]);
}

#[tokio::test]
async fn a_definition_that_is_changed_between_rounds_is_looked_at_again() {
    let mysql = Mysql::new("changed").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    assert_eq!(loaded(&mut sink, 0, &batch(&[(1, Some("a"))])).await, []);
    mysql.execute("ALTER TABLE notes DROP PRIMARY KEY").await;
    sink.write(&batch(&[(1, Some("b"))])).await.expect("writes");
    let fault = sink.settle().await.expect_err("would make a second row of the key");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
    assert!(fault.message().contains("CREATE UNIQUE INDEX `notes_keys` ON `notes` (`id`)"), "{fault}");
    mysql.execute("CREATE UNIQUE INDEX `notes_keys` ON `notes` (`id`)").await;
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(1));
    assert_eq!(loaded(&mut sink, 1, &batch(&[(1, Some("b"))])).await, []);
    assert_eq!(warehouse.notes().await, ["1 b"]);
}

/// Between rounds nothing keeps an owner from changing the table; within one he waits.
#[tokio::test]
async fn a_session_between_rounds_keeps_no_lock() {
    let mysql = Mysql::new("idle").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&append(), None).await;
    assert_eq!(loaded(&mut sink, 0, &batch(&[(1, None)])).await, []);
    mysql.execute("SET SESSION lock_wait_timeout = 1; ALTER TABLE notes ADD COLUMN more int").await;
    assert_eq!(loaded(&mut sink, 1, &batch(&[(2, None)])).await, []);
    assert_eq!(warehouse.notes().await.len(), 2);
}

#[tokio::test]
async fn types_are_widened_with_the_schema() {
    let mysql = Mysql::new("widened").await;
    let of = |n: DataType, price: DataType, nullable| vec![Field::new("n", n, nullable), Field::new("price", price, true)];
    let narrow = schema(of(DataType::Int32, DataType::Decimal128(5, 2), false));
    let (wide, rows) = of_columns(
        of(DataType::Int64, DataType::Decimal128(20, 2), true),
        vec![
            Arc::new(Int64Array::from(vec![Some(1 << 40), None])),
            Arc::new(Decimal128Array::from(vec![1_234_567, 1]).with_precision_and_scale(20, 2).expect("fits")),
        ],
    );
    let mut sink = claimed(&mysql, &append(), &narrow).await;
    sink.reshape(&wide).await.expect("is widened");
    assert_eq!(loaded(&mut sink, 0, &rows).await, []);
    let warehouse: &dyn Warehouse = &mysql;
    let shown = warehouse.rows("SELECT n, price FROM notes ORDER BY price").await;
    assert_eq!(shown, [[None, Some("0.01".to_owned())], [Some("1099511627776".to_owned()), Some("12345.67".to_owned())]]);
    drop(sink);
    // What a statement would have to say again is not said: the owner of the column changes it.
    mysql
        .execute(
            "DROP TABLE notes; DROP TABLE millrace_positions; CREATE TABLE notes (n int NOT NULL COMMENT 'pieces', price decimal(20,2))",
        )
        .await;
    let mut sink = claimed(&mysql, &append(), &narrow).await;
    sink.reshape(&wide).await.expect("narrower columns take what fits them");
    assert_eq!(landed(&mut sink, &rows).await, [(0, Code::ValueOutOfRange), (1, Code::ValueNull)]);
}

#[tokio::test]
async fn loads_have_names_of_any_letters_and_length() {
    let mysql = Mysql::new("load_names").await;
    let warehouse: &dyn Warehouse = &mysql;
    let long = "l".repeat(300);
    let mut sink = claimed(&mysql, &replace(), &notes()).await;
    for (offset, load) in ["it's \\' OR 1 = 1 --", "ż\"`", &long].into_iter().enumerate() {
        let offset = offset as i64;
        let note = offset.to_string();
        sink.write(&rows_at(0, offset, &[(offset, Some(&note))])).await.expect("writes");
        let origin = Origin::all(records_of(0, offset, 1));
        sink.bound(LoadBound { edge: Edge::End, load: load.into(), origin, partitions: 1 }).await.expect("ends");
        assert!(sink.settle().await.expect("settles").is_empty());
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        assert_eq!(sink.commit(&from, &at(offset + 1)).await.expect("commits"), Commit::Done);
        assert_eq!(warehouse.notes().await, [format!("{offset} {offset}")]);
    }
}

#[tokio::test]
async fn columns_that_differ_in_case_only_are_refused_by_check() {
    let config = Config {
        host: "nowhere".into(),
        port: 1,
        database: "d".into(),
        user: "u".into(),
        password: None,
        tls: postgres::Tls::Prefer,
        ca: None,
        resilience: Resilience::default(),
    };
    let schema = schema(vec![Field::new("Id", DataType::Int64, false), Field::new("id", DataType::Int64, false)]);
    let fault = config.check(&append(), &schema).expect_err("are one");
    assert!(fault.message().contains("\"Id\" and \"id\""), "{fault}");
}

#[tokio::test]
async fn refused_credentials_and_missing_rights_are_for_an_operator() {
    let mysql = Mysql::new("rights").await;
    let warehouse: &dyn Warehouse = &mysql;
    drop(warehouse.claimed(&append(), None).await);
    let database = &mysql.database;
    mysql
        .execute(&format!(
            "CREATE OR REPLACE USER sink_reader IDENTIFIED BY 'x'; GRANT SELECT ON {database}.* TO sink_reader; \
             GRANT INSERT ON {database}.notes TO sink_reader"
        ))
        .await;
    let reader = Config { user: "sink_reader".into(), password: Some(Secret::new("x")), ..mysql.config() };
    let examined = reader.examine(&upsert(), &notes()).await.expect("may look");
    let expected = ["INSERT ON `millrace_positions`", "UPDATE ON `millrace_positions`", "UPDATE ON `notes`", "DELETE ON `notes`"];
    assert_eq!(examined.denied, expected);
    let other = TableConfig { table: "others".into(), ..append() };
    assert!(reader.examine(&other, &notes()).await.expect("may look").denied.contains(&"CREATE ON `others`".to_owned()));
    let Err(denied) = reader.open(&other, &notes()).await else { panic!("may not make tables") };
    assert_eq!((denied.code(), denied.retry()), (Code::TargetDenied, Retry::Operator), "{denied}");
    let unknown = opening(&Config { user: "sink_unknown".into(), password: Some(Secret::new("hunter2")), ..mysql.config() }).await;
    assert_eq!((unknown.code(), unknown.retry()), (Code::TargetAuthentication, Retry::Operator), "{unknown}");
    assert!(!unknown.to_string().contains("hunter2"), "{unknown}");
    mysql.execute("DROP USER sink_reader").await;
}

#[tokio::test]
async fn a_look_at_the_database_tells_what_is_missing_and_what_does_not_fit() {
    let mysql = Mysql::new("looked_at").await;
    let connection = Warehouse::connection(&mysql);
    let examined = connection.examine(&upsert(), &notes()).await.expect("looks");
    assert_eq!(examined.missing.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["`millrace_positions`", "`notes`"]);
    assert!(examined.misfits.is_empty() && examined.denied.is_empty(), "{examined:?}");
    let statements: Vec<String> = examined.missing.into_iter().map(|one| one.sql).collect();
    connection.define(&statements).await.expect("defines");
    assert_eq!(connection.examine(&upsert(), &notes()).await.expect("looks").missing, []);
    mysql.execute("ALTER TABLE notes DROP COLUMN note").await;
    let examined = connection.examine(&upsert(), &notes()).await.expect("looks");
    let mending = examined.misfits[0].mending().expect("can be mended");
    assert_eq!(mending, "ALTER TABLE `notes` ADD COLUMN `note` longtext");
    connection.define(&[mending]).await.expect("mends");
    assert!(connection.examine(&upsert(), &notes()).await.expect("looks").misfits.is_empty());
    connection.drop_table("notes").await.expect("drops");
}

#[tokio::test]
async fn a_deletion_of_many_keys_goes_on_where_a_statement_ends() {
    let mysql = Mysql::new("many_keys").await;
    let warehouse: &dyn Warehouse = &mysql;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    let many: Vec<(i64, Option<&str>)> = (0..10_000).map(|id| (id, Some("x"))).collect();
    assert_eq!(loaded(&mut sink, 0, &batch(&many)).await, []);
    let ids: Vec<i64> = (1..10_000).collect();
    assert_eq!(sink.delete(&keys(&ids)).await.expect("deletes"), []);
    assert!(sink.settle().await.expect("settles").is_empty());
    assert_eq!(sink.commit(&at(1), &at(2)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["0 x"]);
}
