//! Every example of the documentation is true: the YAML of docs and README is checked as a project, or as a part of one.

use std::fs;
use std::path::{Path, PathBuf};

use millrace_connectors::Connection;
use millrace_runtime::project::{self, Checked, Finding, Kind, Severity};

type Project = project::Project<
    Connection,
    millrace_ingest::config::Pipeline,
    millrace_transform::config::Pipeline,
    millrace_loader::config::Pipeline,
>;

/// What a part of a project can't know of the rest: it is no mistake of an example.
const OF_THE_REST: &[Kind] = &[
    Kind::UnknownTopic,
    Kind::NoSchema,
    Kind::UnknownConnection,
    Kind::Unreadable,
    Kind::UnknownColumn,
    Kind::IncludeNothing,
    Kind::UnsetVariable,
];

/// A part of a project that an example may be: what stands before each of its lines, and above it.
const PARTS: &[(&str, &str)] = &[
    ("version: 1\n", ""),
    ("version: 1\nconnections:\n", "  "),
    ("version: 1\nconnections:\n  example:\n", "    "),
    ("version: 1\ntopics:\n", "  "),
    ("version: 1\ntopics:\n  example:\n", "    "),
    ("version: 1\ningest:\n", "  "),
    ("version: 1\ningest:\n  example:\n", "    "),
    ("version: 1\ningest:\n  example:\n    to: { topic: example }\n", "    "),
    ("version: 1\ningest:\n  example:\n    to: { topic: example }\n    from:\n", "      "),
    ("version: 1\ningest:\n  example:\n    from: { http: { path: /example } }\n", "    "),
    ("version: 1\ntransform:\n", "  "),
    ("version: 1\ntransform:\n  example:\n", "    "),
    ("version: 1\ntransform:\n  example:\n    from: example.in\n    to: { topic: example.out }\n", "    "),
    ("version: 1\ntransform:\n  example:\n    from: example.in\n    to: { topic: example.out }\n    steps:\n", "      "),
    (
        "version: 1\ntransform:\n  example:\n    from: example.in\n    to: { topic: example.out }\n    steps:\n      - validate:\n",
        "          ",
    ),
    (
        "version: 1\ntransform:\n  example:\n    from: example.in\n    to: { topic: example.out }\n    steps:\n      - validate:\n          rules:\n",
        "            ",
    ),
    ("version: 1\nload:\n", "  "),
    ("version: 1\nload:\n  example:\n", "    "),
    ("version: 1\nload:\n  example:\n    from: example\n    to: { connection: warehouse, table: example }\n", "    "),
    ("version: 1\nload:\n  example:\n    from: example\n", "    "),
];

/// What stands above the rows of the table of kinds.
const KINDS: &str = "| kind | what it means |\n|---|---|\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An example: where it is, what follows `yaml` at its fence, and its text.
struct Example {
    place: String,
    note: String,
    text: String,
}

/// The YAML examples of a page.
fn examples(page: &Path) -> Vec<Example> {
    let text = fs::read_to_string(page).expect("a page");
    let (mut examples, mut open): (Vec<Example>, Option<(String, Example)>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(fence)) => {
                let (language, note) = fence.trim().split_once(' ').unwrap_or((fence.trim(), ""));
                let place = format!("{}:{}", page.file_name().unwrap_or_default().to_string_lossy(), number + 1);
                let is_yaml = language == "yaml" || language == "yml";
                let note = if is_yaml { note.to_owned() } else { "not yaml".to_owned() };
                open = Some((indent.to_owned(), Example { place, note, text: String::new() }));
            }
            (Some(_), Some(_)) => examples.extend(open.take().map(|(_, example)| example)),
            (Some((indent, example)), None) => {
                example.text.push_str(line.strip_prefix(indent.as_str()).unwrap_or(line));
                example.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{} has a fence that is not closed", page.display());
    examples.retain(|example| example.note != "not yaml");
    examples
}

/// What is wrong with the project `text`, apart from variables that are set where it runs, and apart from what belongs to the rest of it where it is a part.
fn mistakes(text: &str, is_part: bool) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("millrace.yaml"), text).expect("a file");
    fs::create_dir(folder.path().join("schemas")).expect("a folder");
    let schema = root().join("examples/flights/schemas/flight.avsc");
    fs::copy(schema, folder.path().join("schemas/flight.avsc")).expect("a schema");
    let checked: Checked<Project> = project::check(folder.path(), &|_| None);
    let is_of_the_rest = |kind: Kind| kind == Kind::UnsetVariable || (is_part && OF_THE_REST.contains(&kind));
    let is_mistake = |finding: &&Finding| finding.severity == Severity::Error && !is_of_the_rest(finding.kind);
    checked.findings.list().iter().filter(is_mistake).cloned().collect()
}

/// The text without the blanks that all of its lines begin with.
fn outdented(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let least = text.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    text.lines().map(|line| format!("{}\n", line.get(least..).unwrap_or_default())).collect()
}

/// The example as the part of a project that it fits best, with what is wrong with it as that.
fn as_a_part(text: &str) -> Vec<Finding> {
    let text = outdented(text);
    let completed = PARTS.iter().map(|(above, indent)| {
        let lines: String = text.lines().map(|line| format!("{indent}{line}\n")).collect();
        mistakes(&format!("{above}{lines}"), true)
    });
    completed.min_by_key(Vec::len).unwrap_or_default()
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> = docs.filter(|page| page.extension().is_some_and(|extension| extension == "md")).collect();
    pages.extend(["README.md", "examples/flights/README.md"].map(|page| root().join(page)));
    pages.sort();
    pages
}

/// An example with a note other than its kind (such as `yaml kubernetes`) is of something else than a project.
#[test]
fn every_example_is_sound() {
    let mut wrong = Vec::new();
    let all: Vec<Example> = pages().iter().flat_map(|page| examples(page)).filter(|example| example.note.is_empty()).collect();
    for Example { place, text, .. } in &all {
        let is_project = text.lines().any(|line| line.starts_with("version:"));
        let found = if is_project { mistakes(text, false) } else { as_a_part(text) };
        wrong.extend(found.iter().map(|finding| format!("{place}: {finding}")));
    }
    assert!(wrong.is_empty(), "examples that are no part of a project:\n{}", wrong.join("\n"));
    let is_of = |page: &str| all.iter().filter(|example| example.place.starts_with(page)).count();
    assert!(is_of("project-file.md") >= 3 && is_of("project-file-reference.md") >= 8, "examples are found");
}

#[test]
fn a_wrong_example_is_found() {
    assert!(!as_a_part("steps:\n  - sort: x\n").is_empty());
    assert!(!as_a_part("from: a\nto: { connection: w, table: t }\nmood: upsert\n").is_empty());
    assert!(!mistakes("version: 1\nload: { t: { from: nowhere, to: { connection: w, table: t } } }\n", false).is_empty());
    assert!(as_a_part("steps:\n  - filter: a > 1\n").is_empty());
}

#[test]
fn every_kind_of_finding_is_in_the_guide() {
    let page = root().join("docs/project-file.md");
    let guide = fs::read_to_string(&page).expect("the guide");
    let rows: String = Kind::ALL.iter().map(|kind| format!("| `{kind}` | {} |\n", kind.title())).collect();
    let (head, rest) = guide.split_once(KINDS).expect("the table of kinds");
    let (_, tail) = rest.split_once("\n\n").expect("what follows the table");
    let now = format!("{head}{KINDS}{rows}\n{tail}");
    if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
        fs::write(&page, &now).expect("the guide is written");
    } else {
        assert!(guide == now, "renew it: MILLRACE_WRITE_DOCS=1 cargo test -p millrace --test documentation");
    }
}
