//! Transforms: a topic into a topic.

use std::collections::BTreeMap;

use async_trait::async_trait;
use millrace_tests::orders::SCHEMA;
use millrace_tests::{Project, Servers, Service, kafka};

use crate::hop::{Hop, difference};
use crate::load::replay;
use crate::plan::beginning;
use crate::topic::{Orders, letters_in, orders_in, texts};

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
  "{name}.clean": { partitions: 1 }
transform:
  clean:
    from: "{name}.orders"
    steps: [ { validate: { rules: [ { range: { column: amount, min: 1 } } ] } } ]
    to: { topic: "{name}.clean" }
    dead_letters: "{name}.dead"
"#;

pub(crate) fn points() -> Vec<&'static str> {
    let mut points = beginning(&["transform.", "kafka."]);
    points.retain(|point| !point.contains(".schema."));
    points
}

/// Those of a transform whose input's schema changes.
pub(crate) fn change_points() -> Vec<&'static str> {
    beginning(&["transform.schema.", "transform.produce.after", "kafka.commit.before"])
}

/// Those of a transform that parks keys.
pub(crate) fn parking_points() -> Vec<&'static str> {
    beginning(&["parked.", "transform.dead_letters.", "kafka.commit."])
}

/// What comes to the transform.
#[derive(PartialEq, Eq)]
enum Kind {
    /// Orders of one schema.
    Plain,
    /// Orders whose schema gets a column for each life of the transform.
    Changing,
    /// Orders that wait behind rejected ones of their keys.
    Parking,
}

struct Through {
    servers: Servers,
    project: Project,
    orders: Orders,
    kind: Kind,
}

async fn open(servers: &Servers, pipelines: &str, kind: Kind) -> Box<dyn Hop> {
    let project = Project::new(servers, pipelines);
    project.write("order.avsc", SCHEMA);
    let orders = Orders::of(servers, &project).await;
    Box::new(Through { servers: servers.clone(), project, orders, kind })
}

pub(crate) async fn plain(servers: &Servers) -> Box<dyn Hop> {
    open(servers, PIPELINES, Kind::Plain).await
}

pub(crate) async fn changing(servers: &Servers) -> Box<dyn Hop> {
    open(servers, PIPELINES, Kind::Changing).await
}

pub(crate) async fn parking(servers: &Servers) -> Box<dyn Hop> {
    open(servers, &format!("{PIPELINES}    on_error: park_key\n"), Kind::Parking).await
}

#[async_trait(?Send)]
impl Hop for Through {
    fn project(&self) -> &Project {
        &self.project
    }

    fn service(&self) -> &'static str {
        "transform"
    }

    async fn life(&mut self) {
        if self.kind == Kind::Changing {
            self.orders.grow().await;
        }
    }

    async fn feed(&mut self, _: &Service) {
        if self.kind == Kind::Parking {
            self.orders.write_with_one_to_park().await;
            replay(&self.project);
        } else {
            self.orders.write(i32::MAX).await;
        }
    }

    async fn difference(&mut self) -> Option<String> {
        let clean = self.project.topic("clean");
        if self.kind == Kind::Parking {
            replay(&self.project);
            let there = orders_in(&self.servers, &clean).await;
            return match difference("records", &there, &self.orders.rows()) {
                None => disorder(&self.servers, &clean).await,
                some => some,
            };
        }
        let letters = texts(&letters_in(&self.servers, &self.project.topic("dead")).await);
        let there = orders_in(&self.servers, &clean).await;
        let expected = self.orders.rows();
        difference("records", &there, &expected)
            .or_else(|| (there != expected).then(|| "the records are not in their order".to_owned()))
            .or_else(|| difference("dead letters", &letters, self.orders.bad()))
    }
}

/// A key whose records are not in their order: their ids ascend.
async fn disorder(servers: &Servers, topic: &str) -> Option<String> {
    let mut of_key: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for record in kafka::read(&servers.kafka, topic).await {
        of_key.entry(record.key.expect("a key")).or_default().push(record.value.expect("a value")[6..].to_vec());
    }
    let wrong = of_key.iter().find(|(_, values)| !values.is_sorted());
    wrong.map(|(key, _)| format!("records of the key {} are not in their order", String::from_utf8_lossy(key)))
}
