//! Loaders: a topic into a table of each sink.

use async_trait::async_trait;
use millrace_tests::command;
use millrace_tests::orders::SCHEMA;
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service};

use crate::hop::{Hop, difference};
use crate::plan::beginning;
use crate::sinks::{self, SINKS, Sink};
use crate::topic::{Orders, letters_in, texts_by_identity};

const TOPICS: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  rows:
    from: "{name}.orders"
    dead_letters: "{name}.dead"
"#;

/// How many ids there are where a later order takes the place of an earlier one.
const IDS: i32 = 23;
const REPLAY: &[&str] = &["dead-letters", "replay", "--every", "--patch", "amount = abs(amount)"];

fn sink(name: &str) -> &'static Sink {
    SINKS.iter().find(|sink| sink.name == name).unwrap_or_else(|| panic!("no sink {name}"))
}

/// The points of a load into a sink: those of the loader, and the sink's own.
pub(crate) fn points(sink: &Sink) -> Vec<&'static str> {
    let own = format!("{}.", sink.kind);
    let is_elsewhere = |point: &&str| [".reshape.", ".park.", ".growth."].iter().any(|step| point.contains(step));
    let mut points = beginning(&["loader.", &own]);
    points.retain(|point| !is_elsewhere(point));
    points
}

/// Those of a load whose table gets columns.
pub(crate) fn growth_points(sink: &Sink) -> Vec<&'static str> {
    beginning(&["loader.reshape.", &format!("{}.growth.", sink.kind)])
}

/// Those of a load that parks keys.
pub(crate) fn parking_points() -> Vec<&'static str> {
    beginning(&["parked.", "loader.park.", "loader.commit.", "loader.settle."])
}

struct Load {
    servers: Servers,
    project: Project,
    sink: &'static Sink,
    orders: Orders,
    grows: bool,
}

async fn open(servers: &Servers, name: &str) -> Load {
    let sink = sink(name);
    let pipelines = format!("{}{TOPICS}{}", sink.connection, sink.load);
    let project = sinks::with_variables(servers, Project::new(servers, &pipelines));
    project.write("order.avsc", SCHEMA);
    (sink.prepare)(servers, &project).await;
    let orders = Orders::of(servers, &project).await;
    Load { servers: servers.clone(), project, sink, orders, grows: false }
}

/// A load of orders of one schema.
pub(crate) async fn appending(servers: &Servers, sink: &str) -> Box<dyn Hop> {
    Box::new(open(servers, sink).await)
}

/// A load of orders whose schema gets a column for each life of the loader.
pub(crate) async fn growing(servers: &Servers, sink: &str) -> Box<dyn Hop> {
    Box::new(Load { grows: true, ..open(servers, sink).await })
}

#[async_trait(?Send)]
impl Hop for Load {
    fn project(&self) -> &Project {
        &self.project
    }

    fn service(&self) -> &'static str {
        "loader"
    }

    async fn life(&mut self) {
        if self.grows {
            self.orders.grow().await;
        }
    }

    async fn feed(&mut self, _: &Service) {
        self.orders.write(if self.sink.upserts { IDS } else { i32::MAX }).await;
    }

    async fn difference(&mut self) -> Option<String> {
        let expected = if self.sink.upserts { self.orders.latest_rows() } else { self.orders.rows() };
        let rows = (self.sink.rows)(&self.servers, &self.project).await;
        let letters = texts_by_identity(&letters_in(&self.servers, &self.project.topic("dead")).await);
        difference("rows", &rows, &expected).or_else(|| difference("dead letters", &letters, self.orders.bad()))
    }
}

/// A load into PostgreSQL that parks the keys of what the table refuses; letters are mended and replayed all the time.
pub(crate) async fn parking(servers: &Servers) -> Box<dyn Hop> {
    let pipelines =
        format!("{TOPICS}    to: {{ connection: warehouse, table: orders }}\n    on_error: park_key\n    commit_interval: 50ms\n");
    let project = Project::new(servers, &pipelines);
    project.write("order.avsc", SCHEMA);
    let warehouse = Warehouse::of(servers, &project).await;
    let columns = "id text NOT NULL, amount integer NOT NULL CHECK (amount > 0)";
    warehouse.execute(&format!("CREATE TABLE {}.orders ({columns})", project.name())).await;
    let orders = Orders::of(servers, &project).await;
    Box::new(Parking { project, warehouse, orders })
}

struct Parking {
    project: Project,
    warehouse: Warehouse,
    orders: Orders,
}

#[async_trait(?Send)]
impl Hop for Parking {
    fn project(&self) -> &Project {
        &self.project
    }

    fn service(&self) -> &'static str {
        "loader"
    }

    async fn feed(&mut self, _: &Service) {
        self.orders.write_with_one_to_park().await;
        replay(&self.project);
    }

    async fn difference(&mut self) -> Option<String> {
        replay(&self.project);
        let rows = self.warehouse.rows("orders", &["id", "amount"]).await;
        difference("rows", &rows, &self.orders.rows())
    }
}

/// Mends and replays the letters that there are. A replay that meets a load which has not passed a letter's record does the rest the next time.
pub(crate) fn replay(project: &Project) {
    command::run(project, REPLAY);
}
