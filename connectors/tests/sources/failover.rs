//! Queries of databases that are reached by several hosts.

use millrace_connectors::{Connection, Connections};
use millrace_devkit::proxy::{Network, Proxy};
use millrace_model::Retry;
use millrace_runtime::project::Hosts;
use serde_json::json;

use crate::places::{Database, Mysql, Postgres, source};
use crate::rows::{orders, schema, take};

/// The same database by way of two proxies.
async fn by_two_hosts(mut connection: Connection) -> (Connections, [Proxy; 2]) {
    let server = match &connection {
        Connection::Mysql(config) => config.host.addresses(config.port)[0].to_string(),
        Connection::Postgres(config) => config.host.addresses(config.port)[0].to_string(),
        _ => panic!("has no hosts"),
    };
    let proxy = async || Proxy::to(server.clone()).await.expect("listens");
    let proxies = [proxy().await, proxy().await];
    let hosts = proxies.each_ref().map(|proxy| proxy.address().to_string()).join(",");
    let hosts = Hosts::parse(&hosts).expect("two hosts");
    match &mut connection {
        Connection::Mysql(config) => config.host = hosts,
        Connection::Postgres(config) => config.host = hosts,
        _ => panic!("has no hosts"),
    }
    (Connections::from([("shop".to_owned(), connection)]), proxies)
}

async fn a_query_goes_on_by_the_other_host(database: &dyn Database) {
    database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, customer varchar(20))").await;
    database.execute("INSERT INTO orders VALUES (1, 'ann'), (2, 'ann'), (3, 'ann')").await;
    let (connections, hosts) = by_two_hosts(database.connection()).await;
    let settings =
        json!({ "connection": "shop", "sql": "SELECT customer, id FROM orders", "cursor": "id", "interval": "10ms", "delay": "0s" });
    let query = source(&settings, "query");
    let mut before = query.open("query", &schema(), None, &connections).await.expect("opens by the first host");
    let (read, positions) = take(before.as_mut(), 3).await;
    assert_eq!(read, orders([1, 2, 3]));

    hosts[0].is(Network::Down);
    database.execute("INSERT INTO orders VALUES (4, 'ann')").await;
    let (_, position) = positions.last().expect("a position");
    let mut after = query.open("query", &schema(), Some(position), &connections).await.expect("opens by the second host");
    assert_eq!(take(after.as_mut(), 1).await.0, orders([4]));

    hosts[1].is(Network::Down);
    let gone = query.open("query", &schema(), Some(position), &connections).await;
    assert!(gone.is_err_and(|fault| fault.retry() == Retry::BackOff), "no host is passing trouble");
}

#[tokio::test]
async fn a_query_of_mysql_goes_on_by_the_other_host() {
    a_query_goes_on_by_the_other_host(&Mysql::new("failover").await).await;
}

#[tokio::test]
async fn a_query_of_postgresql_goes_on_by_the_other_host() {
    a_query_goes_on_by_the_other_host(&Postgres::new("failover").await).await;
}
