//! Targets that are reached by several hosts: one server over two networks that the test makes bad ones, and servers that follow one another.

mod mysql;
mod redis;

use std::time::{Duration, Instant};

use millrace_connectors::{Connection, TableConfig};
use millrace_devkit::proxy::{Network, Proxy};
use millrace_model::{Code, Commit, Fault, Offsets, Result, Retry, Sink};
use millrace_runtime::project::{Hosts, Resilience, Secret};
use serde_json::{Value, json};

use crate::mysql::Mysql;
use crate::redis::Redis;
use crate::rows::{append, at, notes, partition, rows_at, upsert};
use crate::warehouse::{Postgres, Warehouse};

/// A target by way of two proxies.
struct TwoHosts {
    place: Box<dyn Warehouse>,
    hosts: [Proxy; 2],
}

impl TwoHosts {
    async fn of(place: impl Warehouse + 'static) -> Self {
        let mut connection = place.connection();
        let (host, port, _) = reached(&mut connection);
        let server = host.addresses(port)[0].to_string();
        let proxy = async || Proxy::to(server.clone()).await.expect("listens");
        Self { hosts: [proxy().await, proxy().await], place: Box::new(place) }
    }

    fn connection(&self, settings: &Value) -> Connection {
        let mut connection = self.place.connection();
        let (host, _, resilience) = reached(&mut connection);
        *host = Hosts::parse(&self.hosts.each_ref().map(|host| host.address().to_string()).join(",")).expect("two hosts");
        *resilience = serde_json::from_value(settings.clone()).expect("reads");
        connection
    }

    /// The table of notes: rows that come twice show, where the target can have them.
    fn table(&self) -> TableConfig {
        self.place.table(&self.place.able([append(), upsert()])[0])
    }

    async fn open(&self, connection: &Connection) -> Result<Box<dyn Sink>> {
        connection.open(&self.table(), &notes()).await
    }
}

/// How a server is reached: its hosts, their port, and how patiently.
fn reached(connection: &mut Connection) -> (&mut Hosts, u16, &mut Resilience) {
    match connection {
        Connection::Postgres(config) => (&mut config.host, config.port, &mut config.resilience),
        Connection::Mysql(config) => (&mut config.host, config.port, &mut config.resilience),
        Connection::Redis(config) => (&mut config.host, config.port, &mut config.resilience),
        _ => panic!("has no hosts"),
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

macro_rules! every_server {
    ($name:ident: $new:expr) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn a_load_goes_on_by_the_other_host_when_one_dies() {
                goes_on_by_the_other_host_when_one_dies(&TwoHosts::of($new("failover").await).await).await;
            }

            #[tokio::test]
            async fn a_session_that_gets_no_answer_is_given_up() {
                is_given_up_when_no_answer_comes(&TwoHosts::of($new("half_open").await).await).await;
            }
        }
    };
}

every_server! { of_postgresql: Postgres::new }
every_server! { of_mysql: Mysql::new }
every_server! { of_redis: Redis::hashes }

async fn goes_on_by_the_other_host_when_one_dies(database: &TwoHosts) {
    let connection = database.connection(&json!({}));
    let mut sink = database.open(&connection).await.expect("opens by the first host");
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
    assert_eq!(database.place.notes().await, ["0 null", "1 null", "2 null"], "each row once");
    assert_eq!(connection.link().status().breaker, "closed");
}

async fn is_given_up_when_no_answer_comes(database: &TwoHosts) {
    let connection = database.connection(&json!({ "timeouts": { "request": "4s" } }));
    let mut sink = database.open(&connection).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    database.hosts[0].is(Network::Silent);
    let fault = load(&mut *sink, 0).await.expect_err("no answer comes");
    assert!(is_passing(&fault) && fault.message().contains("did not answer within 4s"), "{fault}");
    database.hosts[0].is(Network::Down);
    assert_eq!(sink.claim(&[partition()]).await.expect("claims by the second host"), Offsets::new());
    load(&mut *sink, 0).await.expect("loads");
}

#[tokio::test]
async fn a_host_that_says_nothing_costs_its_time_once() {
    let database = TwoHosts::of(Postgres::new("silent").await).await;
    database.hosts[0].is(Network::Silent);
    let connection = database.connection(&json!({ "timeouts": { "connect": "500ms" } }));
    let mut sink = database.open(&connection).await.expect("opens by the second host");
    sink.claim(&[partition()]).await.expect("claims");
    let started = Instant::now();
    connection.query("SELECT 1").await.expect("is asked of the second host");
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_slow_network_is_no_trouble() {
    let database = TwoHosts::of(Postgres::new("slow").await).await;
    database.hosts[0].is(Network::Slow(Duration::from_millis(20)));
    let connection = database.connection(&json!({}));
    let mut sink = database.open(&connection).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    load(&mut *sink, 0).await.expect("loads");
    let status = connection.link().status();
    assert!(status.failures == 0 && status.latency_ms.is_some_and(|latency| latency >= 40.0), "{status:?}");
}

#[tokio::test]
async fn a_database_that_is_away_is_left_alone_and_found_again() {
    let database = TwoHosts::of(Postgres::new("breaker").await).await;
    database.hosts.iter().for_each(|host| host.is(Network::Down));
    let connection = database.connection(&json!({ "retry": { "attempts": 1 }, "breaker": { "failures": 2, "open_for": "300ms" } }));
    for _ in 0..2 {
        let fault = connection.query("SELECT 1").await.expect_err("no host answers");
        assert!(is_passing(&fault) && fault.message().contains("none of 2 hosts answers"), "{fault}");
    }
    let fault = connection.query("SELECT 1").await.expect_err("nobody is asked");
    assert!(fault.message().contains("left alone after 2 failures"), "{fault}");
    database.hosts[1].is(Network::Good);
    tokio::time::sleep(fault.wait().expect("says for how long")).await;
    connection.query("SELECT 1").await.expect("is there again");
    assert_eq!(connection.link().status().breaker, "closed");
}

#[tokio::test]
async fn a_load_passes_a_standby_over() {
    let database = TwoHosts::of(Postgres::new("standby").await).await;
    // Both hosts are one server: what tells a standby says so to the first who asks.
    let first_is_standby = "DROP ROLE IF EXISTS sink_standby; CREATE ROLE sink_standby LOGIN SUPERUSER PASSWORD 'x'; \
         ALTER ROLE sink_standby SET search_path = sink_standby, pg_catalog; CREATE SEQUENCE asked; \
         CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS $$ SELECT nextval('sink_standby.asked') = 1 $$";
    let warehouse = &database.place;
    warehouse.execute(first_is_standby).await;
    let mut connection = database.connection(&json!({}));
    let Connection::Postgres(config) = &mut connection else { panic!("is PostgreSQL") };
    (config.user, config.password) = ("sink_standby".into(), Some(Secret::new("x")));
    let mut sink = database.open(&connection).await.expect("opens by the second host");
    sink.claim(&[partition()]).await.expect("claims");
    load(&mut *sink, 0).await.expect("loads");
    assert_eq!(warehouse.rows("SELECT last_value FROM asked").await, [[Some("2".to_owned())]]);
    connection.query("SELECT 1").await.expect("a standby would be as good");
    assert_eq!(warehouse.rows("SELECT last_value FROM asked").await, [[Some("2".to_owned())]], "who reads does not ask");
}
