//! A project's files, with those that they include, as one tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_model::Code;

use super::files::{Files, plain, read_text, yaml_files};
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::place::Place;
use super::sections::Include;
use super::shape::shape;
use super::tree::{self, Entry, Node, Value};

/// Reads the project's files into one map; what is wrong goes to `findings`.
pub(super) fn assemble(files: &Files, first: &Path, findings: &mut Findings) -> Node {
    let root = Node { value: Value::Map(Vec::new()), place: Place::start(&Arc::from(first)) };
    let mut assembly = Assembly { files, root, read: Vec::new(), open: Vec::new(), findings };
    for file in &files.main {
        if !assembly.is_read(file) {
            assembly.file(file);
        }
    }
    assembly.root
}

/// Parses one file; what is wrong goes to `findings`.
pub(super) fn parse(file: &Path, findings: &mut Findings) -> Option<Node> {
    let text = match read_text(file) {
        Ok(text) => text,
        Err(error) => {
            findings.push(unreadable(file, &error));
            return None;
        }
    };
    let (file, text): (Arc<Path>, Arc<str>) = (Arc::from(file), text.into());
    findings.add_source(&file, &text);
    let parsed = tree::parse(&file, &text);
    parsed.map_err(|error| findings.push(Finding::error(Code::ProjectSyntax, error.message).kind(Kind::Syntax).at(error.place))).ok()
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Finding {
    Finding::error(Code::ProjectRead, format!("{} can't be read: {error}", path.display()))
}

struct Assembly<'a> {
    files: &'a Files,
    root: Node,
    /// The files that were read, by their real paths.
    read: Vec<PathBuf>,
    /// The files that are being read, each included by the one before it.
    open: Vec<PathBuf>,
    findings: &'a mut Findings,
}

impl Assembly<'_> {
    fn file(&mut self, file: &Path) {
        self.read.push(real(file));
        self.open.push(file.to_owned());
        if let Some(node) = parse(file, self.findings) {
            self.merge(file, node);
        }
        self.open.pop();
    }

    fn merge(&mut self, file: &Path, node: Node) {
        let Node { value, place } = node;
        let mut entries = match value {
            Value::Map(entries) => entries,
            Value::Null => return,
            _ => {
                let finding = Finding::error(Code::ProjectSyntax, "expected the keys of a project, such as `version: 1`");
                return self.findings.push(finding.expected("the keys of a project, such as `version: 1`".to_owned()).at(place));
            }
        };
        let include = entries.iter().position(|entry| entry.key == INCLUDE).map(|at| entries.remove(at));
        if let Value::Map(all) = &mut self.root.value {
            merge(all, entries, &mut Vec::new(), self.findings);
        }
        if let Some(include) = include {
            self.include(file, &include);
        }
    }

    fn include(&mut self, file: &Path, entry: &Entry) {
        let Include(paths) = match shape(&entry.node, Path::new("")) {
            Ok(include) => include,
            Err(error) => return self.findings.push(error.moved(&entry.node.place, entry.place()).finding()),
        };
        for (number, path) in paths.iter().enumerate() {
            let place = entry.node.child(&number.to_string()).map_or(&entry.node.place, |(_, place)| place);
            if let Err(finding) = self.one(file, path) {
                self.findings.push(finding.at(place.clone()));
            }
        }
    }

    /// Reads what one path or pattern under `include:` of `file` names.
    fn one(&mut self, file: &Path, path: &str) -> Result<(), Box<Finding>> {
        if path.contains("${") {
            let finding = wrong("a path under `include:` can't have variables");
            return Err(finding.help("use a profile for what differs between places".to_owned()).into());
        }
        let inside = file.strip_prefix(&self.files.folder).ok().and_then(Path::parent).unwrap_or(Path::new(""));
        let path = plain(&inside.join(path)).ok_or_else(|| outside(path))?;
        if path.to_string_lossy().contains(['*', '?', '[']) { self.pattern(&path) } else { self.named(&path) }
    }

    fn named(&mut self, path: &Path) -> Result<(), Box<Finding>> {
        let file = self.files.folder.join(path);
        if file.is_dir() {
            let finding = wrong(format!("{} is a folder", path.display()));
            return Err(finding.help(format!("include its files: {}/*.yaml", path.display())).into());
        }
        if let Some(at) = self.open.iter().position(|open| real(open) == real(&file)) {
            return Err(cycle(&self.open[at..], &file).into());
        }
        fs::metadata(&file).map_err(|error| missing(&file, &error))?;
        self.inside(&file)?;
        if !self.is_read(&file) {
            self.file(&file);
        }
        Ok(())
    }

    /// Reads the files that the pattern matches, but for those that are being read, and overlays.
    fn pattern(&mut self, path: &Path) -> Result<(), Box<Finding>> {
        let pattern = self.files.folder.join(path);
        let matched = glob::glob(&pattern.to_string_lossy()).map_err(|error| wrong(format!("the pattern can't be used: {}", error.msg)))?;
        let matched: Vec<PathBuf> = matched.filter_map(Result::ok).filter(|file| file.is_file()).collect();
        if matched.is_empty() {
            let finding = Finding::warning(Code::ProjectAdvice, format!("{} matches no file", path.display()));
            return Err(finding.kind(Kind::IncludeNothing).help("mend the pattern, or remove it".to_owned()).into());
        }
        for file in matched {
            self.inside(&file)?;
            if !self.is_read(&file) && self.files.overlays.iter().all(|(_, overlay)| real(overlay) != real(&file)) {
                self.file(&file);
            }
        }
        Ok(())
    }

    /// That the file, wherever links lead, is in the project's folder.
    fn inside(&self, file: &Path) -> Result<(), Box<Finding>> {
        let folder = if self.files.folder.as_os_str().is_empty() { Path::new(".") } else { &self.files.folder };
        if real(file).starts_with(real(folder)) { Ok(()) } else { Err(outside(&file.to_string_lossy()).into()) }
    }

    fn is_read(&self, file: &Path) -> bool {
        self.read.contains(&real(file))
    }
}

const INCLUDE: &str = "include";

/// The path with all links followed, where there is such a file.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn wrong(message: impl Into<String>) -> Finding {
    Finding::error(Code::ProjectSyntax, message)
}

fn outside(path: &str) -> Finding {
    let finding = wrong(format!("{path} is outside the project's folder")).kind(Kind::IncludeOutside);
    finding
        .expected("a path inside the project's folder".to_owned())
        .help("move the file into it, or make a project of the outer folder".to_owned())
}

fn cycle(open: &[PathBuf], file: &Path) -> Finding {
    let way: Vec<String> = open.iter().map(PathBuf::as_path).chain([file]).map(|file| file.display().to_string()).collect();
    let finding = wrong(format!("{} includes itself: {}", file.display(), way.join(" → "))).kind(Kind::IncludeCycle);
    finding.help("remove one of the includes".to_owned())
}

fn missing(file: &Path, error: &io::Error) -> Finding {
    let beside = yaml_files(file.parent().unwrap_or(Path::new(""))).unwrap_or_default();
    let name = |file: &Path| file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names: Vec<String> = beside.iter().map(|file| name(file)).collect();
    unreadable(file, error).meant(&name(file), "files", names.iter().map(String::as_str))
}

/// How deep files may share maps: sections of the project, and sections of a profile.
fn shared_depth(path: &[String]) -> usize {
    if path.first().is_some_and(|section| section == "profiles") { 3 } else { 1 }
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
            (Value::Map(all), Value::Map(entries)) if path.len() <= shared_depth(path) => merge(all, entries, path, findings),
            (Value::Uint(one), Value::Uint(other)) if *one == other && path[0] == "version" => {}
            (_, Value::Null) if path.len() == 1 => {}
            (Value::Null, value) if path.len() == 1 => all[at].node.value = value,
            _ => findings.push(twice(path, &all[at].key_place, entry.key_place)),
        }
        path.pop();
    }
}

fn twice(path: &[String], first: &Place, second: Place) -> Finding {
    let message = format!("`{}` is declared twice: here and at {first}", path.join("."));
    Finding::error(Code::ProjectSyntax, message).kind(Kind::DeclaredTwice).at(second)
}
