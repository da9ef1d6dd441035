use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use millrace_connectors::Connection;
use millrace_ingest::{ASSIGNMENTS, Ingest, POSITIONS};
use millrace_model::{TopicIdentity, TopicPartition};
use millrace_runtime::kafka::{groups, topics};
use millrace_runtime::service::State;
use serde_json::json;

use crate::world::{DEAD_LETTERS, World, inflated, ingest};

fn files(pattern: &Path) -> Ingest {
    ingest(&json!({ "files": { "path": pattern, "null": ["NA"] } }), &json!({}))
}

fn csv(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().fold("id,customer,note\n".to_owned(), |mut text, id| {
        writeln!(text, "{id},c{},\"two\nlines\"", id % 7).expect("writes");
        text
    })
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("opens");
    file.write_all(text.as_bytes()).expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_once_and_read_on_after_a_restart() {
    let world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), csv(0..6000)).expect("writes");
    std::fs::write(folder.join("b.csv"), csv([])).expect("writes");
    std::fs::write(folder.join("c.csv"), "").expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*.csv")))]).await;
    world.await_ids(0..6000).await;
    service.stop().await;
    append(&folder.join("a.csv"), "6000,c,NA\n");
    std::fs::write(folder.join("d.csv"), csv([6001])).expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*.csv")))]).await;
    world.await_ids(0..=6001).await;
    append(&folder.join("d.csv"), "6002,c,\n");
    world.await_ids(0..=6002).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_become_dead_letters_and_everything_adds_up() {
    let world = World::start().await;
    let folder = world.folder("in");
    let lines = [
        "{\"id\":1,\"customer\":\"a\"}",
        "{\"id\":2}",
        "nonsense",
        "{\"id\":3,\"customer\":\"b\",\"extra\":1}",
        "{\"id\":4,\"customer\":\"c\"}",
    ];
    std::fs::write(folder.join("a.ndjson"), lines.join("\n") + "\n").expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*")))]).await;
    world.await_ids([1, 4]).await;
    service.stop().await;
    let letters = world.dead_letters().await;
    let codes: Vec<_> = letters.iter().map(|letter| letter.said("code")).collect();
    assert_eq!(codes, ["MR0402", "MR0401", "MR0403"]);
    assert_eq!(letters[1].value.as_deref(), Some(b"nonsense".as_slice()));
    assert!(letters[1].said("message").starts_with("line 3: not valid JSON"), "{}", letters[1].said("message"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_over_its_quota_halts_and_loses_nothing() {
    let world = World::start().await;
    let folder = world.folder("in");
    let lines = ["{\"id\":1,\"customer\":\"a\"}", "bad", "bad", "bad", "{\"id\":2,\"customer\":\"a\"}"];
    std::fs::write(folder.join("a.ndjson"), lines.join("\n") + "\n").expect("writes");
    let limited = |most: u32| {
        let quota = json!({ "dead_letters": { "topic": DEAD_LETTERS, "max_per_minute": most } });
        ingest(&json!({ "files": { "path": folder.join("*") } }), &quota)
    };
    let service = world.run("one", vec![("in", limited(2))]).await;
    let state = service.await_state("in", |state| matches!(state, State::Halted { .. })).await;
    let State::Halted { code, fault, .. } = state else { panic!("halted") };
    assert_eq!(code, "MR0801");
    assert!(fault.contains("more than 2 records were rejected within a minute"), "{fault}");
    service.stop().await;
    assert_eq!(world.ids().await, [0; 0]);
    let service = world.run("one", vec![("in", limited(3))]).await;
    world.await_ids([1, 2]).await;
    service.stop().await;
    assert_eq!(world.dead_letters().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_kafka_would_not_take_becomes_a_dead_letter_alone() {
    let world = World::start().await;
    let folder = world.folder("in");
    let lines = ["{\"id\":1,\"customer\":\"a\"}".to_owned(), inflated(2), "{\"id\":3,\"customer\":\"a\"}".to_owned()];
    std::fs::write(folder.join("a.ndjson"), lines.join("\n") + "\n").expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*")))]).await;
    world.await_ids([1, 3]).await;
    let letters = world.dead_letters().await;
    assert_eq!((letters.len(), letters[0].said("code"), letters[0].said("stage")), (1, "MR0207", "encode"));
    assert_eq!(letters[0].value.as_deref(), Some(lines[1].as_bytes()));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_the_files_and_take_over_from_one_another() {
    let world = World::start().await;
    let folder = world.folder("in");
    for file in 0..20 {
        std::fs::write(folder.join(format!("{file:02}.csv")), csv(file * 10..file * 10 + 10)).expect("writes");
    }
    let pattern = folder.join("*.csv");
    let first = world.run("one", vec![("in", files(&pattern))]).await;
    let second = world.run("two", vec![("in", files(&pattern))]).await;
    world.await_ids(0..200).await;
    first.stop().await;
    for file in 0..20 {
        append(&folder.join(format!("{file:02}.csv")), &format!("{},c,x\n", 200 + file));
    }
    world.await_ids(0..220).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_fit_halts_alone_and_is_named() {
    let world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), "id,costumer\n1,a\n").expect("writes");
    std::fs::write(folder.join("b.csv"), csv([2])).expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*.csv")))]).await;
    world.await_ids([2]).await;
    let state = service.await_state("in", |state| matches!(state, State::Halted { .. })).await;
    let State::Halted { code, fault, .. } = state else { panic!("halted") };
    assert_eq!(code, "MR0405");
    assert!(fault.contains("a.csv: the column `costumer` of the header is not in the schema; did you mean `customer`?"), "{fault}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_and_comes_back_loses_and_doubles_nothing() {
    let mut world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), csv(0..10)).expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*.csv")))]).await;
    world.await_ids(0..10).await;
    world.stop_broker().await;
    append(&folder.join("a.csv"), "10,c,x\n");
    service.await_state("in", |state| matches!(state, State::Waiting { .. })).await;
    world.start_broker().await;
    world.await_ids(0..=10).await;
    service.stop().await;
}

/// What the manifest says: file, records, rejected.
async fn manifest(world: &World) -> Vec<(String, i64, i64)> {
    let mut files: Vec<(String, i64, i64)> = world
        .records("millrace.files", include_str!("../../../schemas/file_read.avsc"))
        .await
        .iter()
        .map(|row| {
            assert_eq!(row["pipeline"], "shop.in");
            assert!(row["bytes"].as_i64() > Some(0) && !row["version"].as_str().expect("text").is_empty());
            let count = |name: &str| row[name].as_i64().expect("a number");
            (row["file"].as_str().expect("text").to_owned(), count("records"), count("rejected"))
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_ends_when_all_that_was_there_is_durable_and_the_manifest_has_it() {
    let world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), csv(0..6000)).expect("writes");
    std::fs::write(folder.join("b.json"), r#"[{"id":6000,"customer":"a"},{"id":"x"},{"id":6001,"customer":"b"}]"#).expect("writes");
    let run = async || world.bounded("one", vec![("in", files(&folder.join("*")))]).await;
    let (states, progress) = run().await;
    assert_eq!(states["ingest/in"], State::Complete);
    let splits = progress["in"].splits();
    assert!(splits.values().all(|split| split.complete), "{splits:?}");
    assert_eq!((splits["a.csv"].records, splits["b.json"].records, splits["b.json"].rejected), (6000, 2, 1));
    assert_eq!(world.ids().await, (0..6002).collect::<Vec<i64>>());
    let read = [("a.csv".to_owned(), 6000, 0), ("b.json".to_owned(), 2, 1)];
    assert_eq!(manifest(&world).await, read);
    assert_eq!(run().await.0["ingest/in"], State::Complete, "there is nothing left to do");
    assert_eq!((world.ids().await.len(), manifest(&world).await), (6002, read.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_over_a_file_that_does_not_fit_ends_halted_after_the_others() {
    let world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), "id,costumer\n1,a\n").expect("writes");
    std::fs::write(folder.join("b.csv"), csv([2])).expect("writes");
    let (states, progress) = world.bounded("one", vec![("in", files(&folder.join("*.csv")))]).await;
    assert!(matches!(states["ingest/in"], State::Halted { .. }), "{states:?}");
    let splits = progress["in"].splits();
    assert!(splits["a.csv"].halted.as_deref().is_some_and(|why| why.contains("`costumer`")) && splits["b.csv"].complete, "{splits:?}");
    assert_eq!(world.ids().await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_ends_halted_though_another_instance_has_a_file_that_does_not_fit_either() {
    let world = World::start().await;
    let folder = world.folder("in");
    for file in 0..24 {
        std::fs::write(folder.join(format!("{file:02}.csv")), "id,costumer\n1,a\n").expect("writes");
    }
    let pattern = folder.join("*.csv");
    let other = world.run("one", vec![("in", files(&pattern))]).await;
    other.await_state("in", |state| matches!(state, State::Halted { .. })).await;
    let (states, _) = world.bounded("two", vec![("in", files(&pattern))]).await;
    assert!(matches!(states["ingest/in"], State::Halted { .. }), "{states:?}");
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_once_are_those_that_were_there() {
    let world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), csv(0..3)).expect("writes");
    let from = json!({ "files": { "path": folder.join("*.csv"), "mode": "once", "after": { "move": world.folder("done") } } });
    let service = world.run("one", vec![("in", ingest(&from, &json!({})))]).await;
    service.await_state("in", |state| *state == State::Complete).await;
    assert!(world.folder("done").join("a.csv").exists() && !folder.join("a.csv").exists());
    world.await_ids(0..3).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_goes_on_behind_the_last_row_whichever_instance_reads_it() {
    let world = World::start().await;
    let shop = Connection::embedded(&world.folder("shop").join("shop.db"));
    let put = async |ids: std::ops::Range<i64>| {
        let create = "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, customer TEXT)".to_owned();
        let rows: Vec<String> = ids.map(|id| format!("({id}, 'c{}')", id % 7)).collect();
        shop.define(&[create, format!("INSERT INTO orders VALUES {}", rows.join(", "))]).await.expect("inserts");
    };
    let query = json!({ "query": { "connection": "shop", "sql": "SELECT id, customer FROM orders", "cursor": "id", "batch": 7, "interval": "50ms", "delay": "1ms" } });
    let pipeline = || {
        let mut pipeline = ingest(&query, &json!({}));
        pipeline.connections.insert("shop".into(), shop.clone());
        pipeline
    };
    put(0..100).await;
    let first = world.run("one", vec![("in", pipeline())]).await;
    world.await_ids(0..100).await;
    let second = world.run("two", vec![("in", pipeline())]).await;
    put(100..150).await;
    first.stop().await;
    put(150..200).await;
    world.await_ids(0..200).await;
    second.stop().await;
    put(200..210).await;
    let third = world.run("three", vec![("in", pipeline())]).await;
    world.await_ids(0..210).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_may_be_added_while_they_are_read_and_no_file_is_read_by_two() {
    let world = World::start().await;
    let folder = world.folder("in");
    for file in 0..20 {
        std::fs::write(folder.join(format!("{file:02}.csv")), csv(file * 10..file * 10 + 10)).expect("writes");
    }
    let pattern = folder.join("*.csv");
    let first = world.run("one", vec![("in", files(&pattern))]).await;
    world.await_ids(0..200).await;
    topics::grow(&world.cluster("admin"), ASSIGNMENTS, 24).await.expect("grows");
    // It learns of them before the first does, and would read files of that one's shares.
    let second = world.run("two", vec![("in", files(&pattern))]).await;
    for file in 0..20 {
        append(&folder.join(format!("{file:02}.csv")), &format!("{},c,x\n", 200 + file));
    }
    world.await_ids(0..220).await;
    first.stop().await;
    second.stop().await;
    assert_eq!(world.ids().await, (0..220).collect::<Vec<i64>>(), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_whose_positions_were_deleted_halts_and_reads_nothing_anew() {
    let world = World::start().await;
    let folder = world.folder("in");
    std::fs::write(folder.join("a.csv"), csv(0..10)).expect("writes");
    let service = world.run("one", vec![("in", files(&folder.join("*.csv")))]).await;
    world.await_ids(0..10).await;
    let group = [TopicPartition::new(ASSIGNMENTS, 0)];
    let noted = async || {
        let offsets = groups::committed(&world.cluster("admin"), "shop.in", group.to_vec(), TopicIdentity::Unknown).await;
        !offsets.expect("asks").is_empty()
    };
    while !noted().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    service.stop().await;
    topics::delete(&world.cluster("admin"), POSITIONS).await.expect("deletes");

    let service = world.run("one", vec![("in", files(&folder.join("*.csv")))]).await;
    let state = service.await_state("in", |state| matches!(state, State::Halted { .. })).await;
    let State::Halted { code, fault, .. } = state else { panic!("halted") };
    assert_eq!(code, "MR0209", "{fault}");
    assert!(fault.contains("millrace positions accept shop.in"), "{fault}");
    assert_eq!(world.ids().await.len(), 10);
    service.stop().await;
}
