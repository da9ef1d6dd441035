//! The files of a project as one tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_model::Code;

use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::location::Location;
use super::place::Place;
use super::tree::{self, Entry, Node, Text, Value};
use super::variables::{self, Environment, VariableError};

/// Far more than a project needs; a larger file is something else.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What the file leaves out and the environment has: the section, the key, and the variable.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("kafka", "brokers", "KAFKA_BROKERS"),
    ("kafka", "username", "KAFKA_USERNAME"),
    ("kafka", "password", "KAFKA_PASSWORD"),
    ("kafka", "mechanism", "KAFKA_MECHANISM"),
    ("kafka", "tls", "KAFKA_SSL_ENABLED"),
    ("registry", "url", "SCHEMA_REGISTRY_URL"),
    ("registry", "username", "SCHEMA_REGISTRY_USERNAME"),
    ("registry", "password", "SCHEMA_REGISTRY_PASSWORD"),
    ("registry", "token", "SCHEMA_REGISTRY_TOKEN"),
    ("service", "http", "MILLRACE_HTTP"),
    ("service", "admin", "MILLRACE_ADMIN"),
];

/// A project's files, merged, with variables replaced.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
    /// The folder that paths are relative to.
    pub(super) folder: PathBuf,
}

impl Document {
    /// Reads the project at `path`: a file, or a folder with `millrace.yaml` or else any `.yaml` files in it.
    pub(super) fn read(location: Location<'_>, environment: &Environment<'_>, findings: &mut Findings) -> Option<Self> {
        let path = location.path;
        let (folder, files) = match files(path) {
            Ok(found) => found,
            Err(error) => {
                findings.push(unreadable(path, &error));
                return None;
            }
        };
        let Some(first) = files.first() else {
            let message = format!("there is no project file in {}: millrace.yaml, or any .yaml files", path.display());
            findings.push(Finding::error(Code::ProjectRead, message));
            return None;
        };
        let mut root = Node { value: Value::Map(Vec::new()), place: Place::start(&Arc::from(first.as_path())) };
        for file in &files {
            merge_file(&mut root, file, findings);
        }
        if findings.has_errors() {
            return None;
        }
        replace_variables(&mut root, environment, findings);
        add_defaults(&mut root, environment);
        Some(Self { root, folder })
    }

    /// Where the value at `path` is, or as much of the path as exists.
    pub(super) fn locate<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Place {
        let (mut node, mut place) = (&self.root, &self.root.place);
        for segment in path {
            let Some(child) = node.child(segment) else { break };
            (node, place) = child;
        }
        place.clone()
    }

    /// Where line and column of the text at `path` are. A text with variables in it is another in the file: its beginning.
    pub(super) fn locate_inside<'a>(
        &self,
        path: impl IntoIterator<Item = &'a str> + Clone,
        (line, column): (u32, u32),
        findings: &Findings,
    ) -> Place {
        let scalar = self.locate(path.clone());
        match (self.text(path), findings.source(&scalar.file)) {
            (Some(text), Some(source)) if text.variables.is_empty() => scalar.within(source, &text.content, line, column),
            _ => scalar,
        }
    }

    fn text<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Text> {
        let node = path.into_iter().try_fold(&self.root, |node, segment| node.child(segment).map(|(child, _)| child))?;
        match &node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    Finding::error(Code::ProjectRead, format!("{} can't be read: {error}", path.display()))
}

/// The project's folder and its files in the order of their names.
fn files(path: &Path) -> io::Result<(PathBuf, Vec<PathBuf>)> {
    if !fs::metadata(path)?.is_dir() {
        let folder = path.parent().unwrap_or(Path::new(""));
        return Ok((folder.to_owned(), vec![path.to_owned()]));
    }
    let folder = if path == Path::new(".") { PathBuf::new() } else { path.to_owned() };
    let single = ["millrace.yaml", "millrace.yml"].map(|name| folder.join(name)).into_iter().find(|file| file.is_file());
    let files = match single {
        Some(file) => vec![file],
        None => yaml_files(path, &folder)?,
    };
    Ok((folder, files))
}

fn yaml_files(path: &Path, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = folder.join(entry?.file_name());
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a text file of at most [`MAX_FILE_BYTES`].
pub(super) fn read_text(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    fs::read_to_string(file)
}

fn merge_file(root: &mut Node, file: &Path, findings: &mut Findings) {
    let text = match read_text(file) {
        Ok(text) => text,
        Err(error) => return findings.push(unreadable(file, &error)),
    };
    let (file, text): (Arc<Path>, Arc<str>) = (Arc::from(file), text.into());
    findings.add_source(&file, &text);
    let node = match tree::parse(&file, &text) {
        Ok(node) => node,
        Err(error) => return findings.push(Finding::error(Code::ProjectSyntax, error.message).kind(Kind::Syntax).at(error.place)),
    };
    match (&mut root.value, node.value) {
        (Value::Map(all), Value::Map(entries)) => merge(all, entries, &mut Vec::new(), findings),
        (_, Value::Null) => {}
        _ => findings.push(Finding::error(Code::ProjectSyntax, "expected the keys of a project, such as `version: 1`").at(node.place)),
    }
}

/// Adds entries of one more file. Sections may be spread over files; what is in a section is declared once.
fn merge(all: &mut Vec<Entry>, entries: Vec<Entry>, path: &mut Vec<String>, findings: &mut Findings) {
    for entry in entries {
        let Some(at) = all.iter().position(|other| other.key == entry.key) else {
            all.push(entry);
            continue;
        };
        path.push(entry.key.clone());
        match (&mut all[at].node.value, entry.node.value) {
            (Value::Map(all), Value::Map(entries)) if path.len() == 1 => merge(all, entries, path, findings),
            (Value::Uint(one), Value::Uint(other)) if *one == other && path[0] == "version" => {}
            (_, Value::Null) => {}
            _ => findings.push(twice(path, &all[at].key_place, entry.key_place)),
        }
        path.pop();
    }
}

fn twice(path: &[String], first: &Place, second: Place) -> Finding {
    let message = format!("`{}` is declared twice: here and at {first}", path.join("."));
    Finding::error(Code::ProjectSyntax, message).kind(Kind::DeclaredTwice).at(second)
}

fn replace_variables(root: &mut Node, environment: &Environment<'_>, findings: &mut Findings) {
    variables::substitute(root, environment, &mut |node, error| {
        let finding = match error {
            VariableError::Unset(name) => {
                let help = format!("set it in the environment, or give it a default: ${{{name}:default}}");
                Finding::error(Code::ProjectVariable, format!("the variable {name} has no value")).help(help)
            }
            VariableError::Malformed => {
                let finding = Finding::error(Code::ProjectVariable, "expected ${NAME} or ${NAME:default}").kind(Kind::BadVariable);
                finding.expected("${NAME} or ${NAME:default}".to_owned()).help("a plain ${ is written $${".to_owned())
            }
        };
        findings.push(finding.at(node.place.clone()));
    });
}

fn add_defaults(root: &mut Node, environment: &Environment<'_>) {
    for &(section, key, variable) in DEFAULTS {
        if let Some(value) = environment(variable).filter(|value| !value.is_empty()) {
            add_default(root, section, key, Text { variables: vec![variable.to_owned()], ..Text::plain(value) });
        }
    }
}

fn add_default(root: &mut Node, section: &str, key: &str, text: Text) {
    let place = root.place.clone();
    if root.entry_mut(section).is_none() {
        let Value::Map(sections) = &mut root.value else { return };
        sections.push(Entry { key: section.to_owned(), key_place: place.clone(), node: Node { value: Value::Null, place: place.clone() } });
    }
    let Some(section) = root.entry_mut(section) else { return };
    if matches!(section.node.value, Value::Null) {
        section.node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut section.node.value else { return };
    if entries.iter().all(|entry| entry.key != key) {
        entries.push(Entry { key: key.to_owned(), key_place: place.clone(), node: Node { value: Value::Text(text), place } });
    }
}
