//! A database that is reached by several hosts, over a network that the test makes a bad one.

use std::time::{Duration, Instant};

use millrace_connectors::Connection;
use millrace_connectors::postgres::Config;
use millrace_devkit::proxy::{Network, Proxy};
use millrace_model::{Code, Commit, Fault, Offsets, Result, Retry, Sink};
use millrace_runtime::project::{Hosts, Resilience, Secret};
use serde_json::{Value, json};

use crate::rows::{append, at, notes, partition, rows_at};
use crate::warehouse::{Postgres, Warehouse};

/// The database, by way of two proxies.
struct TwoHosts {
    postgres: Postgres,
    hosts: [Proxy; 2],
}

impl TwoHosts {
    async fn new(test: &str) -> Self {
        let postgres = Postgres::new(test).await;
        let config = postgres.config();
        let server = config.host.addresses(config.port)[0].to_string();
        let proxy = async || Proxy::to(server.clone()).await.expect("listens");
        Self { hosts: [proxy().await, proxy().await], postgres }
    }

    fn config(&self, resilience: &Value) -> Config {
        let hosts = self.hosts.each_ref().map(|host| host.address().to_string()).join(",");
        let resilience: Resilience = serde_json::from_value(resilience.clone()).expect("reads");
        Config { host: Hosts::parse(&hosts).expect("two hosts"), resilience, ..self.postgres.config() }
    }

    async fn open(&self, config: Config) -> Result<Box<dyn Sink>> {
        Connection::Postgres(config).open(&append(), &notes()).await
    }
}

/// Loads the next row from wherever the target is.
async fn load(sink: &mut dyn Sink, offset: i64) -> Result<()> {
    sink.write(&rows_at(0, offset, &[(offset, None)])).await?;
    sink.settle().await?;
    let from = if offset == 0 { Offsets::new() } else { at(offset) };
    assert_eq!(sink.commit(&from, &at(offset + 1)).await?, Commit::Done);
    Ok(())
}

fn is_passing(fault: &Fault) -> bool {
    fault.retry() == Retry::BackOff && fault.code() == Code::TargetUnavailable
}

#[tokio::test]
async fn a_load_goes_on_by_the_other_host_when_one_dies() {
    let database = TwoHosts::new("failover").await;
    let config = database.config(&json!({}));
    let link = config.link().clone();
    let mut sink = database.open(config).await.expect("opens by the first host");
    sink.claim(&[partition()]).await.expect("claims");
    load(&mut *sink, 0).await.expect("loads");

    database.hosts[0].is(Network::Down);
    let fault = load(&mut *sink, 1).await.expect_err("the session is gone");
    assert!(is_passing(&fault), "{fault}");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims by the second host"), at(1));
    load(&mut *sink, 1).await.expect("loads");

    database.hosts[1].is(Network::Down);
    database.hosts[0].is(Network::Good);
    load(&mut *sink, 2).await.expect_err("the session is gone");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims by the first host again"), at(2));
    load(&mut *sink, 2).await.expect("loads");
    let warehouse: &dyn Warehouse = &database.postgres;
    let ids = ["0", "1", "2"].map(|id| vec![Some(id.to_owned())]);
    assert_eq!(warehouse.rows("SELECT id FROM notes ORDER BY id").await, ids, "each row once");
    assert_eq!(link.status().breaker, "closed");
}

#[tokio::test]
async fn a_host_that_says_nothing_costs_its_time_once() {
    let database = TwoHosts::new("silent").await;
    database.hosts[0].is(Network::Silent);
    let config = database.config(&json!({ "timeouts": { "connect": "500ms" } }));
    let mut sink = database.open(config.clone()).await.expect("opens by the second host");
    sink.claim(&[partition()]).await.expect("claims");
    let started = Instant::now();
    config.query("SELECT 1").await.expect("is asked of the second host");
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_session_that_gets_no_answer_is_given_up() {
    let database = TwoHosts::new("half_open").await;
    let mut sink = database.open(database.config(&json!({ "timeouts": { "request": "1s" } }))).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    database.hosts[0].is(Network::Silent);
    let fault = load(&mut *sink, 0).await.expect_err("no answer comes");
    assert!(is_passing(&fault) && fault.message().contains("did not answer within 1s"), "{fault}");
    database.hosts[0].is(Network::Down);
    assert_eq!(sink.claim(&[partition()]).await.expect("claims by the second host"), Offsets::new());
    load(&mut *sink, 0).await.expect("loads");
}

#[tokio::test]
async fn a_slow_network_is_no_trouble() {
    let database = TwoHosts::new("slow").await;
    database.hosts[0].is(Network::Slow(Duration::from_millis(20)));
    let config = database.config(&json!({}));
    let mut sink = database.open(config.clone()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    load(&mut *sink, 0).await.expect("loads");
    let status = config.link().status();
    assert!(status.failures == 0 && status.latency_ms.is_some_and(|latency| latency >= 40.0), "{status:?}");
}

#[tokio::test]
async fn a_database_that_is_away_is_left_alone_and_found_again() {
    let database = TwoHosts::new("breaker").await;
    database.hosts.iter().for_each(|host| host.is(Network::Down));
    let config = database.config(&json!({ "retry": { "attempts": 1 }, "breaker": { "failures": 2, "open_for": "300ms" } }));
    for _ in 0..2 {
        let fault = config.query("SELECT 1").await.expect_err("no host answers");
        assert!(is_passing(&fault) && fault.message().contains("none of 2 hosts answers"), "{fault}");
    }
    let fault = config.query("SELECT 1").await.expect_err("nobody is asked");
    assert!(fault.message().contains("left alone after 2 failures"), "{fault}");
    database.hosts[1].is(Network::Good);
    tokio::time::sleep(fault.wait().expect("says for how long")).await;
    config.query("SELECT 1").await.expect("is there again");
    assert_eq!(config.link().status().breaker, "closed");
}

#[tokio::test]
async fn a_load_passes_a_standby_over() {
    let database = TwoHosts::new("standby").await;
    // Both hosts are one server: what tells a standby says so to the first who asks.
    let first_is_standby = "DROP ROLE IF EXISTS sink_standby; CREATE ROLE sink_standby LOGIN SUPERUSER PASSWORD 'x'; \
         ALTER ROLE sink_standby SET search_path = sink_standby, pg_catalog; CREATE SEQUENCE asked; \
         CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS $$ SELECT nextval('sink_standby.asked') = 1 $$";
    let warehouse: &dyn Warehouse = &database.postgres;
    warehouse.execute(first_is_standby).await;
    let config = Config { user: "sink_standby".into(), password: Some(Secret::new("x")), ..database.config(&json!({})) };
    let mut sink = database.open(config.clone()).await.expect("opens by the second host");
    sink.claim(&[partition()]).await.expect("claims");
    load(&mut *sink, 0).await.expect("loads");
    assert_eq!(warehouse.rows("SELECT last_value FROM asked").await, [[Some("2".to_owned())]]);
    config.query("SELECT 1").await.expect("a standby would be as good");
    assert_eq!(warehouse.rows("SELECT last_value FROM asked").await, [[Some("2".to_owned())]], "who reads does not ask");
}
