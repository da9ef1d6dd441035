//! Project files.

use std::path::Path;

use millrace_connectors::Connection;
use millrace_ingest::config::Pipeline as Ingest;
use millrace_loader::config::Pipeline as Load;
use millrace_runtime::project::{self, Checked, Project};
use tempfile::TempDir;

const SCHEMA: &str =
    r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": "string"}]}"#;

/// Checks a project of one file, beside a schema `schemas/order.avsc`. Transforms are read as pipelines of ingest: their steps are
/// plans, whose library would be most of what is instrumented.
pub fn project(data: &[u8]) {
    thread_local!(static FOLDER: TempDir = folder());
    FOLDER.with(|folder| {
        let file = folder.path().join("millrace.yaml");
        std::fs::write(&file, data).expect("writes");
        let checked: Checked<Project<Connection, Ingest, Ingest, Load>> = project::check(folder.path(), &|_| None);
        checked.findings.list().iter().filter_map(|finding| finding.place.as_ref()).for_each(|place| {
            let text = if place.file.ends_with("millrace.yaml") { String::from_utf8_lossy(data).into_owned() } else { read(&place.file) };
            let lines = text.split('\n').count().max(1);
            assert!((1..=lines).contains(&(place.line as usize)), "{place} is in no line of the {lines}");
            let column = text.split('\n').nth(place.line as usize - 1).unwrap_or_default().chars().count() + 1;
            assert!((1..=column).contains(&(place.column as usize)), "{place} is in no column of the {column}");
        });
        std::hint::black_box((checked.findings.to_text(true), checked.findings.to_lines(), checked.findings.to_json()));
    });
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("schemas")).expect("a folder");
    std::fs::write(folder.path().join("schemas/order.avsc"), SCHEMA).expect("writes");
    folder
}

fn read(file: &Path) -> String {
    std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
