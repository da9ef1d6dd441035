//! The development broker alone: what is in its data directory is there again after it ended, in order or not.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use millrace_devkit::broker::{Config, Error, start};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::Offset;

use crate::clients::{
    self, PATIENCE, admin, admin_options, committed, config, consumer_of, create_topic, keys, offsets, produce, read_all_of, runtime,
};

const COMMITTED: [(&str, &str); 1] = [("isolation.level", "read_committed")];
const SERVE: &str = "MILLRACE_TEST_SERVE";

fn in_folder(folder: &Path) -> Config {
    Config { data_dir: Some(folder.to_owned()), ..Config::default() }
}

fn producer_of(brokers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    config(brokers, settings).set("acks", "all").set("linger.ms", "1").create().unwrap()
}

fn transactional_of(brokers: &str, id: &str) -> BaseProducer {
    let producer = producer_of(brokers, &[("transactional.id", id)]);
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

/// Writes some of everything: plain, committed and aborted records, a transaction left open, offsets, a topic that is deleted.
fn fill(brokers: &str) {
    create_topic(brokers, "kept", 2, &[("retention.ms", "1000")]).unwrap();
    create_topic(brokers, "deleted", 1, &[]).unwrap();
    produce(&producer_of(brokers, &[]), "kept", "plain", 10);
    let writer = transactional_of(brokers, "writer");
    writer.begin_transaction().unwrap();
    produce(&writer, "kept", "aborted", 5);
    writer.abort_transaction(PATIENCE).unwrap();
    writer.begin_transaction().unwrap();
    produce(&writer, "kept", "committed", 5);
    writer.commit_transaction(PATIENCE).unwrap();
    let left = transactional_of(brokers, "left");
    left.begin_transaction().unwrap();
    produce(&left, "kept", "open", 5);
    consumer_of(brokers, "group", &[]).commit(&offsets("kept", &[(0, 7)]), CommitMode::Sync).unwrap();
    runtime().block_on(admin(brokers).delete_topics(&["deleted"], &admin_options())).unwrap().remove(0).unwrap();
}

/// All of that is there; the transaction left open is still open until its producer's successor comes.
fn check(brokers: &str) {
    let uncommitted = read_all_of(brokers, "kept", 2, &[("isolation.level", "read_uncommitted")]);
    assert_eq!(uncommitted.len(), 25);
    let reader = consumer_of(brokers, "group", &[]);
    assert_eq!(committed(&reader, "kept", 0), Offset::Offset(7));
    let topics: Vec<String> = reader.fetch_metadata(None, PATIENCE).unwrap().topics().iter().map(|topic| topic.name().to_owned()).collect();
    assert_eq!(topics, ["kept"]);
    transactional_of(brokers, "left");
    let seen = read_all_of(brokers, "kept", 2, &COMMITTED);
    let of = |tag: &str| keys(&seen).iter().filter(|key| key.starts_with(tag)).count();
    assert_eq!((of("plain"), of("committed"), seen.len()), (10, 5, 15));
    let writer = transactional_of(brokers, "writer");
    writer.begin_transaction().unwrap();
    produce(&writer, "kept", "again", 1);
    writer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read_all_of(brokers, "kept", 2, &COMMITTED).len(), 16);
}

#[test]
fn a_broker_that_was_stopped_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = clients::start(in_folder(folder.path()));
    fill(&first.addr.to_string());
    runtime().block_on(first.stop());
    let second = clients::start(in_folder(folder.path()));
    check(&second.addr.to_string());
}

/// Not a test of its own: the process that [`a_broker_that_was_killed_goes_on`] starts and kills.
#[test]
fn a_broker_to_be_killed() {
    if let Some(folder) = std::env::var_os(SERVE) {
        let running = clients::start(in_folder(Path::new(&folder)));
        println!("listening on {}", running.addr);
        runtime().block_on(std::future::pending::<()>());
    }
}

/// A broker in a process of its own.
fn spawn(folder: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "persistence::a_broker_to_be_killed", "--nocapture"])
        .env(SERVE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.map(Result::unwrap).find_map(|line| line.split_once("listening on ").map(|(_, address)| address.parse().unwrap()));
    (child, address.unwrap())
}

#[test]
fn a_broker_that_was_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, address) = spawn(folder.path());
    fill(&address.to_string());
    child.kill().unwrap();
    child.wait().unwrap();
    let second = clients::start(in_folder(folder.path()));
    check(&second.addr.to_string());
}

fn segment(folder: &Path, partition: &str) -> PathBuf {
    folder.join("topics").join(partition).join(format!("{:020}.log", 0))
}

#[test]
fn a_batch_cut_off_at_the_end_is_left_out_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = clients::start(in_folder(folder.path()));
    let brokers = first.addr.to_string();
    create_topic(&brokers, "torn", 1, &[]).unwrap();
    produce(&producer_of(&brokers, &[]), "torn", "whole", 1);
    produce(&producer_of(&brokers, &[]), "torn", "cut", 1);
    runtime().block_on(first.stop());
    let path = segment(folder.path(), "torn-0");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let second = clients::start(in_folder(folder.path()));
    let brokers = second.addr.to_string();
    produce(&producer_of(&brokers, &[]), "torn", "next", 1);
    let records = read_all_of(&brokers, "torn", 1, &[]);
    assert_eq!((keys(&records), records[1].offset), (vec!["whole-0", "next-0"], 1));
}

#[test]
fn a_data_directory_has_one_broker() {
    let folder = tempfile::tempdir().unwrap();
    let _first = clients::start(in_folder(folder.path()));
    let second = runtime().block_on(start(in_folder(folder.path())));
    assert!(matches!(second, Err(Error::InUse(path)) if path == folder.path()));
}

#[test]
fn a_broker_listens_on_loopback_only() {
    let everywhere = Config { addr: SocketAddr::from(([0, 0, 0, 0], 0)), ..Config::default() };
    assert!(matches!(runtime().block_on(start(everywhere)), Err(Error::NotLoopback(_))));
}
