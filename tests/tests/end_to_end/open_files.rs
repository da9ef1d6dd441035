//! A process that may open few files, or none any more: who connects waits, what runs goes on or says why it can't, and nothing ends.

use std::net::SocketAddr;
use std::time::Duration;

use millrace_devkit::proxy::{Network, Proxy};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::process::{limit_open_files, open_files, processor_time};
use millrace_tests::{Project, Servers, Service, Surroundings, kafka, until};
use reqwest::StatusCode;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_mins(1);
/// How long a process is watched that has no file left.
const WATCHED: Duration = Duration::from_secs(6);
/// The share of one processor that waiting may take, of a build that is not optimised.
const IDLE: f64 = 0.5;
const FEW: u64 = 256;
const POSTS: usize = 20;

const PIPELINES: &str = r#"
service: { head_timeout: 2s }
topics:
  "{name}.orders": { partitions: 1 }
ingest:
  posted:
    from: { http: { path: /orders } }
    to: { topic: "{name}.orders", schema: order.avsc, key: id }
  read:
    from: { files: { path: "in/*.ndjson" } }
    to: { topic: "{name}.orders", schema: order.avsc, key: id }
    dead_letters: "{name}.dead"
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.dead"
"#;

fn project(servers: &Servers) -> Project {
    let project = Project::new(servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    project
}

async fn post(ingest: &Service, id: &str) {
    let answer = ingest.post("/orders", "application/json", &[], json!({ "id": id, "amount": 1 }).to_string()).await;
    assert_eq!(answer.expect("the gateway answers").status(), StatusCode::OK, "{id}");
}

async fn connect(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await.expect("the system takes a connection"));
    }
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_what_the_process_may_open_wait_and_leave_files_for_its_work() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    let mut ingest = Service::start_in(Surroundings::default().after(format!("ulimit -n {FEW}")), &project, "ingest");
    ingest.ready().await;
    let told = "fewer connections at once than service.max_connections";
    assert!(ingest.log().contains(told), "the start says that there are few files:\n{}", ingest.log());

    let _crowd = (connect(ingest.gateway().address(), 300).await, connect(ingest.admin(), 100).await);
    let lines = ingest.log().lines().count();
    for number in 0..POSTS {
        post(&ingest, &number.to_string()).await;
    }
    ingest.ready().await;
    assert!(open_files(ingest.id()) < FEW, "no more than some files are connections");
    let told = ingest.log().lines().count() - lines;
    assert!(told < 20, "it logged {told} lines:\n{}", ingest.log());
    assert_eq!(kafka::read(&servers.kafka, &project.topic("orders")).await.len(), POSTS, "each once");
    assert!(ingest.terminate().await.success(), "it ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_can_open_no_file_waits_without_haste_and_goes_on_when_it_can() {
    let servers = Servers::of_this_run();
    let server = servers.postgres.socket_addrs(|| Some(5432)).expect("has an address")[0].to_string();
    let way = Proxy::to(&server).await.expect("listens");
    let project = project(&servers).with("DW_PORT", way.address().port().to_string());
    let warehouse = Warehouse::of(&servers, &project).await;
    let mut services = ["ingest", "loader"].map(|name| Service::start(&project, name));
    for service in &services {
        service.ready().await;
    }
    post(&services[0], "before").await;
    let loaded = async |count: i64| {
        let told = format!("{count} orders are loaded");
        until(&told, PATIENCE, async || (warehouse.count("orders").await == count).then_some(())).await;
    };
    loaded(1).await;

    // What is open stays so; the numbers of further ones would all be beyond this.
    services.iter().for_each(|service| limit_open_files(service.id(), 3));
    project.write("in/a.ndjson", "{\"id\": \"file\", \"amount\": 2}\n");
    way.is(Network::Down);
    let topic = project.topic("orders");
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    kafka::write(&servers.kafka, &topic, &[(None, Some(&order(schema, "direct", 3)))]).await;
    let crowd = connect(services[0].gateway().address(), 50).await;
    let (used, lines) = (services.each_ref().map(|service| processor_time(service.id())), services.each_ref().map(lines));
    sleep(WATCHED).await;
    for (number, service) in services.iter_mut().enumerate() {
        assert!(service.runs(), "it has ended:\n{}", service.log());
        assert!(service.log().contains("Too many open files"), "it met its limit:\n{}", service.log());
        let busy = processor_time(service.id()).saturating_sub(used[number]).as_secs_f64() / WATCHED.as_secs_f64();
        assert!(busy < IDLE, "it keeps {:.0} % of a processor busy", busy * 100.0);
        let told = self::lines(service) - lines[number];
        assert!(told < 60, "it logged {told} lines in {WATCHED:?}:\n{}", service.log());
    }

    services.iter().for_each(|service| limit_open_files(service.id(), 1024));
    way.is(Network::Good);
    drop(crowd);
    post(&services[0], "after").await;
    loaded(4).await;
    for service in &services {
        service.ready().await;
    }
    assert_eq!(warehouse.rows("orders", &["id"]).await, ["after", "before", "direct", "file"], "each once");
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await, [], "dead letters");
}

fn lines(service: &Service) -> usize {
    service.log().lines().count()
}
