//! Sessions with a server of MySQL: their locks, their ends and their rights.

use millrace_connectors::TableConfig;
use millrace_connectors::mysql::Config;
use millrace_model::{Code, Commit, Offsets, Retry};
use millrace_runtime::project::Secret;

use super::{Mysql, loaded, opening};
use crate::rows::{append, at, batch, notes, partition, upsert};
use crate::warehouse::Warehouse;

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
