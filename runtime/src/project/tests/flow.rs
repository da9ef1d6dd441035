//! What `check` says of pipelines that do not fit together.

use super::*;

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
        ["millrace.yaml:9:98: error[MR0104]: there is no column `carier` to make the key of (did you mean `carrier`?)"]
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

/// What is said of a pipeline that makes the column `x` of one type, declared as another.
fn misfits(made: &str, declared: &str) -> Vec<String> {
    let schema =
        |name: &str, kind: &str| format!(r#"{{ "type": "record", "name": "{name}", "fields": [{{ "name": "x", "type": {kind} }}] }}"#);
    let text = "version: 1\ntopics: { a: { schema: a.avsc } }\ntransform:\n  t: { from: a, to: { topic: b, schema: b.avsc } }\n";
    let folder = Folder::of(&[("millrace.yaml", text), ("a.avsc", &schema("A", made)), ("b.avsc", &schema("B", declared))]);
    folder.lines_with(&[]).iter().filter_map(|line| Some(line.split_once("error[MR0104]: ")?.1.to_owned())).collect()
}

fn enumeration(symbols: &str) -> String {
    format!(r#"{{ "type": "enum", "name": "E", "symbols": [{symbols}] }}"#)
}

fn record(field: &str, kind: &str) -> String {
    format!(r#"{{ "type": "record", "name": "R", "fields": [{{ "name": "{field}", "type": {kind} }}] }}"#)
}

#[test]
fn what_a_declared_enum_lacks_is_found_before_a_record_has_it() {
    let (few, many) = (enumeration(r#""A", "B""#), enumeration(r#""C", "B", "A""#));
    assert_eq!(misfits(&few, &many), [""; 0]);
    assert_eq!(misfits(&many, &few), ["field `x` is an enum without the symbol `C` in the schema, the pipeline may make it"]);
    assert_eq!(misfits(&many, "\"string\""), ["field `x` is string in the schema, the pipeline makes enum E"]);
}

#[test]
fn what_is_nested_fits_by_name_and_type() {
    let list = |items: &str| format!(r#"{{ "type": "array", "items": {items} }}"#);
    assert_eq!(misfits(&list("\"int\""), &list(r#"["null", "int"]"#)), [""; 0]);
    assert_eq!(
        misfits(&list(r#"["null", "int"]"#), &list("\"int\"")),
        ["field `x[]` is never null in the schema, the pipeline may make it null"]
    );
    assert_eq!(
        misfits(&record("a", "\"int\""), &record("b", "\"int\"")),
        ["field `x` has no field `a` in the schema, the pipeline makes one"]
    );
    assert_eq!(misfits(&record("a", "\"int\""), &record("a", "\"long\"")), ["field `x.a` is long in the schema, the pipeline makes int"]);
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
            "millrace.yaml:5:53: error[MR0104]: the path `/p` belongs to the pipeline `x` (choose another)",
            "millrace.yaml:7:3: error[MR0104]: there is a pipeline `x` under `ingest` too (consumer groups and transactions are named after pipelines: give each a name of its own)",
            "millrace.yaml:7:31: error[MR0104]: the topic's name `` is empty",
        ]
    );
}

#[test]
fn what_is_weaker_is_said() {
    let text = GOOD.replace("{ from: flights.delays }", "{ from: flights.delays, delivery: at_least_once }");
    assert_eq!(
        lines(&text),
        [
            "millrace.yaml:11:51: warning[MR0105]: records may be written again after a crash (leave `delivery` out unless the broker has no transactions)",
        ]
    );
}

#[test]
fn dead_letters_are_not_among_the_data() {
    assert_eq!(
        lines(&GOOD.replace("{ from: flights.delays }", "{ from: flights.delays, dead_letters: flights.raw }")),
        [
            "millrace.yaml:11:55: error[MR0104]: `flights.raw` is a topic of pipelines, dead letters need one of their own (name another topic)"
        ]
    );
}

#[test]
fn a_place_in_sql_is_a_place_in_the_file() {
    let delays = "  delays:\n    from: flights.raw\n    sql: |\n      SELECT carrier,\n        nope\n      FROM input\n    to: { topic: flights.delays }\n";
    let text: Vec<&str> = GOOD.split_inclusive('\n').filter(|line| !line.starts_with("  delays:")).collect();
    let text = text.concat().replace("transform:\n", &format!("transform:\n{delays}"));
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
    assert!(lines[0].starts_with("millrace.yaml:2:49: error[MR0305]: odd.avsc: "), "{}", lines[0]);
    assert_eq!(lines.last().map(String::as_str), Some("bad.avsc:2:3: error[MR0304]: the schema file is not JSON: expected value"));
}
