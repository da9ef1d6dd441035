//! What a user of the project file sees: each test writes a project and reads the answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use millrace_model::{Code, Schema};
use proptest::prelude::*;
use serde::Deserialize;
use tempfile::TempDir;

use super::flow::{self, Context, Problem, Types};
use super::*;

/// A connection as an outside system would define it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    host: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    file: Option<ProjectPath>,
}

/// A pipeline as a service would define it: it passes on the columns that it names, all of them without names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<Output>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its shape is looked at")]
    wait: Option<Millis>,
    #[serde(default)]
    on_error: OnError,
    #[serde(default)]
    delivery: Delivery,
    #[serde(default = "dead_letters")]
    dead_letters: String,
}

impl<C> flow::Pipeline<C> for Stage {
    fn input(&self) -> Option<&str> {
        self.from.as_deref()
    }

    fn output(&self) -> Option<&Output> {
        self.to.as_ref()
    }

    fn dead_letters(&self) -> &str {
        &self.dead_letters
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    fn exclusive(&self) -> Option<(String, Vec<String>)> {
        self.path.as_ref().map(|path| (format!("the path `{path}`"), vec!["path".into()]))
    }

    fn types(&self, _: &Context<'_, C>, input: Option<&Schema>) -> Types {
        if let Some(at) = self.sql.as_deref().and_then(|sql| position(sql, "nope")) {
            return Problem::error(Code::SqlInvalid, &["sql"], "no column `nope`").inside(at).into();
        }
        Types { output: input.map(|input| pick(input, &self.columns)), ..Types::default() }
    }
}

fn position(text: &str, word: &str) -> Option<(u32, u32)> {
    let found = text.lines().enumerate().find_map(|(line, content)| Some((line, content.find(word)?)));
    found.map(|(line, column)| (line as u32 + 1, column as u32 + 1))
}

fn pick(input: &Schema, columns: &[String]) -> Schema {
    let mut avro = input.avro().clone();
    if let Some(fields) = avro["fields"].as_array_mut().filter(|_| !columns.is_empty()) {
        fields.retain(|field| columns.iter().any(|column| field["name"] == column.as_str()));
    }
    crate::codec::schema(avro).unwrap_or_else(|_| input.clone())
}

type Sample = Project<Database, Stage, Stage, Stage>;

const FLIGHT: &str = r#"{ "type": "record", "name": "Flight", "fields": [
    { "name": "carrier", "type": "string" },
    { "name": "flight", "type": "int" },
    { "name": "dep_delay", "type": ["null", "double"], "default": null }
] }"#;

struct Folder(TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        Self(folder)
    }

    fn check_with(&self, environment: &[(&str, &str)]) -> Checked<Sample> {
        let variables: BTreeMap<&str, &str> = environment.iter().copied().collect();
        check(self.0.path(), &|name| variables.get(name).map(|&value| value.to_owned()))
    }

    /// The findings as lines, without the folder's name.
    fn lines_with(&self, environment: &[(&str, &str)]) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let lines = self.check_with(environment).findings.to_lines().replace(&folder, "");
        lines.lines().map(str::to_owned).collect()
    }
}

fn project(text: &str) -> Folder {
    Folder::of(&[("millrace.yaml", text), ("flight.avsc", FLIGHT)])
}

/// What `check` says of a project, in lines.
fn lines(text: &str) -> Vec<String> {
    project(text).lines_with(&[])
}

fn read(text: &str, environment: &[(&str, &str)]) -> Sample {
    let checked = project(text).check_with(environment);
    let lines = checked.findings.to_lines();
    checked.runnable().expect(&lines).0
}

const GOOD: &str = "
version: 1
name: shop
connections:
  warehouse: { host: \"${DW_HOST:db}\", port: \"${DW_PORT:5439}\" }
ingest:
  flights_api: { to: { topic: flights.raw, schema: flight.avsc, key: carrier } }
transform:
  delays: { from: flights.raw, columns: [carrier, dep_delay], to: { topic: flights.delays, key: carrier } }
load:
  delays_table: { from: flights.delays }
";

#[test]
fn a_good_project_is_typed_from_end_to_end() {
    let checked = project(GOOD).check_with(&[]);
    assert_eq!(checked.findings.to_lines(), "");
    let delays = &checked.flow.topics["flights.delays"];
    assert_eq!(delays.schema.name(), "flights_delays");
    assert_eq!(delays.schema.fields().len(), 2);
    assert_eq!(delays.writers, ["delays"]);
    let (topic, schema) = checked.flow.pipelines["delays_table"].input.as_ref().expect("an input");
    assert_eq!((topic.as_str(), schema), ("flights.delays", &delays.schema));
}

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
            "millrace.yaml:4:8: error[MR0102]: unknown key `zebra` (known keys: schema, key, partitions, replication, config)",
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
            "millrace.yaml:4:3: error[MR0102]: expected keys with values, found a list",
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
    assert_eq!(lines("name: x\n"), ["millrace.yaml:1:1: error[MR0102]: the key `version` is missing here"]);
    let expected = "millrace.yaml:1:10: error[MR0102]: expected 1, the version that this program reads, found the number 2";
    assert_eq!(lines("version: 2\n"), [expected]);
    assert_eq!(lines(""), ["millrace.yaml:1:1: error[MR0102]: the key `version` is missing here"]);
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
fn an_unknown_topic_is_guessed() {
    let text = GOOD.replace("from: flights.raw,", "from: flights.rwa,");
    assert_eq!(
        lines(&text),
        ["millrace.yaml:9:19: error[MR0104]: no pipeline writes the topic `flights.rwa` (did you mean `flights.raw`?)"]
    );
    assert_eq!(
        lines("version: 1\nload:\n  t: { from: orders }\n"),
        [
            "millrace.yaml:3:14: error[MR0104]: no pipeline writes the topic `orders` (a topic that others write is declared under `topics:`, as `orders: { schema: FILE }`)"
        ]
    );
}

#[test]
fn a_topic_that_no_pipeline_writes_needs_a_schema() {
    assert_eq!(
        lines("version: 1\ntopics: { orders: { partitions: 3 } }\nload:\n  t: { from: orders }\n"),
        [
            "millrace.yaml:4:14: error[MR0104]: no pipeline writes `orders`, and `topics:` has no schema for it (set `schema:` under `topics: orders:`)"
        ]
    );
    assert_eq!(
        lines("version: 1\ningest:\n  api: { to: { topic: t } }\n"),
        ["millrace.yaml:3:10: error[MR0104]: the topic `t` has no schema (set `schema:` here, or under `topics:`)"]
    );
    assert_eq!(lines("version: 1\ntopics: { t: { schema: flight.avsc } }\ningest:\n  api: { to: { topic: t } }\n"), [""; 0]);
}

#[test]
fn key_columns_exist() {
    assert_eq!(
        lines(&GOOD.replace("key: carrier } }\nload", "key: [carier] } }\nload")),
        ["millrace.yaml:9:92: error[MR0104]: there is no column `carier` to make the key of (did you mean `carrier`?)"]
    );
}

#[test]
fn one_error_is_not_followed_by_its_consequences() {
    assert_eq!(
        lines(&GOOD.replace("schema: flight.avsc", "schema: fligth.avsc"))[0].split(" can't").next(),
        Some("millrace.yaml:7:52: error[MR0101]: the schema file fligth.avsc")
    );
    assert_eq!(lines(&GOOD.replace("schema: flight.avsc", "schema: fligth.avsc")).len(), 1);
}

#[test]
fn what_steps_make_fits_the_declared_schema() {
    let text = GOOD.replace("topic: flights.delays, key: carrier", "topic: flights.delays, schema: flight.avsc");
    assert_eq!(lines(&text), ["millrace.yaml:9:100: error[MR0104]: the schema has a column `flight` that the pipeline does not make"]);
}

#[test]
fn all_writers_of_a_topic_agree() {
    let text = GOOD.to_owned() + "  more: { from: flights.raw, columns: [carrier], to: { topic: flights.delays } }\n";
    assert_eq!(
        lines(&text),
        [
            "millrace.yaml:12:50: error[MR0104]: the pipeline `delays` writes `flights.delays` with another schema (give both the same columns, or declare one schema under `topics:`)"
        ]
    );
}

#[test]
fn a_cycle_is_refused_even_where_schemas_are_declared() {
    let text = "version: 1\ntopics: { a: { schema: flight.avsc } }\ntransform:\n  there: { from: a, to: { topic: b } }\n  back: { from: b, to: { topic: a } }\n";
    assert_eq!(
        lines(text),
        [
            "millrace.yaml:4:18: error[MR0104]: what `there` writes comes back to it through `a` (records would go round for ever; write to another topic)",
            "millrace.yaml:5:17: error[MR0104]: what `back` writes comes back to it through `b` (records would go round for ever; write to another topic)",
        ]
    );
}

#[test]
fn names_are_unique_and_such_as_kafka_takes() {
    let text = "version: 1\nname: a b\ningest:\n  x: { to: { topic: t/u, schema: flight.avsc }, path: /p }\n  y: { to: { topic: v, schema: flight.avsc }, path: /p }\nload:\n  x: { from: v, dead_letters: '' }\n";
    assert_eq!(
        lines(text),
        [
            "millrace.yaml:2:7: error[MR0104]: the project's name `a b` has a character other than letters, digits, `_` and `-` (set `name:`)",
            "millrace.yaml:4:21: error[MR0104]: the topic's name `t/u` has a character other than letters, digits, `.`, `_` and `-`",
            "millrace.yaml:5:53: error[MR0104]: the path `/p` belongs to the pipeline `x`",
            "millrace.yaml:7:3: error[MR0104]: there is a pipeline `x` under `ingest` too (consumer groups and transactions are named after pipelines: give each a name of its own)",
            "millrace.yaml:7:31: error[MR0104]: the topic's name `` is empty",
        ]
    );
}

#[test]
fn what_is_not_there_yet_is_refused_and_what_is_weaker_is_said() {
    let text = GOOD.replace("{ from: flights.delays }", "{ from: flights.delays, on_error: park_key, delivery: at_least_once }");
    assert_eq!(
        lines(&text),
        [
            "millrace.yaml:11:51: error[MR0106]: `park_key` is not in this version of Millrace (use `dead_letter` or `halt`)",
            "millrace.yaml:11:71: warning[MR0105]: records may be written again after a crash (leave `delivery` out unless the broker has no transactions)",
        ]
    );
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

#[test]
fn a_place_in_sql_is_a_place_in_the_file() {
    let delays = "  delays:\n    from: flights.raw\n    sql: |\n      SELECT carrier,\n        nope\n      FROM input\n    to: { topic: flights.delays }\n";
    let text = GOOD.lines().filter(|line| !line.starts_with("  delays:")).map(|line| format!("{line}\n")).collect::<String>();
    let text = text.replace("transform:\n", &format!("transform:\n{delays}"));
    assert_eq!(lines(&text), ["millrace.yaml:13:9: error[MR0501]: no column `nope`"]);
}

#[test]
fn a_broken_schema_file_is_shown_where_it_breaks() {
    let text = "version: 1\ntopics: { t: { schema: bad.avsc }, u: { schema: odd.avsc } }\n";
    let folder = Folder::of(&[
        ("millrace.yaml", text),
        ("bad.avsc", "{ \"type\":\n  record }"),
        ("odd.avsc", "{ \"type\": \"enum\", \"name\": \"e\", \"symbols\": [] }"),
    ]);
    let lines = folder.lines_with(&[]);
    assert_eq!(lines[0], "bad.avsc:2:3: error[MR0304]: the schema file is not JSON: expected value");
    assert!(lines[1].starts_with("millrace.yaml:2:49: error[MR0305]: odd.avsc: "), "{}", lines[1]);
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
