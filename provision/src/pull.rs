//! Schemas pulled from where they are decided, into files with a lock beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use millrace_connectors::{Connection, DescribedColumn, Relation, described};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::{Locked, PulledSchema, SchemaLock, SchemaOrigin, hash};
use millrace_runtime::registry::Registry;
use serde_json::Value;

use crate::compare::{Comparison, compare};

/// A schema as it is where it is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// Its name in the project.
    pub name: String,
    /// The schema.
    pub avro: Value,
    /// What the lock file says of it.
    pub locked: Locked,
}

/// How what was pulled differs from what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The schema's name in the project.
    pub name: String,
    /// What was pulled before, where it was, or why there is nothing to compare with.
    pub kind: DriftKind,
}

/// How what was pulled differs from what is there.
#[derive(Debug, Clone, PartialEq)]
pub enum DriftKind {
    /// It was not pulled before.
    New,
    /// It has changed where it is decided, or the file has since it was pulled.
    Changed(Box<Comparison>),
    /// It has changed, and can't be compared: why.
    Unlike(String),
    /// Only what the lock file says has: another version or text of the same schema.
    Renewed,
}

/// Pulls a schema.
///
/// # Errors
/// [`Code::SchemaUnknown`] when there is no such subject, what [`Connection::describe`] says of tables and queries, and what
/// [`Registry::schema`] says of registries.
pub async fn pull(name: &str, wanted: &PulledSchema, registry: &Registry, connections: &BTreeMap<String, Connection>) -> Result<Pulled> {
    let (avro, version, id) = match &wanted.origin {
        SchemaOrigin::Subject { name, version } => subject(name, *version, registry).await?,
        SchemaOrigin::Table { connection, table } => {
            let columns = connection_of(connection, connections)?.describe(Relation::Table(table)).await?;
            (of_columns(name, columns, &wanted.not_null)?, None, None)
        }
        SchemaOrigin::Query { connection, query } => {
            let columns = connection_of(connection, connections)?.describe(Relation::Query(query)).await?;
            (of_columns(name, columns, &wanted.not_null)?, None, None)
        }
    };
    let locked = Locked { from: wanted.origin.clone(), version, id, hash: hash(&text(&avro)) };
    Ok(Pulled { name: name.to_owned(), avro, locked })
}

async fn subject(name: &str, version: Option<u32>, registry: &Registry) -> Result<(Value, Option<u32>, Option<u32>)> {
    let found = registry.version(name, version).await?.ok_or_else(|| {
        let what = version.map_or_else(|| "no versions".to_owned(), |version| format!("no version {version}"));
        Fault::operator(Code::SchemaUnknown, format!("the registry has {what} of the subject {name}"))
    })?;
    let invalid = |error| Fault::operator(Code::SchemaInvalid, format!("the schema of the subject {name} is not JSON")).because(error);
    let avro = serde_json::from_str(&found.schema).map_err(|error: serde_json::Error| invalid(error))?;
    Ok((avro, Some(found.version), Some(found.id)))
}

fn connection_of<'a>(name: &str, connections: &'a BTreeMap<String, Connection>) -> Result<&'a Connection> {
    connections.get(name).ok_or_else(|| Fault::operator(Code::ProjectFlow, format!("there is no connection `{name}`")))
}

fn of_columns(name: &str, mut columns: Vec<DescribedColumn>, not_null: &[String]) -> Result<Value> {
    for required in not_null {
        let Some(column) = columns.iter_mut().find(|column| column.name == *required) else {
            return Err(Fault::operator(Code::ProjectFlow, format!("`not_null` names the column {required:?}, which is not there")));
        };
        column.nullable = false;
    }
    described::record(&record_name(name), &columns)
}

/// A record's name of a schema's, in the characters that Avro takes.
fn record_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// A schema as its file has it.
fn text(avro: &Value) -> String {
    format!("{avro:#}\n")
}

/// The files of pulled schemas in a project's folder.
#[derive(Debug, Clone)]
pub struct SchemaFolder {
    folder: PathBuf,
    lock: SchemaLock,
}

impl SchemaFolder {
    /// Those of the project in `folder`.
    ///
    /// # Errors
    /// [`Code::ProjectRead`], for an operator, when the lock file can't be read.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), lock: SchemaLock::read(&PulledSchema::lock_file(folder))? })
    }

    /// How what was pulled differs from what is in the folder; none when it does not.
    pub fn drift(&self, pulled: &Pulled) -> Option<Drift> {
        let name = pulled.name.clone();
        let known = fs::read_to_string(PulledSchema::file(&self.folder, &name)).ok().and_then(|text| serde_json::from_str(&text).ok());
        let (Some(known), Some(locked)) = (known, self.lock.schemas.get(&name)) else {
            return Some(Drift { name, kind: DriftKind::New });
        };
        if known == pulled.avro {
            return (*locked != pulled.locked).then_some(Drift { name, kind: DriftKind::Renewed });
        }
        let kind = match compare(&known, &pulled.avro) {
            Ok(comparison) if comparison.is_same() => DriftKind::Renewed,
            Ok(comparison) => DriftKind::Changed(Box::new(comparison)),
            Err(fault) => DriftKind::Unlike(fault.to_string()),
        };
        Some(Drift { name, kind })
    }

    /// Writes what was pulled, each file at once. Of the lock file only what is still `declared` is kept.
    ///
    /// # Errors
    /// [`Code::Io`], for an operator.
    pub fn write(mut self, pulled: &[Pulled], declared: &BTreeMap<String, PulledSchema>) -> Result<()> {
        self.lock.schemas.retain(|name, _| declared.contains_key(name));
        for one in pulled {
            put(&PulledSchema::file(&self.folder, &one.name), &text(&one.avro))?;
            self.lock.schemas.insert(one.name.clone(), one.locked.clone());
        }
        put(&PulledSchema::lock_file(&self.folder), &self.lock.text())
    }
}

/// Writes a file at once: who reads it sees all of it or what was there before.
pub(crate) fn put(file: &Path, content: &str) -> Result<()> {
    let failed = |error| Fault::operator(Code::Io, format!("{} can't be written", file.display())).because(error);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let draft = file.with_extension("draft");
    fs::write(&draft, content).and_then(|()| fs::rename(&draft, file)).map_err(failed)
}

impl Drift {
    /// What has changed, in a line or, for a changed schema, more.
    pub fn message(&self) -> String {
        let name = &self.name;
        match &self.kind {
            DriftKind::New => format!("the schema `{name}` is not in the project yet"),
            DriftKind::Renewed => format!("the schema `{name}` is of another version, and the same to readers and writers"),
            DriftKind::Unlike(why) => format!("the schema `{name}` has changed, and can't be compared: {why}"),
            DriftKind::Changed(comparison) => {
                let changes: Vec<String> = comparison.changes.iter().map(ToString::to_string).collect();
                format!("the schema `{name}` has changed: {}", changes.join("; "))
            }
        }
    }
}
