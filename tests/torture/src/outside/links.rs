//! The links from the services to the servers: each is a proxy of Toxiproxy, driven by its HTTP API
//! (<https://github.com/Shopify/toxiproxy#http-api>).

use std::time::Duration;

use millrace_tests::service::free_address;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use super::scripts;
use super::sockets::connections_to;

const PATIENCE: Duration = Duration::from_secs(10);

/// What makes a link and what harms it.
#[derive(Debug, Clone)]
pub(crate) struct Toxiproxy {
    url: String,
    client: Client,
}

/// One link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// What it leads to: `kafka-1`, `registry`, `postgres`.
    pub(crate) name: String,
    /// The port that services connect to.
    pub(crate) port: u16,
    toxiproxy: Toxiproxy,
}

/// Bytes that have come to a link, from both sides, and those that it has passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) came: u64,
    pub(crate) passed: u64,
}

impl Traffic {
    /// Bytes that came and were not passed on.
    pub(crate) fn swallowed(&self) -> u64 {
        self.came.saturating_sub(self.passed)
    }
}

impl Toxiproxy {
    /// That of this run, without a link.
    pub(crate) async fn of_this_run() -> Self {
        let client = Client::builder().timeout(PATIENCE).build().expect("a client");
        let toxiproxy = Self { url: scripts::run("toxiproxy.sh", &["url"]).await, client };
        let old = toxiproxy.ask(Method::GET, "/proxies", Value::Null).await;
        for name in old.as_object().expect("proxies by name").keys() {
            toxiproxy.ask(Method::DELETE, &format!("/proxies/{name}"), Value::Null).await;
        }
        toxiproxy
    }

    /// A link to `upstream` on a port that is free.
    pub(crate) async fn link(&self, name: &str, upstream: &str) -> Link {
        self.link_at(name, free_address().port(), upstream).await
    }

    /// A link to `upstream` on that port.
    pub(crate) async fn link_at(&self, name: &str, port: u16, upstream: &str) -> Link {
        let proxy = json!({ "name": name, "listen": format!("127.0.0.1:{port}"), "upstream": upstream, "enabled": true });
        self.ask(Method::POST, "/proxies", proxy).await;
        Link { name: name.to_owned(), port, toxiproxy: self.clone() }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url: Url = format!("{}{path}", self.url).parse().expect("a URL");
        let request = self.client.request(method, url);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.expect("Toxiproxy answers").error_for_status().expect("Toxiproxy does it");
        answer.json().await.unwrap_or_default()
    }
}

impl Link {
    /// Adds a toxic of this type to what goes `upstream` (to the server) or `downstream`.
    pub(crate) async fn poison(&self, kind: &str, stream: &str, attributes: &Value) {
        let toxic = json!({ "name": kind, "type": kind, "stream": stream, "attributes": attributes });
        self.toxiproxy.ask(Method::POST, &format!("/proxies/{}/toxics", self.name), toxic).await;
    }

    /// Refuses connections, and closes those that there are.
    pub(crate) async fn refuse(&self) {
        self.enabled(false).await;
    }

    /// Makes it well. What bytes a toxic has swallowed must not be missing in the middle of a connection, which no network does: all are closed. The proxy is
    /// made anew, since Toxiproxy may wait for ever for a toxic to end (seen with `latency`).
    pub(crate) async fn heal(&self) {
        let path = format!("/proxies/{}", self.name);
        let known = self.toxiproxy.ask(Method::GET, &path, Value::Null).await;
        self.toxiproxy.ask(Method::DELETE, &path, Value::Null).await;
        let proxy = json!({ "name": self.name, "listen": known["listen"], "upstream": known["upstream"], "enabled": true });
        self.toxiproxy.ask(Method::POST, "/proxies", proxy).await;
    }

    /// Has it lead to another server. Connections that there are end.
    pub(crate) async fn leads_to(&self, upstream: &str) {
        self.enabled(false).await;
        self.toxiproxy.ask(Method::POST, &format!("/proxies/{}", self.name), json!({ "upstream": upstream, "enabled": true })).await;
    }

    /// Ends the connections that there are.
    pub(crate) async fn interrupt(&self) {
        self.enabled(false).await;
        self.enabled(true).await;
    }

    async fn enabled(&self, enabled: bool) {
        self.toxiproxy.ask(Method::POST, &format!("/proxies/{}", self.name), json!({ "enabled": enabled })).await;
    }

    /// The local ports of the connections to it.
    pub(crate) fn connections(&self) -> std::collections::BTreeSet<u16> {
        connections_to(self.port)
    }

    /// What has gone over it.
    pub(crate) async fn traffic(&self) -> Traffic {
        let metrics = self.toxiproxy.client.get(format!("{}/metrics", self.toxiproxy.url)).send().await;
        let metrics = metrics.expect("Toxiproxy answers").text().await.expect("metrics are text");
        let total = |what: &str| sum(&metrics, &format!("toxiproxy_proxy_{what}_bytes_total{{"), &format!("proxy=\"{}\"", self.name));
        Traffic { came: total("received"), passed: total("sent") }
    }
}

/// The sum of the samples of a metric that have this label.
fn sum(metrics: &str, family: &str, label: &str) -> u64 {
    let samples = metrics.lines().filter(|line| line.starts_with(family) && line.contains(label));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}
