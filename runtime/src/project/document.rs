//! The files of a project as one tree.

use std::path::PathBuf;

use millrace_model::Code;

use super::assembly::{assemble, unreadable};
use super::files::Files;
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::location::Location;
use super::place::Place;
use super::profile;
use super::tree::{Entry, Node, Text, Value};
use super::variables::{self, Environment, VariableError};

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
    ("service", "advertise", "MILLRACE_ADVERTISE"),
];

/// A project's files, merged, with variables replaced.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
    /// The folder that paths are relative to.
    pub(super) folder: PathBuf,
}

impl Document {
    /// Reads the project: its files with what they include, the profile laid over them, and variables replaced.
    pub(super) fn read(location: Location<'_>, environment: &Environment<'_>, findings: &mut Findings) -> Option<Self> {
        let files = Files::at(location.path).map_err(|error| findings.push(unreadable(location.path, &error))).ok()?;
        let Some(first) = files.main.first() else {
            let message = format!("there is no project file in {}: neither millrace.yaml nor another .yaml file", location.path.display());
            let help = "name the project's folder or file, such as `millrace check FOLDER`, or set MILLRACE_PROJECT".to_owned();
            findings.push(Finding::error(Code::ProjectRead, message).help(help));
            return None;
        };
        let mut root = assemble(&files, first, findings);
        if is_empty(&root) && !findings.has_errors() {
            let finding = Finding::error(Code::ProjectSyntax, "there is nothing in the project file").kind(Kind::MissingKey);
            findings.push(finding.at(root.place).help("begin it with `version: 1`, a `name:` and a pipeline".to_owned()));
            return None;
        }
        profile::apply(&mut root, &files, location.profile, findings);
        if findings.has_errors() {
            return None;
        }
        replace_variables(&mut root, environment, findings);
        add_defaults(&mut root, environment);
        Some(Self { root, folder: files.folder })
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

fn is_empty(root: &Node) -> bool {
    match &root.value {
        Value::Null => true,
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
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
