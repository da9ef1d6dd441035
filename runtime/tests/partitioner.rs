//! Keyed records go where Java's clients put them, so that topics written by both can be joined and keep the order of a key.
//!
//! Needs Java and Kafka's jars; runs against the broker that `MILLRACE_TEST_KAFKA` names, else against the development broker.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Cluster, Outgoing, Producer, compacted};
use millrace_runtime::project::KafkaConfig;
use uuid::Uuid;

const PARTITIONS: i32 = 6;

/// The partition of each key.
type Places = BTreeMap<Vec<u8>, i32>;

struct Bench {
    brokers: String,
    _development: Option<millrace_devkit::broker::Running>,
}

impl Bench {
    async fn start() -> Self {
        if let Ok(brokers) = std::env::var("MILLRACE_TEST_KAFKA") {
            return Self { brokers, _development: None };
        }
        let broker =
            millrace_devkit::broker::start(millrace_devkit::broker::Config::default()).await.expect("the development broker starts");
        Self { brokers: broker.addr.to_string(), _development: Some(broker) }
    }

    fn cluster(&self) -> Cluster {
        Cluster::new(&KafkaConfig { brokers: self.brokers.clone(), ..KafkaConfig::default() }, "partitioner")
    }

    async fn topic(&self, writer: &str) -> String {
        let name = format!("{writer}-{}", Uuid::new_v4().simple());
        let declared = Declared { name: name.clone(), partitions: Some(PARTITIONS), replication: Some(1), config: BTreeMap::new() };
        topics::ensure(&self.cluster(), &[declared]).await.expect("the topic is made");
        name
    }

    /// Where Millrace's producer puts the keys.
    async fn millrace<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Places {
        let topic = self.topic("millrace").await;
        let mut producer = Producer::idempotent(&self.cluster()).expect("opens");
        let out = producer.topic(&topic).expect("knows the topic");
        for key in keys {
            producer.send(out, &Outgoing { key: Some(key.as_ref()), value: Some(b"v"), ..Outgoing::default() }).expect("sends");
        }
        producer.drain().expect("delivers");
        self.places(topic).await
    }

    /// Where Java's default partitioner puts the keys.
    async fn java(&self, keys: &BTreeSet<String>) -> Places {
        let topic = self.topic("java").await;
        let lines: String = keys.iter().map(|key| format!("{key}\tv\n")).collect();
        console_producer(&self.brokers, &topic, &lines);
        self.places(topic).await
    }

    async fn places(&self, topic: String) -> Places {
        let (sender, receiver) = channel();
        let each = move |record: &millrace_model::Record<'_>| {
            sender.send((record.key.expect("has a key").to_vec(), record.partition)).expect("the test listens");
        };
        compacted::read_to_end(&self.cluster(), &topic, each).await.expect("reads");
        receiver.into_iter().collect()
    }
}

/// Kafka's `kafka-console-producer.sh`: a line is a key, a tab and a value, in UTF-8.
fn console_producer(brokers: &str, topic: &str, lines: &str) {
    let mut child = Command::new("java")
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
        .arg(java_libraries().join("*"))
        .args(["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", brokers, "--topic", topic])
        .args(["--reader-property", "parse.key=true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("java can be started; scripts/setup.sh test installs it");
    child.stdin.take().expect("is piped").write_all(lines.as_bytes()).expect("java reads");
    let output = child.wait_with_output().expect("java ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn java_libraries() -> PathBuf {
    let folder = std::env::var_os("MILLRACE_TEST_JAVA_KAFKA_LIBS").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from).expect(
        "MILLRACE_TEST_JAVA_KAFKA_LIBS names the folder of Kafka's jars; make test sets it, by hand: \
         scripts/services/kafka.sh install && export MILLRACE_TEST_JAVA_KAFKA_LIBS=$(scripts/services/kafka.sh libs)",
    )
}

/// Keys of all lengths around murmur2's steps of four bytes, in characters of one to four bytes of UTF-8, the empty key, and
/// some that are longer than a block of anything. Bytes over 0x7f are those that a signed `byte` of Java could spoil.
fn keys() -> BTreeSet<String> {
    let alphabets = ["abcdefghijklmnopqrstuvwxyz", "0123456789-_:/ ", "äöüßéèñø÷×ÿ\u{80}", "日本語のキー", "🛫🛬✈🧳🗺"];
    let lengths = (0..200).chain([1_000, 4_095, 10_000]);
    lengths.flat_map(|length| alphabets.iter().map(move |alphabet| key(alphabet, length))).collect()
}

fn key(alphabet: &str, length: usize) -> String {
    // Starting elsewhere each time, so that no key is the beginning of the next.
    alphabet.chars().cycle().skip(length % 7).step_by(1 + length % 3).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_goes_to_the_partition_that_java_would_choose() {
    let bench = Bench::start().await;
    let keys = keys();
    assert!(keys.len() > 1_000 && keys.contains(""), "{} keys", keys.len());
    let java = bench.java(&keys).await;
    let millrace = bench.millrace(&keys).await;
    assert_eq!(java.keys().map(Vec::as_slice).collect::<Vec<_>>(), keys.iter().map(String::as_bytes).collect::<Vec<_>>());
    let elsewhere: Places = millrace.iter().filter(|(key, place)| java.get(*key) != Some(place)).map(|(k, p)| (k.clone(), *p)).collect();
    assert_eq!(elsewhere, Places::new());
    assert_eq!(millrace.len(), java.len());
    assert_eq!(millrace.values().collect::<BTreeSet<_>>().len(), PARTITIONS as usize, "all partitions are used");
}

/// The hashes of `testMurmur2` in Kafka's own `UtilsTest`, and that of the empty key.
const MURMUR2: [(&[u8], i32); 7] = [
    (b"21", -973_932_308),
    (b"foobar", -790_332_482),
    (b"a-little-bit-long-string", -985_981_536),
    (b"a-little-bit-longer-string", -1_486_304_829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    (b"abc", 479_470_107),
    (b"", 275_646_681),
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_kafkas_own_test_go_where_their_hash_says() {
    let bench = Bench::start().await;
    let expected: Places = MURMUR2.iter().map(|&(key, hash)| (key.to_vec(), (hash & i32::MAX) % PARTITIONS)).collect();
    assert_eq!(bench.millrace(MURMUR2.map(|(key, _)| key)).await, expected);
}
