//! What `check` says of projects in several files, and of profiles.

use super::*;

const API: &str = "ingest:\n  api: { to: { topic: t, schema: flight.avsc } }\n";

fn files(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::of(&[("flight.avsc", FLIGHT)]);
    for (name, text) in files {
        let path = folder.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

#[test]
fn a_project_is_spread_over_the_files_that_it_includes() {
    let folder = files(&[
        ("millrace.yaml", "version: 1\nname: shop\ninclude: [pipelines/*.yaml, topics.yaml]\n"),
        ("pipelines/a.yaml", API),
        ("pipelines/b.yaml", "include: ../load.yaml\n"),
        ("load.yaml", "load:\n  table: { from: t }\n"),
        ("topics.yaml", "version: 1\ninclude: load.yaml\ntopics: { t: { partitions: 3 } }\n"),
    ]);
    let checked = folder.check_with(&[]);
    assert_eq!(checked.findings.to_lines(), "");
    assert_eq!(checked.flow.pipelines.keys().collect::<Vec<_>>(), ["api", "table"]);
    assert_eq!(checked.project.expect("a project").topics["t"].partitions, Some(3));
}

#[test]
fn a_finding_names_the_file_that_it_is_in() {
    let folder =
        files(&[("millrace.yaml", "version: 1\ninclude: more/*.yaml\n"), ("more/api.yaml", &API.replace("flight.avsc", "fligth.avsc"))]);
    assert_eq!(
        folder.lines_with(&[]),
        [
            "more/api.yaml:2:34: error[MR0101]: the schema file fligth.avsc can't be read: No such file or directory (os error 2) (did you mean `flight.avsc`?)"
        ]
    );
}

#[test]
fn what_an_include_can_not_be_is_shown_at_it() {
    let include = |path: &str| {
        let folder = files(&[("millrace.yaml", &format!("version: 1\ninclude:\n  - {path}\n")), ("topics.yaml", ""), ("sub/x.yaml", "")]);
        folder.lines_with(&[]).join("\n")
    };
    assert_eq!(include("topics.yaml"), "");
    assert_eq!(include("sub/../topics.yaml"), "");
    assert!(include("../topics.yaml").starts_with("millrace.yaml:3:5: error[MR0102]: ../topics.yaml is outside the project's folder"));
    assert!(include("/etc/passwd").contains("/etc/passwd is outside the project's folder"));
    assert!(include("topic.yaml").ends_with("(did you mean `topics.yaml`?)"));
    assert!(include("sub").ends_with("sub is a folder (include its files: sub/*.yaml)"));
    assert!(include("\"${X}.yaml\"").contains("can't have variables"));
    assert_eq!(
        include("nothing/*.yaml"),
        "millrace.yaml:3:5: warning[MR0105]: nothing/*.yaml matches no file (mend the pattern, or remove it)"
    );
    assert_eq!(include("{ a: b }"), "millrace.yaml:3:5: error[MR0102]: expected text, found keys with values");
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_out_of_the_project() {
    let outer = files(&[("secret.yaml", "name: x\n")]);
    let folder = files(&[("millrace.yaml", "version: 1\ninclude: link.yaml\n")]);
    std::os::unix::fs::symlink(outer.0.path().join("secret.yaml"), folder.0.path().join("link.yaml")).expect("a link");
    assert!(folder.lines_with(&[])[0].contains("link.yaml is outside the project's folder"));
}

#[test]
fn a_file_does_not_include_itself_by_any_way() {
    let folder =
        files(&[("millrace.yaml", "version: 1\ninclude: a.yaml\n"), ("a.yaml", "include: b.yaml\n"), ("b.yaml", "include: [a.yaml]\n")]);
    assert_eq!(
        folder.lines_with(&[]),
        ["b.yaml:1:11: error[MR0102]: a.yaml includes itself: a.yaml → b.yaml → a.yaml (remove one of the includes)"]
    );
    let pattern = files(&[("millrace.yaml", "version: 1\ninclude: '*.yaml'\n"), ("a.yaml", API)]);
    assert_eq!(pattern.lines_with(&[]), [""; 0], "a pattern leaves the file itself out");
}

/// The project with the profile `prod` in two places.
fn profiled() -> Folder {
    let main = "version: 1\nname: shop\nkafka: { brokers: 'localhost:9092', options: { linger.ms: 5, client.id: x } }\nconnections:\n  w: { host: \"${NONE}\", port: 1 }\n"
        .to_owned()
        + API
        + "load: { table: { from: t, connection: w } }\nprofiles:\n  prod:\n    kafka: { brokers: 'k:1', options: { client.id: } }\n    connections: { w: { host: db } }\n  other: {}\n";
    files(&[("millrace.yaml", &main), ("millrace.prod.yaml", "version: 1\nconnections:\n  w: { port: \"${P:5439}\" }\n")])
}

#[test]
fn a_profile_lies_over_the_project() {
    let folder = profiled();
    let checked = folder.check_profile("prod");
    assert_eq!(checked.findings.to_lines(), "");
    let project = checked.project.expect("a project");
    assert_eq!((project.kafka.brokers.as_str(), project.kafka.options.len()), ("k:1", 1));
    let database = &project.connections["w"];
    assert_eq!((database.host.as_str(), database.port), ("db", 5439));
    assert!(folder.lines_with(&[])[0].contains("the variable NONE has no value"), "without it the project's own values count");
}

#[test]
fn an_unknown_profile_is_guessed() {
    let findings = |profile| profiled().check_profile(profile).findings.list()[0].clone();
    assert_eq!(findings("prd").suggestion.as_deref(), Some("prod"));
    assert_eq!(findings("prd").kind, Kind::UnknownProfile);
    assert_eq!(findings("x").help.as_deref(), Some("known profiles: other, prod"));
    let none = files(&[("millrace.yaml", "version: 1\n")]).check_profile("prod");
    assert!(none.findings.to_lines().contains("has no profile `prod` (it has no profiles at all"), "{}", none.findings);
}

#[test]
fn a_finding_in_a_profile_points_into_it() {
    let lines = |overlay: &str| {
        let folder = files(&[("millrace.yaml", &format!("version: 1\n{API}")), ("millrace.prod.yaml", overlay)]);
        let shown = folder.check_profile("prod").findings.to_lines();
        shown.replace(&format!("{}/", folder.0.path().display()), "")
    };
    assert!(
        lines("ingest:\n  api: { to: { key: carier } }\n")
            .starts_with("millrace.prod.yaml:2:21: error[MR0104]: there is no column `carier`")
    );
    assert!(lines("ingest:\n  apy: { delivery: at_least_once }\n").contains(
        "millrace.prod.yaml:2:3: warning[MR0105]: the profile adds `apy`, which the project does not have (did you mean `api`?)"
    ));
    assert!(lines("ingest:\n  apy:\n").contains("millrace.prod.yaml:2:3: warning[MR0105]: the profile removes `apy`"));
    assert!(
        lines("kafka: { brokerz: x }\n")
            .contains("millrace.prod.yaml:1:10: error[MR0102]: unknown key `brokerz` (did you mean `brokers`?)")
    );
    assert!(lines("include: x.yaml\n").contains("millrace.prod.yaml:1:1: error[MR0102]: a profile can't have `include:`"));
    assert!(lines("- x\n").contains("millrace.prod.yaml:1:1: error[MR0102]: expected keys of the project with other values"));
    assert!(lines("ingest:\n  api: { to: { topic: } }\n").contains("the key `topic` is missing here"));
}

#[test]
fn a_profile_has_the_form_of_a_project() {
    assert_eq!(
        lines("version: 1\nprofiles: { prod: 7 }\n"),
        ["millrace.yaml:2:19: error[MR0102]: expected keys of the project with other values, found the number 7"]
    );
}
