//! A broker, a registry and ingest services on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use millrace_connectors::Connections;
use millrace_devkit::{broker, registry};
use millrace_ingest::{Ingest, Progress, Running};
use millrace_model::{Batch, Code, Header, Record, RecordsBuilder, Schema};
use millrace_runtime::codec::{self, Decoder};
use millrace_runtime::dead_letters::{self, DeadLetter};
use millrace_runtime::kafka::topics::Declared;
use millrace_runtime::kafka::{Cluster, compacted};
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::project::{KafkaConfig, RegistryConfig, ServiceConfig};
use millrace_runtime::registry::Registry;
use millrace_runtime::service::{Health, Shutdown, State};
use serde_json::{Value, json};

pub(crate) const TOPIC: &str = "orders";
pub(crate) const DEAD_LETTERS: &str = "dead";
const DEADLINE: Duration = Duration::from_mins(1);

/// Orders: `id` and `customer`, and if need be more.
pub(crate) fn schema() -> Schema {
    let fields = json!([
        { "name": "id", "type": "long" },
        { "name": "customer", "type": "string" },
        { "name": "note", "type": ["null", "string"], "default": null },
        { "name": "weights", "type": { "type": "array", "items": "double" }, "default": [] },
    ]);
    codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema")
}

/// An order that fits a line and, with eight bytes for each of its weights, no record.
pub(crate) fn inflated(id: i64) -> String {
    json!({ "id": id, "customer": "c", "weights": vec![1; 200_000] }).to_string()
}

/// A pipeline from `from` into [`TOPIC`].
pub(crate) fn ingest(from: &Value, more: &Value) -> Ingest {
    let mut config = json!({ "from": from, "to": { "topic": TOPIC, "key": "customer" }, "dead_letters": DEAD_LETTERS });
    config.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let topic = Declared { name: TOPIC.into(), partitions: Some(3), ..Declared::default() };
    let config = serde_json::from_value(config).expect("a configuration");
    Ingest {
        config,
        schema: schema(),
        key: vec!["customer".into()],
        topics: vec![topic, Declared::named(DEAD_LETTERS)],
        connections: Connections::new(),
        progress: Progress::default(),
    }
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    broker: Option<broker::Running>,
    address: SocketAddr,
    _registry: registry::Running,
    pub(crate) registry: Registry,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = registry::start(registry::Config { addr: ([127, 0, 0, 1], 0).into(), data_dir: None }).await.expect("a registry");
        let registry = Registry::new(&RegistryConfig { url: kept.url(), ..RegistryConfig::default() }).expect("a client");
        let address = ([127, 0, 0, 1], 0).into();
        let mut world = Self { folder, broker: None, address, _registry: kept, registry };
        world.start_broker().await;
        world
    }

    pub(crate) async fn start_broker(&mut self) {
        let data_dir = Some(self.folder.path().join("broker"));
        let broker = broker::start(broker::Config { addr: self.address, data_dir, ..broker::Config::default() }).await.expect("a broker");
        self.address = broker.addr;
        self.broker = Some(broker);
    }

    pub(crate) async fn stop_broker(&mut self) {
        self.broker.take().expect("it runs").stop().await;
    }

    pub(crate) fn cluster(&self, instance: &str) -> Cluster {
        Cluster::new(&KafkaConfig { brokers: self.address.to_string(), ..KafkaConfig::default() }, instance)
    }

    /// A folder for input files.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("makes a folder");
        folder
    }

    pub(crate) async fn run(&self, instance: &str, pipelines: Vec<(&str, Ingest)>) -> Service {
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let pipelines = pipelines.into_iter().map(|(name, ingest)| (ingest, Pipeline::new("ingest", "shop", name, &health, &shutdown)));
        let service = ServiceConfig { http: ([127, 0, 0, 1], 0).into(), ..ServiceConfig::default() };
        let running = millrace_ingest::start(pipelines.collect(), &service, &self.cluster(instance), &self.registry, &shutdown).await;
        Service { running: running.expect("starts"), health, shutdown, client: reqwest::Client::new() }
    }

    /// Runs pipelines until they end by themselves; gives how they ended, and how far they came.
    pub(crate) async fn bounded(
        &self,
        instance: &str,
        pipelines: Vec<(&str, Ingest)>,
    ) -> (BTreeMap<String, State>, BTreeMap<String, Progress>) {
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let progress = pipelines.iter().map(|(name, ingest)| ((*name).to_owned(), ingest.progress.clone())).collect();
        let pipelines =
            pipelines.into_iter().map(|(name, ingest)| (ingest, Pipeline::new("ingest", "shop", name, &health, &shutdown).bounded()));
        let service = ServiceConfig { http: ([127, 0, 0, 1], 0).into(), ..ServiceConfig::default() };
        let running = millrace_ingest::start(pipelines.collect(), &service, &self.cluster(instance), &self.registry, &shutdown).await;
        tokio::time::timeout(DEADLINE, running.expect("starts").ended()).await.expect("it ends by itself");
        (health.states(), progress)
    }

    /// Which keys of a compacted topic have a value, by what was committed last.
    pub(crate) async fn keys_of(&self, topic: &'static str) -> BTreeMap<String, bool> {
        let (sender, receiver) = channel();
        let each = move |record: &Record<'_>| {
            let key = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
            sender.send((key, record.value.is_some())).unwrap_or_default();
        };
        compacted::read_to_end(&self.cluster("reader"), topic, each).await.expect("reads");
        receiver.into_iter().collect()
    }

    /// A service with the push pipeline `/orders`.
    pub(crate) async fn gateway(&self) -> Service {
        self.run("one", vec![("web", ingest(&json!({ "http": { "path": "/orders" } }), &json!({})))]).await
    }

    /// Every committed record of [`TOPIC`]. The topic may not be there yet.
    pub(crate) async fn orders(&self) -> Vec<Order> {
        let (sender, receiver) = channel();
        let read =
            compacted::read_to_end(&self.cluster("reader"), TOPIC, move |record| sender.send(owned(record)).unwrap_or_default()).await;
        match read {
            Err(fault) if fault.code() == Code::KafkaTopicMissing => return Vec::new(),
            read => read.expect("reads"),
        }
        self.decoded(receiver.into_iter().collect()).await
    }

    /// Every committed record of a topic, as JSON.
    pub(crate) async fn records(&self, topic: &'static str, schema: &str) -> Vec<Value> {
        let (sender, receiver) = channel();
        let each = move |record: &Record<'_>| sender.send(owned(record)).unwrap_or_default();
        compacted::read_to_end(&self.cluster("reader"), topic, each).await.expect("reads");
        let raw: Vec<Raw> = receiver.into_iter().collect();
        let schema = codec::schema(serde_json::from_str(schema).expect("JSON")).expect("a schema");
        let mut writer = arrow_json::ArrayWriter::new(Vec::new());
        writer.write(self.columns(&raw, &schema).await.columns()).expect("writes");
        writer.finish().expect("ends");
        serde_json::from_slice(&writer.into_inner()).expect("JSON")
    }

    async fn columns(&self, raw: &[Raw], schema: &Schema) -> Batch {
        let mut records = RecordsBuilder::new(TOPIC.into(), raw.len());
        for raw in raw {
            let (key, value) = (Some(raw.key.as_slice()), Some(raw.value.as_slice()));
            records.push(&Record { topic: TOPIC, partition: raw.partition, offset: 0, timestamp: 1, key, value, headers: &[] });
        }
        let records = Arc::new(records.finish());
        let mut decoder = Decoder::new(schema).expect("a decoder");
        millrace_runtime::input::learn(&mut decoder, &self.registry, &records).await.expect("learns");
        let decoded = decoder.decode(&records).expect("decodes");
        assert_eq!(decoded.rejected, []);
        decoded.batch
    }

    async fn decoded(&self, raw: Vec<Raw>) -> Vec<Order> {
        let batch = self.columns(&raw, &schema()).await;
        let ids = batch.columns().column(0).as_primitive::<Int64Type>().values().to_vec();
        raw.into_iter()
            .zip(ids)
            .map(|(raw, id)| Order { id, key: String::from_utf8(raw.key).expect("text"), partition: raw.partition, headers: raw.headers })
            .collect()
    }

    pub(crate) async fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.orders().await.into_iter().map(|order| order.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Waits until [`TOPIC`] has exactly the orders of these ids, each once.
    pub(crate) async fn await_ids(&self, expected: impl IntoIterator<Item = i64>) {
        let expected: Vec<i64> = expected.into_iter().collect();
        let started = Instant::now();
        loop {
            let ids = self.ids().await;
            if ids == expected {
                return;
            }
            assert!(ids.len() <= expected.len() && started.elapsed() < DEADLINE, "{} of {}: {ids:?}", ids.len(), expected.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        dead_letters::read(&self.cluster("reader"), DEAD_LETTERS).await.expect("reads")
    }
}

pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) partition: i32,
    pub(crate) headers: Vec<Header>,
}

struct Raw {
    partition: i32,
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Vec<Header>,
}

fn owned(record: &Record<'_>) -> Raw {
    let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
    Raw { partition: record.partition, key: bytes(record.key), value: bytes(record.value), headers: record.headers.to_vec() }
}

pub(crate) struct Service {
    running: Running,
    pub(crate) health: Health,
    shutdown: Shutdown,
    client: reqwest::Client,
}

impl Service {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address().expect("a gateway"))
    }

    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.post_to("/orders", body)
    }

    pub(crate) fn post_to(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.client.post(self.url(path)).body(body)
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.running.ended().await;
    }

    pub(crate) async fn await_state(&self, pipeline: &str, wanted: impl Fn(&State) -> bool) -> State {
        let started = Instant::now();
        loop {
            let states: BTreeMap<String, State> = self.health.states();
            let state = &states[&format!("ingest/{pipeline}")];
            if wanted(state) {
                return state.clone();
            }
            assert!(started.elapsed() < DEADLINE, "{state:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Status and body of an answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("answers");
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.expect("a body")).expect("JSON"))
}
