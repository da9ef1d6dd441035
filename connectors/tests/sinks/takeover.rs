//! A writer that stands still in mid-COPY: it neither blocks its successor nor writes after it wakes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_model::{Code, Commit, Offsets, Retry};
use rustix::process::{Pid, Signal, kill_process};

use crate::rows::{append, at, batch, notes, partition, upsert};
use crate::warehouse::{Postgres, Warehouse, other_partition};

/// Names the schema that a writer started by [`stopped_in_mid_copy`] writes to.
const WRITES_TO: &str = "MILLRACE_TEST_WRITES_TO";
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_writer_stopped_in_mid_copy_neither_blocks_its_successor_nor_writes_after_it_wakes() {
    let postgres = Postgres::new("takeover").await;
    let warehouse: &dyn Warehouse = &postgres;
    drop(warehouse.claimed(&append(), None).await);
    let mut writer = stopped_in_mid_copy(warehouse).await;

    let started = Instant::now();
    let mut successor = warehouse.claimed(&append(), None).await;
    assert!(started.elapsed() < Duration::from_secs(10), "the claim waits for nobody");
    successor.write(&batch(&[(1, Some("successor"))])).await.expect("writes");
    assert!(successor.settle().await.expect("settles").is_empty());
    assert_eq!(successor.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);

    signal(&writer, Signal::CONT);
    let status = writer.0.wait().expect("the writer ends");
    assert!(status.success(), "the writer finds that its session has ended");
    assert_eq!(warehouse.notes().await, ["1 successor"]);
}

#[tokio::test]
async fn a_row_lock_of_a_writer_that_stands_still_goes_with_its_session() {
    let postgres = Postgres::new("row_lock").await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut stale = warehouse.claimed(&upsert(), None).await;
    stale.write(&batch(&[(1, Some("stale"))])).await.expect("writes");
    stale.settle().await.expect("settles");

    let mut successor = warehouse.claimed(&upsert(), None).await;
    successor.write(&batch(&[(1, Some("successor"))])).await.expect("writes");
    assert!(successor.settle().await.expect("settles").is_empty());
    assert_eq!(successor.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);

    let fault = stale.commit(&Offsets::new(), &at(1)).await.expect_err("the session has ended");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!(warehouse.notes().await, ["1 successor"]);
}

#[tokio::test]
async fn a_partition_that_was_given_back_is_claimed_without_ending_the_session_that_goes_on() {
    let postgres = Postgres::new("given_back").await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut one = warehouse.claimed(&upsert(), None).await;
    one.claim(&[other_partition()]).await.expect("claims");
    one.release(&[other_partition()]).await.expect("gives it back");
    one.write(&batch(&[(1, Some("one"))])).await.expect("writes");

    let mut another = warehouse.open(&upsert(), &notes()).await.expect("opens");
    another.claim(&[other_partition()]).await.expect("claims");
    assert!(one.settle().await.expect("its session goes on").is_empty());
    assert_eq!(one.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 one"]);
}

/// A process that does not outlive its test, not even stopped.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a writer in a process of its own and stops it when the server shows it in the midst of a COPY.
async fn stopped_in_mid_copy(warehouse: &dyn Warehouse) -> Writer {
    let test = "takeover::a_writer_of_its_own_process";
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(WRITES_TO, "takeover").stdout(Stdio::null());
    let writer = Writer(command.spawn().expect("starts"));
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        signal(&writer, Signal::STOP);
        if stands_in_copy(warehouse).await {
            return writer;
        }
        signal(&writer, Signal::CONT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the writer was never seen in a COPY");
}

/// Whether a COPY waits for its client: one that is stopped will not go on.
async fn stands_in_copy(warehouse: &dyn Warehouse) -> bool {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY \"sink_takeover\"%' AND state = 'active' AND wait_event = 'ClientRead'";
    let rows = || async { warehouse.rows(sql).await[0][0].as_deref() == Some("1") };
    // What the client had sent before it was stopped is read meanwhile: only a COPY that still waits stands.
    rows().await && {
        tokio::time::sleep(Duration::from_millis(50)).await;
        rows().await
    }
}

fn signal(writer: &Writer, signal: Signal) {
    let pid = Pid::from_raw(writer.0.id() as i32).expect("a process has an id");
    kill_process(pid, signal).expect("the signal is sent");
}

/// Writes until its session ends, which must show as passing trouble.
#[tokio::test]
#[ignore = "is started by the test above, as a process of its own"]
async fn a_writer_of_its_own_process() {
    let test = std::env::var(WRITES_TO).expect("is started by the test above");
    let postgres = Postgres::of(&test);
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = warehouse.claimed(&append(), None).await;
    let rows: Vec<(i64, Option<&str>)> = (0..200_000).map(|id| (id, Some("stale"))).collect();
    let rows = batch(&rows);
    let fault = loop {
        if let Err(fault) = sink.write(&rows).await {
            break fault;
        }
    };
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims again"), at(1));
}
