//! Profiles: values that lie over a project's own.

use std::collections::BTreeMap;
use std::path::Path;

use millrace_model::Code;

use super::assembly::parse;
use super::files::Files;
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::place::Place;
use super::sections::Overlay;
use super::shape::shape;
use super::suggest::nearest;
use super::tree::{Entry, Node, Value};

/// The key of a project's profiles.
const PROFILES: &str = "profiles";
/// The keys that a profile can't have: they say what the project is made of.
const OF_THE_PROJECT: [&str; 2] = ["include", PROFILES];

/// Takes the profiles out of the project, and lays the chosen one over it. What a file of the profile has lies over what the
/// project's own files have for it.
pub(super) fn apply(root: &mut Node, files: &Files, chosen: Option<&str>, findings: &mut Findings) {
    let profiles = take(root, findings);
    let Some(chosen) = chosen else { return };
    let inline = profiles.iter().position(|entry| entry.key == chosen);
    let beside = files.overlays.iter().find(|(profile, _)| profile == chosen);
    if inline.is_none() && beside.is_none() {
        let names = profiles.iter().map(|entry| entry.key.as_str()).chain(files.overlays.iter().map(|(profile, _)| profile.as_str()));
        return findings.push(unknown(chosen, names.collect(), &root.place));
    }
    let inline = inline.and_then(|at| profiles.into_iter().nth(at)).map(|entry| entry.node);
    let beside = beside.and_then(|(_, file)| parse(file, findings));
    for overlay in inline.into_iter().chain(beside) {
        lay(root, overlay, findings);
    }
}

/// The profiles of the project, which are no part of what it is without one.
fn take(root: &mut Node, findings: &mut Findings) -> Vec<Entry> {
    let Value::Map(entries) = &mut root.value else { return Vec::new() };
    let Some(at) = entries.iter().position(|entry| entry.key == PROFILES) else { return Vec::new() };
    let entry = entries.remove(at);
    if let Err(error) = shape::<BTreeMap<String, Overlay>>(&entry.node, Path::new("")) {
        findings.push(error.moved(&entry.node.place, entry.place()).finding());
        return Vec::new();
    }
    match entry.node.value {
        Value::Map(profiles) => profiles,
        _ => Vec::new(),
    }
}

fn unknown(chosen: &str, mut known: Vec<&str>, project: &Place) -> Finding {
    known.sort_unstable();
    known.dedup();
    let finding = Finding::error(Code::ProjectRead, format!("the project has no profile `{chosen}`")).kind(Kind::UnknownProfile);
    if known.is_empty() {
        let help = format!("it has no profiles at all: declare one under `profiles:`, or in a file such as millrace.{chosen}.yaml");
        return finding.help(help).at(Place { length: 0, ..project.clone() });
    }
    finding.meant(chosen, PROFILES, known).at(Place { length: 0, ..project.clone() })
}

fn lay(root: &mut Node, overlay: Node, findings: &mut Findings) {
    match (&mut root.value, overlay.value) {
        (Value::Map(base), Value::Map(over)) => {
            let over = over.into_iter().filter(|entry| is_allowed(entry, findings)).collect();
            lay_entries(base, over, 0, findings);
        }
        (_, Value::Null) => {}
        _ => {
            let finding = Finding::error(Code::ProjectSyntax, "expected keys of the project with other values");
            findings.push(finding.expected("keys of the project with other values".to_owned()).at(overlay.place));
        }
    }
}

fn is_allowed(entry: &Entry, findings: &mut Findings) -> bool {
    let allowed = !OF_THE_PROJECT.contains(&entry.key.as_str());
    if !allowed {
        let finding = Finding::error(Code::ProjectSyntax, format!("a profile can't have `{}:`", entry.key)).kind(Kind::BadProfile);
        findings
            .push(finding.help("it says what the project is made of: write it in the project file".to_owned()).at(entry.key_place.clone()));
    }
    allowed
}

/// Lays entries over others, which are `depth` keys deep in the project.
fn lay_entries(base: &mut Vec<Entry>, over: Vec<Entry>, depth: usize, findings: &mut Findings) {
    for entry in over {
        match base.iter().position(|other| other.key == entry.key) {
            None => add(base, entry, depth, findings),
            Some(at) => match (&mut base[at].node.value, entry.node.value) {
                (_, Value::Null) => drop(base.remove(at)),
                (Value::Map(base), Value::Map(over)) => lay_entries(base, over, depth + 1, findings),
                (_, value) => base[at] = Entry { node: Node { value, place: entry.node.place }, ..entry },
            },
        }
    }
}

/// Adds what the project does not have. Where that is probably a misspelling, it is said: unknown keys are refused later, names are not.
fn add(base: &mut Vec<Entry>, entry: Entry, depth: usize, findings: &mut Findings) {
    let removes = matches!(entry.node.value, Value::Null);
    if removes || depth == 1 {
        let what = if removes { "removes" } else { "adds" };
        let message = format!("the profile {what} `{}`, which the project does not have", entry.key);
        let finding = Finding::warning(Code::ProjectAdvice, message).kind(Kind::IdleProfile);
        let finding = finding.suggestion(nearest(&entry.key, base.iter().map(|entry| entry.key.as_str())).map(str::to_owned));
        if removes || finding.suggestion.is_some() {
            findings.push(finding.at(entry.key_place.clone()));
        }
    }
    if !removes {
        base.push(entry);
    }
}
