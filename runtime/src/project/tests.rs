//! What a user of the project file sees: each test writes a project and reads the answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use millrace_model::{Code, Schema};
use proptest::prelude::*;
use serde::Deserialize;
use tempfile::TempDir;

use super::flow::{Claim, Context, Pipeline, Problem, Sharing, Types};
use super::*;

mod composition;
mod flow;
mod reading;

/// A connection as an outside system would define it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    host: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    file: Option<ProjectPath>,
}

/// A pipeline as a service would define it: it passes on the columns that it names, all of them without names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<Output>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    connection: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    wait: Option<Millis>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    on_error: OnError,
    #[serde(default)]
    delivery: Delivery,
    #[serde(default)]
    dead_letters: DeadLetterConfig,
}

impl<C> Pipeline<C> for Stage {
    fn input(&self) -> Option<&str> {
        self.from.as_deref()
    }

    fn output(&self) -> Option<&Output> {
        self.to.as_ref()
    }

    fn dead_letters(&self) -> &str {
        &self.dead_letters.topic
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    fn claims(&self, _: &Context<'_, C>) -> Vec<Claim> {
        let claim =
            |path| Claim { what: format!("the path `{path}`"), at: vec!["path".into()], sharing: Sharing::Never("choose another".into()) };
        self.path.iter().map(claim).collect()
    }

    fn connections(&self) -> Vec<&str> {
        self.connection.as_deref().into_iter().collect()
    }

    fn types(&self, _: &Context<'_, C>, input: Option<&Schema>) -> Types {
        if let Some(at) = self.sql.as_deref().and_then(|sql| position(sql, "nope")) {
            return Problem::error(Code::SqlInvalid, &["sql"], "no column `nope`").inside(at).into();
        }
        Types { output: input.map(|input| pick(input, &self.columns)), ..Types::default() }
    }
}

fn position(text: &str, word: &str) -> Option<(u32, u32)> {
    let found = text.lines().enumerate().find_map(|(line, content)| Some((line, content.find(word)?)));
    found.map(|(line, column)| (line as u32 + 1, column as u32 + 1))
}

fn pick(input: &Schema, columns: &[String]) -> Schema {
    let mut avro = input.avro().clone();
    if let Some(fields) = avro["fields"].as_array_mut().filter(|_| !columns.is_empty()) {
        fields.retain(|field| columns.iter().any(|column| field["name"] == column.as_str()));
    }
    crate::codec::schema(avro).unwrap_or_else(|_| input.clone())
}

type Sample = Project<Database, Stage, Stage, Stage>;

const FLIGHT: &str = r#"{ "type": "record", "name": "Flight", "fields": [
    { "name": "carrier", "type": "string" },
    { "name": "flight", "type": "int" },
    { "name": "dep_delay", "type": ["null", "double"], "default": null }
] }"#;

struct Folder(TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        Self(folder)
    }

    fn check_with(&self, environment: &[(&str, &str)]) -> Checked<Sample> {
        let variables: BTreeMap<&str, &str> = environment.iter().copied().collect();
        check(self.0.path(), &|name| variables.get(name).map(|&value| value.to_owned()))
    }

    fn check_profile(&self, profile: &str) -> Checked<Sample> {
        check(Location { path: self.0.path(), profile: Some(profile) }, &|_| None)
    }

    /// The findings as lines, without the folder's name.
    fn lines_with(&self, environment: &[(&str, &str)]) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let lines = self.check_with(environment).findings.to_lines().replace(&folder, "");
        lines.lines().map(str::to_owned).collect()
    }
}

fn project(text: &str) -> Folder {
    Folder::of(&[("millrace.yaml", text), ("flight.avsc", FLIGHT)])
}

/// What `check` says of a project, in lines.
fn lines(text: &str) -> Vec<String> {
    project(text).lines_with(&[])
}

fn read(text: &str, environment: &[(&str, &str)]) -> Sample {
    let checked = project(text).check_with(environment);
    let lines = checked.findings.to_lines();
    checked.runnable().expect(&lines).0
}

const GOOD: &str = "
version: 1
name: shop
connections:
  warehouse: { host: \"${DW_HOST:db}\", port: \"${DW_PORT:5439}\" }
ingest:
  flights_api: { to: { topic: flights.raw, schema: flight.avsc, key: carrier }, connection: warehouse }
transform:
  delays: { from: flights.raw, columns: [carrier, dep_delay], to: { topic: flights.delays, key: carrier } }
load:
  delays_table: { from: flights.delays }
";
