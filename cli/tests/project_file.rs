//! The project file with the real services: what `check` says of pipelines, and that the documentation is true.

use std::fs;
use std::path::{Path, PathBuf};

use millrace_connectors::Connection;
use millrace_runtime::project::{self, Checked};
use tempfile::TempDir;

type Project = project::Project<
    Connection,
    millrace_ingest::config::Pipeline,
    millrace_transform::config::Pipeline,
    millrace_loader::config::Pipeline,
>;

const FLIGHT: &str = r#"{ "type": "record", "name": "Flight", "fields": [
    { "name": "carrier", "type": "string" },
    { "name": "flight", "type": "int" },
    { "name": "dep_delay", "type": ["null", "double"], "default": null }
] }"#;

const GOOD: &str = "\
version: 1
name: shop
connections:
  warehouse: { password: secret, host: db, database: d, user: u, type: postgres }
  local: { type: sqlite, path: w.db }
ingest:
  api:
    from: { http: { path: /flights } }
    to: { topic: raw, schema: flight.avsc, key: carrier }
transform:
  delays:
    from: raw
    steps:
      - validate: { rules: [ { not_null: [carrier] }, { range: { column: dep_delay, min: -120 } } ] }
      - sql: |
          SELECT carrier, flight,
            dep_delay > 15 AS late
          FROM input
    to: { topic: delays }
load:
  table:
    from: delays
    to: { connection: warehouse, table: delays }
    mode: upsert
    keys: [carrier, flight]
  copy:
    from: delays
    to: { connection: local, table: delays }
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("millrace.yaml"), text).expect("a file");
    fs::write(folder.path().join("flight.avsc"), FLIGHT).expect("a file");
    folder
}

fn check(folder: &Path) -> Checked<Project> {
    project::check(folder, &|_| None)
}

/// What `check` says of the good project with one text replaced.
fn lines(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let folder = folder(&GOOD.replacen(from, to, 1));
    let lines = check(folder.path()).findings.to_lines().replace(&format!("{}/", folder.path().display()), "");
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn a_good_project_is_typed_down_to_its_table() {
    let folder = folder(GOOD);
    let checked = check(folder.path());
    assert_eq!(checked.findings.to_lines(), "");
    let columns: Vec<_> = checked.flow.pipelines["table"].target.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["carrier", "flight", "late"]);
    assert_eq!(checked.flow.topics["delays"].schema.name(), "delays");
}

#[test]
fn the_place_of_wrong_sql_is_in_the_file() {
    let found = lines("dep_delay > 15", "dep_dely > 15");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("millrace.yaml:17:13: error[MR0501]: "), "{found:?}");
    assert!(found[0].ends_with("(did you mean `dep_delay`?)"), "{found:?}");
}

#[test]
fn sql_over_many_rows_is_refused_by_name() {
    let found = lines("dep_delay > 15", "count(*)");
    assert!(found[0].contains("error[MR0502]: ") && found[0].contains("count"), "{found:?}");
}

#[test]
fn a_rule_about_a_column_that_is_not_there_is_shown_at_the_rule() {
    let found = lines("column: dep_delay, min", "column: dep_dely, min");
    assert!(found[0].starts_with("millrace.yaml:14:57: error[MR05"), "{found:?}");
    assert!(found[0].ends_with("(did you mean `dep_delay`?)"), "{found:?}");
}

#[test]
fn a_load_names_a_connection_and_columns_that_exist() {
    assert_eq!(
        lines("connection: warehouse", "connection: warehose"),
        ["millrace.yaml:23:23: error[MR0104]: there is no connection `warehose` (did you mean `warehouse`?)"]
    );
    assert_eq!(
        lines("keys: [carrier, flight]", "keys: [carrier, fligth]"),
        ["millrace.yaml:25:21: error[MR0104]: the topic `delays` has no column `fligth` (did you mean `flight`?)"]
    );
    assert_eq!(
        lines("    keys: [carrier, flight]\n", ""),
        ["millrace.yaml:24:11: error[MR0104]: `mode: upsert` needs the columns that tell rows apart (set `keys: [COLUMN, ...]`)"]
    );
    assert_eq!(
        lines("mode: upsert", "mode: append"),
        ["millrace.yaml:25:5: warning[MR0105]: `mode: append` makes no use of keys (set `mode: upsert`, or leave `keys` out)"]
    );
}

#[test]
fn the_settings_of_connections_and_inputs_are_shown_in_place() {
    assert_eq!(
        lines("user: u, type: postgres", "usr: u, type: postgres"),
        ["millrace.yaml:4:57: error[MR0102]: unknown key `usr` (did you mean `user`?)"]
    );
    assert_eq!(
        lines("type: sqlite", "type: sqlit"),
        [
            "millrace.yaml:5:18: error[MR0102]: expected one of `postgres`, `mysql`, `redshift`, `sqlite`, `lake`, `redis`, found `sqlit` (did you mean `sqlite`?)"
        ]
    );
    assert_eq!(
        lines("http: { path: /flights }", "htpp: { path: /flights }"),
        ["millrace.yaml:8:13: error[MR0102]: expected one of `http`, `files`, `query`, found `htpp` (did you mean `http`?)"]
    );
    assert_eq!(
        lines("http: { path: /flights }", "http: { path: flights }"),
        ["millrace.yaml:8:27: error[MR0102]: expected a path that begins with `/` (write `/flights`)"]
    );
    assert_eq!(
        lines("- sql: |", "- sort: |"),
        ["millrace.yaml:15:9: error[MR0102]: expected one of `sql`, `filter`, `validate`, found `sort`"]
    );
}

#[test]
fn the_flights_example_is_sound() {
    assert_eq!(check(&root().join("examples/flights")).findings.to_text(false), "");
}

#[test]
fn the_orders_example_is_sound_before_and_after_its_schema_moves() {
    let example = root().join("examples/orders");
    assert_eq!(check(&example).findings.to_text(false), "");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: &str, to: &str| fs::copy(example.join(from), folder.path().join(to)).expect("copies");
    fs::create_dir(folder.path().join("schemas")).expect("a folder");
    copy("orders.yaml", "orders.yaml");
    copy("later/currency.yaml", "currency.yaml");
    copy("later/order.avsc", "schemas/order.avsc");
    assert_eq!(check(folder.path()).findings.to_text(false), "");
}

#[test]
fn the_reference_is_up_to_date() {
    let (page, now) = (root().join("docs/project-file-reference.md"), project::reference::<Project>());
    if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
        fs::write(&page, &now).expect("the page is written");
    }
    let current = fs::read_to_string(&page).unwrap_or_default() == now;
    assert!(current, "renew it: MILLRACE_WRITE_DOCS=1 cargo test -p millrace --test project_file");
}

#[test]
fn editors_get_every_kind_of_pipeline_and_connection() {
    let schema = project::json_schema::<Project>().to_string();
    for name in ["IngestPipeline", "TransformPipeline", "LoadPipeline", "postgres", "sqlite", "Files", "Http", "Step", "Rule"] {
        assert!(schema.contains(&format!("\"{name}\"")), "{name}");
    }
}
