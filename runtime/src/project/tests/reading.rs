//! What `check` says of the files themselves.

use super::*;

#[test]
fn variables_give_text_numbers_and_nothing() {
    let text = "version: 1\nconnections:\n  w: { host: \"${H}\", port: \"${P:5439}\", password: \"${NONE:}\", file: \"${F:a.db}\" }\n";
    let project = read(text, &[("H", "db:\n  - [x")]);
    let database = &project.connections["w"];
    assert_eq!((database.host.as_str(), database.port), ("db:\n  - [x", 5439));
    assert_eq!(database.password, None);
    assert!(database.file.as_ref().expect("a path").is_absolute(), "it is taken from the project's folder");
}

#[test]
fn what_the_file_leaves_out_comes_from_the_environment() {
    let kafka = |text| {
        read(text, &[("KAFKA_BROKERS", "b:1"), ("KAFKA_USERNAME", "u"), ("KAFKA_PASSWORD", "p"), ("KAFKA_SSL_ENABLED", "true")]).kafka
    };
    let given = kafka("version: 1\n");
    assert_eq!((given.brokers.as_str(), given.username.as_deref(), given.tls), ("b:1", Some("u"), true));
    assert_eq!(kafka("version: 1\nkafka: { brokers: 'c:1' }\n").brokers, "c:1");
    assert_eq!(read("version: 1\nkafka:\n", &[]).kafka.brokers, "localhost:9092");
}

#[test]
fn a_value_from_a_variable_is_never_shown() {
    let project = project("version: 1\nconnections:\n  w: { host: h, port: \"${PASSWORD}\" }\n");
    let expected = "millrace.yaml:3:23: error[MR0102]: expected a whole number from 0 to 65535, found the value of PASSWORD";
    assert_eq!(project.lines_with(&[("PASSWORD", "hunter2")]), [expected]);
    let project = self::project("version: 1\n");
    let lines = project.lines_with(&[("KAFKA_SSL_ENABLED", "hunter2")]);
    assert_eq!(lines, ["millrace.yaml:1:1: error[MR0102]: expected true or false, found the value of KAFKA_SSL_ENABLED"]);
}

#[test]
fn a_password_in_the_file_is_never_shown() {
    for entry in ["password: 12345", "pasword: hunter2", "password: [hunter2]", "password: true"] {
        let findings = project(&format!("version: 1\nconnections:\n  w: {{ host: h, {entry} }}\n")).check_with(&[]).findings;
        let shown = format!("{}{}{}", findings.to_text(false), findings.to_lines(), findings.to_json());
        assert!(findings.has_errors(), "{entry} is no password");
        assert!(!["12345", "hunter2", "true"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
    let beside = project("version: 1\nkafka:\n  password: hunter2\n  user: u\n").check_with(&[]).findings.to_text(false);
    assert!(beside.contains("user: u") && !beside.contains("hunter2"), "{beside}");
}

#[test]
fn variables_without_values_are_all_named() {
    assert_eq!(
        lines("version: 1\nconnections:\n  w: { host: \"${DW_HOST}\", password: \"${DW_PASSWORD}\", file: \"${\" }\n"),
        [
            "millrace.yaml:3:14: error[MR0103]: the variable DW_HOST has no value (set it in the environment, or give it a default: ${DW_HOST:default})",
            "millrace.yaml:3:38: error[MR0103]: the variable DW_PASSWORD has no value (set it in the environment, or give it a default: ${DW_PASSWORD:default})",
            "millrace.yaml:3:62: error[MR0103]: expected ${NAME} or ${NAME:default} (a plain ${ is written $${)",
        ]
    );
}

#[test]
fn a_variable_without_a_value_hides_no_other_error() {
    let text = GOOD.replace("${DW_HOST:db}", "${DW_HOST}").replace("${DW_PORT:5439}", "${DW_PORT}");
    let found = lines(&text.replace("from: flights.raw,", "from: flights.rwa,"));
    let codes: Vec<_> = found.iter().map(|line| &line[line.find('[').unwrap_or(0)..][..8]).collect();
    assert_eq!(codes, ["[MR0103]", "[MR0103]", "[MR0104]"], "{found:?}");
}

#[test]
fn unknown_keys_are_errors_and_guessed() {
    assert_eq!(
        lines("version: 1\nkafak: { brokers: x }\n"),
        ["millrace.yaml:2:1: error[MR0102]: unknown key `kafak` (did you mean `kafka`?)"]
    );
    assert_eq!(
        lines("version: 1\ntopics:\n  a: { schma: flight.avsc }\n  b: { zebra: 1 }\n"),
        [
            "millrace.yaml:3:8: error[MR0102]: unknown key `schma` (did you mean `schema`?)",
            "millrace.yaml:4:8: error[MR0102]: unknown key `zebra` (known keys: schema, key, partitions, replication, subjects, config)",
        ]
    );
}

#[test]
fn each_wrong_entry_is_found_and_none_hides_another() {
    assert_eq!(
        lines(
            "version: 1\ntopics:\n  a: { partitions: many }\n  b: [x]\nload:\n  t: { from: 7, wait: 5 }\n  u: { on_error: stop }\nconnections:\n  w:\n    port: 1\n"
        ),
        [
            "millrace.yaml:3:20: error[MR0102]: expected a whole number, found the text \"many\"",
            "millrace.yaml:4:3: error[MR0102]: expected keys with values, found a list (leave the dashes out: each entry is a name, and below it what it has)",
            "millrace.yaml:6:14: error[MR0102]: expected text, found the number 7 (put it in quotes)",
            "millrace.yaml:7:18: error[MR0102]: expected one of `dead_letter`, `park_key`, `halt`, found `stop`",
            "millrace.yaml:9:3: error[MR0102]: the key `host` is missing here",
        ]
    );
    assert_eq!(
        lines("version: 1\nload:\n  t: { from: a, wait: 5 }\n"),
        ["millrace.yaml:3:23: error[MR0102]: expected a time with its unit, such as 100ms, 5s, 2m or 1h, found the text \"5\""]
    );
}

#[test]
fn the_version_is_there_and_is_one() {
    assert_eq!(
        lines("name: x\n"),
        ["millrace.yaml:1:1: error[MR0102]: the key `version` is missing here (begin the file with `version: 1`)"]
    );
    let expected = "millrace.yaml:1:10: error[MR0102]: expected 1, the version that this program reads, found the number 2";
    assert_eq!(lines("version: 2\n"), [expected]);
    let nothing =
        "millrace.yaml:1:1: error[MR0102]: there is nothing in the project file (begin it with `version: 1`, a `name:` and a pipeline)";
    assert_eq!(lines(""), [nothing]);
    assert_eq!(lines("- x\n"), ["millrace.yaml:1:1: error[MR0102]: expected the keys of a project, such as `version: 1`"]);
}

#[test]
fn what_is_not_yaml_is_shown_where_it_breaks() {
    assert_eq!(lines("version: 1\nload: [a\nname: b\n"), ["millrace.yaml:3:5: error[MR0102]: illegal placement of ':' indicator"]);
}

#[test]
fn a_folder_of_files_is_one_project() {
    let folder = Folder::of(&[
        ("a.yaml", "version: 1\nname: shop\ningest:\n  api: { to: { topic: t, schema: flight.avsc } }\n"),
        ("b.yaml", "version: 1\nload:\n  table: { from: t }\n"),
        ("notes.txt", "not: [yaml"),
        ("flight.avsc", FLIGHT),
    ]);
    let checked = folder.check_with(&[]);
    assert_eq!(checked.findings.to_lines(), "");
    assert_eq!(checked.flow.pipelines.keys().collect::<Vec<_>>(), ["api", "table"]);
}

#[test]
fn what_two_files_declare_is_an_error_that_names_both() {
    let folder = Folder::of(&[
        ("a.yaml", "version: 1\nname: one\ntopics:\n  t: { partitions: 1 }\n"),
        ("b.yaml", "name: two\ntopics:\n  t: { partitions: 2 }\n"),
    ]);
    let at = |file: &str| format!("{}/{file}", folder.0.path().display());
    assert_eq!(
        folder.lines_with(&[]),
        [
            format!("b.yaml:1:1: error[MR0102]: `name` is declared twice: here and at {}", at("a.yaml:2:1")),
            format!("b.yaml:3:3: error[MR0102]: `topics.t` is declared twice: here and at {}", at("a.yaml:4:3")),
        ]
        .map(|line| line.replace(&format!("{}/", folder.0.path().display()), ""))
    );
}

#[test]
fn a_project_that_is_not_there_is_said_to_be() {
    let empty = Folder::of(&[]);
    assert!(empty.lines_with(&[])[0].starts_with("error[MR0101]: there is no project file in "));
    let missing: Checked<Sample> = check(Path::new("/nowhere/millrace.yaml"), &|_| None);
    assert_eq!(
        missing.findings.to_lines(),
        "error[MR0101]: /nowhere/millrace.yaml can't be read: No such file or directory (os error 2)\n"
    );
    let binary = Folder::of(&[]);
    fs::write(binary.0.path().join("millrace.yaml"), b"version: \xff\xfe").expect("a file");
    assert!(binary.lines_with(&[])[0].ends_with("stream did not contain valid UTF-8"));
}

#[test]
fn the_project_is_named_after_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("my shop");
    fs::create_dir(&inner).expect("a folder");
    fs::write(inner.join("millrace.yaml"), "version: 1\n").expect("a file");
    let checked: Checked<Sample> = check(&inner, &|_| None);
    assert_eq!(checked.project.expect("a project").name, "my_shop");
}

#[test]
fn options_that_exactly_once_rests_on_are_refused() {
    let text = "version: 1\nkafka:\n  username: u\n  options:\n    isolation.level: read_uncommitted\n    ssl.ca.location: /ca\n    linger.ms: 5\n";
    assert_eq!(
        lines(text),
        [
            "millrace.yaml:3:13: error[MR0102]: there is a username and no password (set `password:` or KAFKA_PASSWORD)",
            "millrace.yaml:5:22: error[MR0102]: `isolation.level` can't be set (Millrace sets it: exactly-once rests on it)",
            "millrace.yaml:6:22: error[MR0102]: `ssl.ca.location` has a key of its own (use `ca:` under `kafka:`)",
        ]
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*") {
        lines(&text);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let folder = Folder::of(&[]);
        fs::write(folder.0.path().join("millrace.yaml"), bytes).expect("a file");
        folder.lines_with(&[]);
    }

    #[test]
    fn no_change_to_a_good_project_makes_the_reader_panic(at in 0..GOOD.len(), with in "[\\[\\]{}:,&*!|>'\"%@`#$\\- \n\ta0]{0,3}", cut in 0_usize..20) {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{with}{}", &GOOD[..at], &GOOD[end..]);
        let checked = project(&text).check_with(&[]);
        checked.findings.to_text(false);
    }
}
