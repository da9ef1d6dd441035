//! A catalogue of broken projects, each with what `check` says of it.
//!
//! A case is a file `broken/NAME.case`: what the mistake is, then files after lines like `-- millrace.yaml --`, and last, after
//! `-- findings --`, what is said. `profile: NAME` and `variable: NAME=VALUE` may stand above the files. The folder
//! `broken/schemas` is a part of every case. `MILLRACE_WRITE_DOCS=1` writes down what is said now.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use millrace_connectors::Connection;
use millrace_runtime::project::{self, Checked, Findings, Location};

type Project = project::Project<
    Connection,
    millrace_ingest::config::Pipeline,
    millrace_transform::config::Pipeline,
    millrace_loader::config::Pipeline,
>;

/// The catalogue is worth something when it is wide.
const LEAST: usize = 40;
const FINDINGS: &str = "findings";

/// One broken project.
struct Case {
    file: PathBuf,
    /// Everything before the findings.
    head: String,
    profile: Option<String>,
    variables: BTreeMap<String, String>,
    files: Vec<(String, String)>,
    findings: String,
}

impl Case {
    fn read(file: PathBuf) -> Self {
        let text = fs::read_to_string(&file).expect("a case");
        let (head, findings) = text.split_once(&mark(FINDINGS)).map_or((text.as_str(), ""), |(head, findings)| (head, findings));
        let (mut case, mut name) = (Self::empty(file, head, findings), String::new());
        for line in head.split_inclusive('\n') {
            match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
                Some(next) => {
                    next.clone_into(&mut name);
                    case.files.push((name.clone(), String::new()));
                }
                None if name.is_empty() => case.set(line.trim()),
                None => case.files.last_mut().expect("a file").1.push_str(line),
            }
        }
        case
    }

    fn empty(file: PathBuf, head: &str, findings: &str) -> Self {
        let (head, findings) = (head.to_owned(), findings.to_owned());
        Self { file, head, profile: None, variables: BTreeMap::new(), files: Vec::new(), findings }
    }

    fn set(&mut self, line: &str) {
        if let Some(profile) = line.strip_prefix("profile: ") {
            self.profile = Some(profile.to_owned());
        } else if let Some((name, value)) = line.strip_prefix("variable: ").and_then(|setting| setting.split_once('=')) {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    /// What is said of the project, in a folder of its own that is the working directory.
    fn check(&self, schemas: &[(String, String)]) -> Findings {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in schemas.iter().chain(&self.files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        std::env::set_current_dir(folder.path()).expect("the folder is there");
        let location = Location { path: Path::new("."), profile: self.profile.as_deref() };
        let checked: Checked<Project> = project::check(location, &|name| self.variables.get(name).cloned());
        checked.findings
    }
}

fn mark(name: &str) -> String {
    format!("-- {name} --\n")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn schemas() -> Vec<(String, String)> {
    let name = |file: &Path| format!("schemas/{}", file.file_name().expect("a name").to_string_lossy());
    files_of(&folder().join("schemas")).iter().map(|file| (name(file), fs::read_to_string(file).expect("a schema"))).collect()
}

/// What tools are told must be whole: each finding has a kind, and a place with its line wherever there is one.
fn assert_machine_readable(case: &Path, findings: &Findings) {
    assert!(findings.list().is_sorted_by_key(|finding| finding.severity), "{}: errors come first", case.display());
    for finding in findings.to_json().as_array().expect("a list") {
        let has = |key: &str| !finding[key].is_null();
        assert!(has("severity") && has("code") && has("message") && finding["kind"] != "other", "{}: {finding:#}", case.display());
        let placed = ["file", "line", "column", "length", "source"].map(has);
        assert!(placed == [true; 5] || finding["kind"] == "unreadable", "{}: {finding:#}", case.display());
        assert!(!has("suggestion") || finding["help"].as_str().is_some_and(|help| help.contains("did you mean")), "{finding:#}");
    }
}

/// The lines that are only in one of two texts.
fn difference(pinned: &str, now: &str) -> String {
    let mut text = String::new();
    for line in pinned.lines().filter(|line| !now.lines().any(|other| other == *line)) {
        writeln!(text, "- {line}").expect("a text");
    }
    for line in now.lines().filter(|line| !pinned.lines().any(|other| other == *line)) {
        writeln!(text, "+ {line}").expect("a text");
    }
    text
}

#[test]
fn each_mistake_is_said_as_it_is_pinned() {
    let write = std::env::var_os("MILLRACE_WRITE_DOCS").is_some();
    let (schemas, mut wrong, mut count) = (schemas(), String::new(), 0);
    for file in files_of(&folder()).into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "case")) {
        let case = Case::read(file);
        let findings = case.check(&schemas);
        let now = findings.to_text(false);
        if findings.list().is_empty() {
            writeln!(wrong, "{} is not broken", case.file.display()).expect("a text");
            continue;
        }
        assert_machine_readable(&case.file, &findings);
        count += 1;
        if now == case.findings {
            continue;
        }
        if write {
            fs::write(&case.file, format!("{}{}{now}", case.head, mark(FINDINGS))).expect("the case is written");
        } else {
            write!(wrong, "{}\n{}", case.file.display(), difference(&case.findings, &now)).expect("a text");
        }
    }
    assert!(
        wrong.is_empty(),
        "what check says has changed; if it is right, pin it: MILLRACE_WRITE_DOCS=1 cargo test -p millrace --test broken_projects\n{wrong}"
    );
    assert!(count >= LEAST, "there are {count} cases");
}
