//! A server that crashes, and one that is no place to load into: servers of the tests' own.

use millrace_connectors::redis::Form;
use millrace_model::{Code, Commit, Offsets, Retry};

use super::{Redis, Server};
use crate::rows::{at, batch, notes, partition, upsert};
use crate::warehouse::Warehouse;

#[tokio::test]
async fn a_server_that_crashed_and_was_durable_has_every_round_and_its_position() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let config = server.config(true);
    let mut sink = config.open(&upsert(), &notes()).await.expect("is durable, as it says");
    sink.claim(&[partition()]).await.expect("claims");
    for offset in 0..20 {
        sink.write(&batch(&[(offset, Some("kept"))])).await.expect("writes");
        assert!(sink.settle().await.expect("settles").is_empty());
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        assert_eq!(sink.commit(&from, &at(offset + 1)).await.expect("commits"), Commit::Done);
    }
    server.crash();
    sink.write(&batch(&[(20, Some("lost"))])).await.expect("is staged");
    let fault = sink.settle().await.expect_err("is away");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    let fault = sink.claim(&[partition()]).await.expect_err("is away");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    server.restart().await;
    let claimed = loop {
        match sink.claim(&[partition()]).await {
            Ok(claimed) => break claimed,
            Err(fault) => assert_eq!(fault.retry(), Retry::BackOff, "{fault}"),
        }
    };
    assert_eq!(claimed, at(20));
    let rows: Vec<String> = server.ask(&["KEYS", "notes:*"]).await;
    assert_eq!(rows.len(), 20);
}

#[tokio::test]
async fn a_server_that_went_back_has_rows_and_positions_of_one_instant() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "no"]).await;
    let config = server.config(false);
    let mut sink = config.open(&upsert(), &notes()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    for offset in 0..50 {
        sink.write(&batch(&[(offset * 2, Some("a")), (offset * 2 + 1, Some("b"))])).await.expect("writes");
        assert!(sink.settle().await.expect("settles").is_empty());
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        assert_eq!(sink.commit(&from, &at(offset + 1)).await.expect("commits"), Commit::Done);
    }
    server.crash();
    // As if the machine had crashed too: the end of the log is lost, in the middle of a transaction.
    let log = std::fs::read_dir(server.folder.path().join("appendonlydir")).expect("has a log").filter_map(Result::ok);
    let log = log.map(|file| file.path()).find(|path| path.to_string_lossy().ends_with(".incr.aof")).expect("has a log");
    let file = std::fs::OpenOptions::new().write(true).open(&log).expect("opens");
    let length = file.metadata().expect("has a length").len();
    file.set_len(length * 2 / 3 + 7).expect("is cut");
    server.restart().await;
    let mut next = config.open(&upsert(), &notes()).await;
    while next.is_err() {
        next = config.open(&upsert(), &notes()).await;
    }
    let claimed = next.expect("opens").claim(&[partition()]).await.expect("claims")[&partition()];
    assert!((1..50).contains(&claimed), "{claimed}");
    let rows: Vec<String> = server.ask(&["KEYS", "notes:*"]).await;
    assert_eq!(rows.len() as i64, claimed * 2, "the rows are those of the position");

    // The writer from before the crash finds out by itself.
    let stale = sink.claim(&[partition()]).await;
    assert!(stale.is_err_and(|fault| fault.retry() == Retry::BackOff), "its connection is gone");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(claimed));
}

#[tokio::test]
async fn a_server_without_memory_left_does_nothing_of_a_round_and_is_waited_for() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]).await;
    let place = Redis::of(server.info(), Form::Hash).await;
    let warehouse: &dyn Warehouse = &place;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.write(&batch(&[(1, Some("a")), (2, Some("b"))])).await.expect("writes");
    assert!(sink.settle().await.expect("settles").is_empty());
    place.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let fault = sink.commit(&Offsets::new(), &at(2)).await.expect_err("has no memory");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert!(fault.message().contains("more memory"), "{fault}");
    assert_eq!(place.ask::<Vec<String>>(&["KEYS", "*"]).await, [""; 0]);
    place.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    sink.write(&batch(&[(1, Some("a"))])).await.expect("writes");
    assert!(sink.settle().await.expect("settles").is_empty());
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_and_a_server_that_follows_another_is_waited_for() {
    let node = Server::start(&["--cluster-enabled", "yes"]).await;
    let fault = node.config(false).open(&upsert(), &notes()).await.map(drop).expect_err("is refused");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
    let leader = Server::start(&[]).await;
    let follower = Server::start(&["--replicaof", &format!("127.0.0.1 {}", leader.port)]).await;
    let fault = follower.config(false).open(&upsert(), &notes()).await.map(drop).expect_err("takes no rows");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert!(leader.config(false).examine(&upsert(), &notes()).await.expect("looks").advice[0].what.contains("appendonly is no"));
}
