//! One trace leads from the request to the row.

use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::postgres::Warehouse;
use millrace_tests::traces::{Collector, hex};
use millrace_tests::{Project, Servers, Service, until};

const PIPELINES: &str = r#"
ingest:
  posted:
    from: { http: { path: /flights } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
transform:
  late:
    from: "{name}.raw"
    steps: [ { sql: "SELECT carrier, flight, dep_delay > 15 AS late FROM input" } ]
    to: { topic: "{name}.late" }
load:
  rows:
    from: "{name}.late"
    to: { connection: warehouse, table: late }
"#;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_request_is_one_trace_down_to_the_row_and_an_unsampled_one_is_none() {
    let (servers, collector) = (Servers::of_this_run(), Collector::start().await);
    let project = Project::new(&servers, PIPELINES)
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .with("OTEL_BSP_SCHEDULE_DELAY", "200")
        .with("MILLRACE_LOG_FORMAT", "json")
        .with("RUST_LOG", "info,millrace_ingest=debug,millrace_transform=debug,millrace_loader=debug");
    project.write("flight.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let services = ["ingest", "transform", "loader"].map(|name| Service::start(&project, name));
    services[0].ready().await;

    let flight = Flights::all().first_json().to_string();
    let unsampled = TRACE.replace('0', "1");
    for (trace, flag) in [(&*unsampled, "00"), (TRACE, "01")] {
        let context = format!("00-{trace}-{CALLER}-{flag}");
        let answer = services[0].post("/flights", "application/json", &[("traceparent", &context)], flight.clone()).await;
        assert!(answer.expect("the gateway answers").status().is_success());
    }
    until("both rows are loaded", PATIENCE, async || (warehouse.count("late").await == 2).then_some(())).await;

    let spans = until("the four spans of the trace", PATIENCE, async || {
        let spans = collector.trace(TRACE);
        (spans.len() >= 4).then_some(spans)
    })
    .await;
    let below = |parent: &str| {
        spans.iter().find(|span| hex(&span.parent_span_id) == parent).unwrap_or_else(|| panic!("no span below {parent}: {spans:?}"))
    };
    let request = below(CALLER);
    let sent = below(&hex(&request.span_id));
    let transformed = below(&hex(&sent.span_id));
    let loaded = below(&hex(&transformed.span_id));
    assert_eq!(transformed.links.len(), 1, "linked to its batch");
    assert_eq!(loaded.links.len(), 1, "linked to its batch");
    assert!(collector.trace(&unsampled).is_empty(), "the unsampled request left spans");
    for (service, message) in services.iter().zip(["answered", "transformed", "staged"]) {
        let log = service.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(message)).collect();
        let carry = |what: &str| !lines.is_empty() && lines.iter().all(|line| line.contains(what));
        assert!(carry("\"pipeline\"") && carry("\"correlation_id\""), "{message}: {lines:?}");
    }
    assert!(services[0].log().lines().any(|line| line.contains("answered") && line.contains(TRACE)), "the log leads to the trace");
}
