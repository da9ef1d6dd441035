//! The sources. A new one is an entry of [`SOURCES`]: the suite does the rest.

use std::io::Write as _;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::LocalBoxFuture;
use millrace_tests::orders::SCHEMA;
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service};

use crate::hop::{Hop, difference};
use crate::plan::beginning;
use crate::topic::{letters_in, orders_in, texts};

/// A source as the suite sees it.
pub(crate) struct Source {
    /// What it is called among the hops.
    pub(crate) name: &'static str,
    /// `from:` of the project file.
    from: &'static str,
    /// Makes what must be there before the ingest starts.
    prepare: for<'a> fn(&'a Servers, &'a Project) -> LocalBoxFuture<'a, ()>,
    /// Puts orders there, the part of that number.
    put: for<'a> fn(&'a Servers, &'a Project, usize, &'a [Order]) -> LocalBoxFuture<'a, ()>,
    /// What of it must be gone when all has been read; nothing where all stays.
    left: fn(&Project) -> usize,
}

/// An order as it is read: its id, and an amount that is a number, or is none.
pub(crate) struct Order {
    id: String,
    amount: Result<i32, &'static str>,
}

impl Order {
    fn amount(&self) -> String {
        self.amount.map_or_else(str::to_owned, |amount| amount.to_string())
    }
}

pub(crate) const SOURCES: &[Source] = &[
    Source {
        name: "csv",
        from: r#"{ files: { path: "in/*.csv", interval: 300ms, after: delete } }"#,
        prepare: |_, _| Box::pin(async {}),
        put: |_, project, part, orders| {
            let lines: String = orders.iter().map(|order| format!("{},{}\n", order.id, order.amount())).collect();
            project.write(&format!("in/{part:05}.csv"), format!("id,amount\n{lines}"));
            Box::pin(async {})
        },
        left: |project| std::fs::read_dir(project.folder().join("in")).map_or(0, Iterator::count),
    },
    Source {
        name: "ndjson",
        from: r#"{ files: { path: "in/*.ndjson", interval: 300ms } }"#,
        prepare: |_, _| Box::pin(async {}),
        put: |_, project, part, orders| {
            project.write(&format!("in/{part:05}.ndjson"), ndjson(orders));
            Box::pin(async {})
        },
        left: |_| 0,
    },
    Source {
        name: "gzip",
        from: r#"{ files: { path: "in/*.ndjson.gz", interval: 300ms, after: { move: done } } }"#,
        prepare: |_, _| Box::pin(async {}),
        put: |_, project, part, orders| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(ndjson(orders).as_bytes()).expect("compresses");
            project.write(&format!("in/{part:05}.ndjson.gz"), encoder.finish().expect("compresses"));
            Box::pin(async {})
        },
        left: |project| std::fs::read_dir(project.folder().join("in")).map_or(0, Iterator::count),
    },
    Source {
        name: "objects",
        from: r#"{ files: { path: "s3://millrace/{name}/*.ndjson", interval: 500ms, store: { s3: { endpoint: "${S3}", access_key_id: test, secret_access_key: hunter2 } } } }"#,
        prepare: |_, _| Box::pin(async {}),
        put: |_, project, part, orders| {
            let place = format!("{}/millrace/{}/{part:05}.ndjson", store(), project.name());
            let request = reqwest::Client::new().put(place).body(ndjson(orders));
            Box::pin(async move {
                let answer = request.send().await.expect("the store answers");
                assert!(answer.status().is_success(), "{answer:?}");
            })
        },
        left: |_| 0,
    },
    Source {
        name: "query",
        from: r#"{ query: { connection: warehouse, sql: "SELECT id, amount, number FROM {name}.asked", cursor: number, interval: 200ms, delay: 0s } }"#,
        prepare: |servers, project| {
            Box::pin(async move {
                project.write("order.avsc", NUMBERED);
                let warehouse = Warehouse::of(servers, project).await;
                warehouse.execute(&format!("CREATE TABLE {}.asked (number bigserial, id text, amount integer)", project.name())).await;
            })
        },
        put: |servers, project, _, orders| {
            // Null, which the schema does not allow, is what a query has for a bad one.
            let amount = |order: &Order| order.amount.map_or_else(|_| "NULL".to_owned(), |amount| amount.to_string());
            let rows: Vec<String> = orders.iter().map(|order| format!("('{}', {})", order.id, amount(order))).collect();
            let insert = format!("INSERT INTO {}.asked (id, amount) VALUES {}", project.name(), rows.join(", "));
            Box::pin(async move { Warehouse::at(&servers.postgres, project).await.execute(&insert).await })
        },
        left: |_| 0,
    },
];

/// The schema of orders whose numbers are the cursor of a query.
const NUMBERED: &str = r#"{ "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "string" }, { "name": "amount", "type": "int" }, { "name": "number", "type": "long" } ] }"#;

fn ndjson(orders: &[Order]) -> String {
    let line = |order: &Order| match order.amount {
        Ok(amount) => format!("{{\"id\":\"{}\",\"amount\":{amount}}}\n", order.id),
        Err(text) => format!("{{\"id\":\"{}\",\"amount\":\"{text}\"}}\n", order.id),
    };
    orders.iter().map(line).collect()
}

fn store() -> String {
    std::env::var("MILLRACE_TEST_S3").expect("MILLRACE_TEST_S3 is not set: run this by scripts/services/with-servers.sh")
}

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1 }
ingest:
  orders:
    to: { topic: "{name}.orders", schema: order.avsc, key: id }
    dead_letters: "{name}.dead"
    from: "#;

pub(crate) fn points() -> Vec<&'static str> {
    beginning(&["ingest.pull.", "kafka.commit."])
}

struct Pull {
    servers: Servers,
    project: Project,
    source: &'static Source,
    parts: usize,
    good: Vec<String>,
    bad: Vec<String>,
}

pub(crate) async fn open(servers: &Servers, name: &str) -> Box<dyn Hop> {
    let source = SOURCES.iter().find(|source| source.name == name).unwrap_or_else(|| panic!("no source {name}"));
    let project = Project::new(servers, &format!("{PIPELINES}{}\n", source.from));
    let project = if source.name == "objects" { project.with("S3", store()) } else { project };
    project.write("order.avsc", SCHEMA);
    (source.prepare)(servers, &project).await;
    Box::new(Pull { servers: servers.clone(), project, source, parts: 0, good: Vec::new(), bad: Vec::new() })
}

#[async_trait(?Send)]
impl Hop for Pull {
    fn project(&self) -> &Project {
        &self.project
    }

    fn service(&self) -> &'static str {
        "ingest"
    }

    async fn feed(&mut self, _: &Service) {
        let part = self.parts;
        self.parts += 1;
        let mut orders: Vec<Order> = (0..3).map(|row| Order { id: format!("o{part}_{row}"), amount: Ok(row) }).collect();
        orders.push(Order { id: format!("bad{part}!"), amount: Err("many") });
        (self.source.put)(&self.servers, &self.project, part, &orders).await;
        self.good.extend(orders[..3].iter().map(|order| format!("{}|{}", order.id, order.amount())));
        self.bad.push(orders[3].id.clone());
    }

    async fn difference(&mut self) -> Option<String> {
        let there = orders_in(&self.servers, &self.project.topic("orders")).await;
        let letters = texts(&letters_in(&self.servers, &self.project.topic("dead")).await);
        let left = (self.source.left)(&self.project);
        let letters: Vec<String> = letters.iter().map(|text| bad_id(text)).collect();
        difference("records", &there, &self.good)
            .or_else(|| difference("dead letters", &letters, &self.bad))
            .or_else(|| (left > 0).then(|| format!("{left} files are there that were read")))
    }
}

/// The id of a bad order in the text of its dead letter, whatever that looks like.
pub(crate) fn bad_id(text: &str) -> String {
    let from = text.find("bad").unwrap_or_default();
    text[from..].split_inclusive('!').next().unwrap_or_default().to_owned()
}
