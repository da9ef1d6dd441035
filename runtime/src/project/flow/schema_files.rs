//! The Avro schema files that a project names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_model::{Code, Fault, Schema};

use crate::project::files::read_text;
use crate::project::finding::Finding;
use crate::project::findings::Findings;
use crate::project::kind::Kind;
use crate::project::place::Place;
use crate::project::tree::{self, Node, Value};

/// Reads each file once.
#[derive(Debug, Default)]
pub(super) struct SchemaFiles {
    read: BTreeMap<PathBuf, Option<Schema>>,
}

impl SchemaFiles {
    /// The schema in `file`, which is named at `place`. What is wrong with it is found once.
    pub(super) fn schema(&mut self, file: &Path, place: &Place, findings: &mut Findings) -> Option<Schema> {
        if let Some(known) = self.read.get(file) {
            return known.clone();
        }
        let schema = read(file, place, findings);
        self.read.insert(file.to_owned(), schema.clone());
        schema
    }
}

fn read(file: &Path, place: &Place, findings: &mut Findings) -> Option<Schema> {
    let text = match read_text(file) {
        Ok(text) => text,
        Err(error) => {
            findings.push(unreadable(file, &error).at(place.clone()));
            return None;
        }
    };
    let (file, text): (Arc<Path>, Arc<str>) = (Arc::from(file), text.into());
    findings.add_source(&file, &text);
    let avro = serde_json::from_str(&text).map_err(|error| findings.push(not_json(&file, &error))).ok()?;
    crate::codec::schema(avro).map_err(|fault| findings.push(unusable(&file, &text, place, &fault))).ok()
}

fn unreadable(file: &Path, error: &io::Error) -> Finding {
    let finding = Finding::error(Code::ProjectRead, format!("the schema file {} can't be read: {error}", file.display()));
    let beside = beside(file).unwrap_or_default();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    finding.meant(&name, "schema files", beside.iter().map(String::as_str))
}

/// The names of the schema files in the folder of `file`.
fn beside(file: &Path) -> io::Result<Vec<String>> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "avsc")).collect();
    names.sort();
    Ok(names)
}

/// A schema that Millrace can't use, at the field that the fault names where the file has it, else where the file is named.
fn unusable(file: &Arc<Path>, text: &str, named: &Place, fault: &Fault) -> Finding {
    let detail = detail(fault);
    let kind = if detail.contains(" is recursive: ") { Kind::RecursiveType } else { Kind::of(fault.code()) };
    let field = detail.strip_prefix("field `").and_then(|rest| rest.split_once('`')).map(|(path, _)| path);
    let place = field.and_then(|path| field_place(file, text, path)).unwrap_or_else(|| named.clone());
    Finding::error(fault.code(), format!("{}: {detail}", file.display())).kind(kind).help(fault.code().help().to_owned()).at(place)
}

/// Where the field at `path`, such as `items[].sku`, is in the text of a schema. JSON is YAML.
fn field_place(file: &Arc<Path>, text: &str, path: &str) -> Option<Place> {
    let root = tree::parse(file, text).ok()?;
    let (mut record, mut found) = (&root, None);
    for name in path.split(['.', '[', ']', '{', '}']).filter(|name| !name.is_empty()) {
        let Some((place, kind)) = record_of(record).and_then(|record| field(record, name)) else { break };
        (record, found) = (kind, Some(place));
    }
    found
}

/// The record in a type: itself, or what a list, a map or a union of it and null holds.
fn record_of(kind: &Node) -> Option<&Node> {
    match &kind.value {
        Value::List(branches) => branches.iter().find_map(record_of),
        Value::Map(_) if kind.child("fields").is_some() => Some(kind),
        Value::Map(_) => ["type", "items", "values"].iter().find_map(|key| record_of(kind.child(key)?.0)),
        _ => None,
    }
}

/// The place of a field's name, and its type.
fn field<'a>(record: &'a Node, name: &str) -> Option<(Place, &'a Node)> {
    let Value::List(fields) = &record.child("fields")?.0.value else { return None };
    fields.iter().find_map(|field| {
        let (known, place) = field.child("name")?;
        let is_it = matches!(&known.value, Value::Text(text) if text.content == name);
        is_it.then_some((place.clone(), field.child("type")?.0))
    })
}

/// The fault's message and causes, without its code, which is shown beside it.
fn detail(fault: &Fault) -> String {
    let text = fault.to_string();
    let code = format!("{}: ", fault.code());
    text.strip_prefix(&code).unwrap_or(&text).to_owned()
}

fn not_json(file: &Arc<Path>, error: &serde_json::Error) -> Finding {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).max(1);
    let place = Place { file: Arc::clone(file), line: number(error.line()), column: number(error.column()), length: 1 };
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    Finding::error(Code::SchemaInvalid, format!("the schema file is not JSON: {reason}")).at(place)
}
