//! Kafka Connect as its users drive it: connectors by its REST API, Avro by a converter that speaks to the registry.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Map, Value, json};

use crate::{Project, Servers, until};

/// It may still be starting when the first test asks.
const PATIENCE: Duration = Duration::from_mins(2);

/// A connector of one task. It is removed by [`Connector::remove`]; a failing test leaves it to the end of Connect.
#[derive(Debug)]
pub struct Connector {
    url: String,
    client: Client,
}

impl Connector {
    /// Creates the connector `name` and waits until its task runs.
    pub async fn create(servers: &Servers, name: &str, settings: Value) -> Self {
        let connector = Self { url: format!("{}/connectors/{name}", servers.connect), client: Client::new() };
        until("Kafka Connect takes the connector", PATIENCE, async || connector.put(&settings).await).await;
        until(&format!("the connector {name} runs"), PATIENCE, async || {
            let said = connector.status().await?;
            assert_ne!(said["tasks"][0]["state"], "FAILED", "{}", said["tasks"][0]["trace"].as_str().unwrap_or_default());
            (said["tasks"][0]["state"] == "RUNNING").then_some(())
        })
        .await;
        connector
    }

    /// `None` while Connect is starting or busy.
    async fn put(&self, settings: &Value) -> Option<()> {
        let answer = self.client.put(format!("{}/config", self.url)).json(settings).send().await.ok()?;
        let status = answer.status();
        assert!(status.as_u16() != 400, "Connect refused the connector: {}", answer.text().await.unwrap_or_default());
        status.is_success().then_some(())
    }

    async fn status(&self) -> Option<Value> {
        self.client.get(format!("{}/status", self.url)).send().await.ok()?.json().await.ok()
    }

    /// What its task says of itself: `RUNNING`, `FAILED`, …
    pub async fn state(&self) -> String {
        let said = self.status().await.expect("Connect answers");
        said["tasks"][0]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Removes it.
    pub async fn remove(self) {
        self.client.delete(&self.url).send().await.expect("Connect answers").error_for_status().expect("the connector is removed");
    }
}

/// Settings of Debezium's JDBC sink that writes `table` in the project's schema, from what is committed, from a topic's start.
pub fn jdbc_sink(servers: &Servers, project: &Project, table: &str) -> Map<String, Value> {
    let database = &servers.postgres;
    let url = format!("jdbc:postgresql://{}:{}{}", database.host_str().expect("a host"), database.port().unwrap_or(5432), database.path());
    let settings = [
        ("connector.class", json!("io.debezium.connector.jdbc.JdbcSinkConnector")),
        ("tasks.max", json!("1")),
        ("connection.url", json!(format!("{url}?currentSchema={}", project.name()))),
        ("connection.username", json!(database.username())),
        ("connection.password", json!(database.password().unwrap_or_default())),
        ("schema.evolution", json!("basic")),
        // Without the schema the sink takes a table of that name in any schema for its own.
        ("collection.name.format", json!(format!("{}.{table}", project.name()))),
        ("consumer.override.auto.offset.reset", json!("earliest")),
        ("consumer.override.isolation.level", json!("read_committed")),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Settings that make a connector read or write Confluent-framed Avro as `role` (`key` or `value`). Ids are those of the
/// registry's Confluent API, and stand in the bytes, not in headers.
pub fn avro(servers: &Servers, role: &str) -> Map<String, Value> {
    let registry = servers.registry.replace("/apis/ccompat/v7", "/apis/registry/v2");
    let converter = [
        ("", json!("io.apicurio.registry.utils.converter.AvroConverter")),
        (".apicurio.registry.url", json!(registry)),
        (".apicurio.registry.as-confluent", json!("true")),
        (".apicurio.registry.use-id", json!("contentId")),
        (".apicurio.registry.headers.enabled", json!("false")),
        (".apicurio.registry.auto-register", json!("true")),
        (".apicurio.registry.find-latest", json!("true")),
    ];
    converter.into_iter().map(|(name, value)| (format!("{role}.converter{name}"), value)).collect()
}
