//! Requests, with a key and without.

use std::collections::BTreeSet;

use async_trait::async_trait;
use millrace_tests::orders::SCHEMA;
use millrace_tests::service::Gateway;
use millrace_tests::{Project, Servers, Service};

use crate::hop::{Hop, difference};
use crate::plan::beginning;
use crate::sources::bad_id;
use crate::topic::{letters_in, orders_in, texts};

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1 }
ingest:
  orders:
    from: { http: { path: /orders } }
    to: { topic: "{name}.orders", schema: order.avsc, key: id }
    dead_letters: "{name}.dead"
"#;

pub(crate) fn points(keyed: bool) -> Vec<&'static str> {
    beginning(&[if keyed { "ingest.keyed." } else { "ingest.push." }, "kafka.commit."])
}

struct Pushed {
    servers: Servers,
    project: Project,
    keyed: bool,
    gateway: Option<Gateway>,
    requests: usize,
    /// Requests that were answered: each is there, once.
    answered: BTreeSet<usize>,
    /// Requests without an answer. With a key they are sent again; without one they are there once, or not at all.
    open: BTreeSet<usize>,
}

pub(crate) fn open(servers: &Servers, keyed: bool) -> Box<dyn Hop> {
    let project = Project::new(servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let (answered, open) = (BTreeSet::new(), BTreeSet::new());
    Box::new(Pushed { servers: servers.clone(), project, keyed, gateway: None, requests: 0, answered, open })
}

impl Pushed {
    async fn send(&mut self, request: usize) {
        let Some(gateway) = &self.gateway else { return };
        let key = request.to_string();
        let headers: &[(&str, &str)] = if self.keyed { &[("idempotency-key", &key)] } else { &[] };
        let answer = gateway.post("/orders", "application/x-ndjson", headers, body(request)).await;
        if answer.is_some_and(|answer| answer.status().is_success()) {
            self.open.remove(&request);
            self.answered.insert(request);
        }
    }

    async fn send_another(&mut self) {
        let request = self.requests;
        self.requests += 1;
        self.open.insert(request);
        self.send(request).await;
    }

    async fn send_again(&mut self) {
        for request in self.open.clone() {
            self.send(request).await;
        }
    }
}

#[async_trait(?Send)]
impl Hop for Pushed {
    fn project(&self) -> &Project {
        &self.project
    }

    fn service(&self) -> &'static str {
        "ingest"
    }

    async fn feed(&mut self, service: &Service) {
        self.gateway = Some(service.gateway());
        if self.keyed {
            self.send_again().await;
        }
        self.send_another().await;
    }

    async fn difference(&mut self) -> Option<String> {
        if self.keyed {
            self.send_again().await;
            if !self.open.is_empty() {
                return Some(format!("{} requests have no answer", self.open.len()));
            }
        } else if self.answered.last() < self.open.last() {
            self.send_another().await;
            return Some("the gateway does not answer yet".to_owned());
        }
        let there = orders_in(&self.servers, &self.project.topic("orders")).await;
        let letters: Vec<String> =
            texts(&letters_in(&self.servers, &self.project.topic("dead")).await).iter().map(|text| bad_id(text)).collect();
        let came = |request: &&usize| there.contains(&rows(**request)[0]);
        let all: Vec<usize> = self.answered.iter().chain(self.open.iter().filter(came)).copied().collect();
        let expected: Vec<String> = all.iter().flat_map(|&request| rows(request)).collect();
        let bad: Vec<String> = all.iter().map(|request| format!("bad{request}!")).collect();
        difference("records", &there, &expected).or_else(|| difference("dead letters", &letters, &bad))
    }
}

/// The good orders of a request as they are in the topic.
fn rows(request: usize) -> [String; 3] {
    [1, 2, 3].map(|amount| format!("o{request}_{amount}|{amount}"))
}

fn body(request: usize) -> String {
    let good: String = (1..=3).map(|amount| format!("{{\"id\":\"o{request}_{amount}\",\"amount\":{amount}}}\n")).collect();
    format!("{good}{{\"id\":\"bad{request}!\",\"amount\":\"many\"}}\n")
}
