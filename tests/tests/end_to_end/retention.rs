//! Retention takes records that a stopped service has not read.

use std::time::Duration;

use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, command, kafka, until};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn retention_that_overtakes_a_stopped_service_halts_it_and_says_what_is_gone_until_it_is_accepted() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let write = async |count: usize| {
        let order = order(schema, "ann", 1);
        kafka::write(&servers.kafka, &topic, &vec![(None, Some(&order[..])); count]).await;
    };
    let done = async |count: usize| {
        let same = project.topic("same");
        let is_done = async || {
            let done = (kafka::read(&servers.kafka, &same).await.len(), warehouse.count("orders").await);
            (done == (count, count as i64)).then_some(())
        };
        until(&format!("{count} orders are transformed and loaded"), PATIENCE, is_done).await;
    };
    let mut services = ["transform", "loader"].map(|name| Service::start(&project, name));
    for service in &services {
        service.ready().await;
    }
    write(5).await;
    done(5).await;
    for service in &mut services {
        assert!(service.terminate().await.success());
    }
    write(5).await;
    kafka::delete_records(&servers.kafka, &topic, 8).await;

    for (service, pipeline) in services.iter_mut().zip(["same", "rows"]) {
        service.restart();
        let state = service.is("halted").await;
        assert_eq!(state["code"], "MR0208", "{state}");
        let halted = format!("millrace_{}_halted{{", if pipeline == "same" { "transform" } else { "loader" });
        let metrics = service.metrics().await;
        assert!(metrics.lines().any(|line| line.starts_with(&halted) && line.ends_with(" 1")), "{metrics}");
        let said = state["fault"].as_str().expect("a fault");
        let gone = format!("{topic}-0: 3 offsets are gone unread, 5 to 7; the topic begins at 8 now");
        let accept = format!("millrace positions accept {}.{pipeline}", project.name());
        assert!(said.contains(&gone) && said.contains(&accept), "{said}");
    }
    done(5).await;
    for (service, pipeline) in services.iter_mut().zip(["same", "rows"]) {
        let told = command::said(&project, &["positions", "accept", pipeline]);
        assert!(told.contains('5') && told.contains('8'), "{told}");
        service.kill();
        service.restart();
    }
    done(7).await;
}
