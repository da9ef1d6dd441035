//! SQL that can't be used: what is said, and where.

use millrace_model::Code;

use super::fixture::{error, run_steps};
use crate::config::StepConfig;
use crate::steps::wording::leaks;

fn refused(text: &str) -> String {
    let error = error(text);
    assert_eq!(error.code, Code::SqlUnsupported, "{text}: {error}");
    error.message
}

fn invalid(text: &str) -> String {
    let error = error(text);
    assert_eq!(error.code, Code::SqlInvalid, "{text}: {error}");
    error.message
}

#[test]
fn what_needs_more_than_one_row_is_refused_by_name() {
    for (text, name) in [
        ("SELECT sum(a) AS s FROM input", "sum"),
        ("SELECT count(*) AS n FROM input", "count"),
        ("SELECT row_number() OVER (ORDER BY a) AS n FROM input", "row_number"),
        ("SELECT DISTINCT a FROM input", "DISTINCT"),
        ("SELECT a FROM input ORDER BY a", "ORDER BY"),
        ("SELECT a FROM input LIMIT 3", "LIMIT"),
        ("SELECT a FROM input OFFSET 3", "OFFSET"),
        ("SELECT a FROM input GROUP BY a", "GROUP BY"),
        ("SELECT a FROM input HAVING a > 1", "HAVING"),
        ("SELECT a FROM input QUALIFY a > 1", "QUALIFY"),
        ("SELECT x.a FROM input AS x JOIN input AS y ON x.a = y.a", "JOIN"),
        ("SELECT a FROM input, other", "a second table"),
        ("SELECT a FROM input WHERE a IN (SELECT b FROM input)", "a subquery"),
        ("SELECT (SELECT 1) AS x FROM input", "a subquery"),
        ("SELECT a FROM input WHERE EXISTS (SELECT 1)", "a subquery"),
        ("SELECT a FROM (SELECT a FROM input) AS s", "a subquery"),
        ("WITH t AS (SELECT 1) SELECT a FROM input", "WITH"),
        ("SELECT a FROM input UNION ALL SELECT a FROM input", "UNION"),
        ("VALUES (1)", "VALUES"),
        ("SELECT unnest(tags) AS t FROM input", "unnest"),
        ("SELECT random() AS r FROM input", "random"),
        ("SELECT uuid() AS u FROM input", "uuid"),
    ] {
        let message = refused(text);
        assert!(message.contains(name), "{text}: {message}");
    }
}

#[test]
fn a_refusal_says_where() {
    assert_eq!(error("SELECT a,\n       sum(b) AS s\nFROM input").place, Some((2, 8)));
    assert_eq!(error("SELECT a FROM input WHERE a > 1 AND random() > 0.5").place, Some((1, 37)));
    assert_eq!(error("SELECT a FROM input GROUP BY b").place, Some((1, 30)));
}

#[test]
fn an_unknown_column_is_named_placed_and_guessed() {
    let error = error("SELECT id,\n  pricee * 2 AS double FROM input");
    assert!(error.message.starts_with("there is no column pricee; the input has id, a, b"), "{error}");
    assert_eq!((error.place, error.suggestion.as_deref()), (Some((2, 3)), Some("price")));
}

#[test]
fn names_are_matched_as_the_schema_writes_them() {
    assert_eq!(error("SELECT ID FROM input").suggestion.as_deref(), Some("id"));
    assert!(error("SELECT other.id FROM input").message.contains("no column other"));
}

#[test]
fn an_unknown_function_is_named_and_guessed() {
    let error = error("SELECT uper(name) AS n FROM input");
    assert_eq!((error.message.as_str(), error.suggestion.as_deref()), ("there is no function uper", Some("upper")));
    assert_eq!(error.place, Some((1, 8)));
}

#[test]
fn a_syntax_error_has_its_place() {
    let error = error("SELECT a,, b FROM input");
    assert_eq!((error.code, error.place), (Code::SqlInvalid, Some((1, 10))));
    assert!(!error.message.contains("Line"), "{error}");
}

#[test]
fn another_table_is_refused() {
    assert!(invalid("SELECT a FROM orders").contains("write FROM input"));
    assert!(invalid("SELECT 1 AS x").contains("write FROM input"));
}

#[test]
fn other_statements_are_refused() {
    assert!(invalid("DELETE FROM input").contains("a step is a SELECT"));
    assert!(invalid("SELECT a FROM input; SELECT b FROM input").contains("one SELECT"));
    assert!(invalid("").contains("there is no SQL"));
}

#[test]
fn an_expression_needs_a_name_and_names_are_unique() {
    assert!(invalid("SELECT a + 1 FROM input").contains("a + 1 AS name"));
    assert!(invalid("SELECT a, b AS a FROM input").contains("two columns are named a"));
    assert!(invalid("SELECT a AS \"a b\" FROM input").contains("can't name an Avro field"));
}

#[test]
fn types_that_do_not_fit_are_refused_where_they_stand() {
    let error = error("SELECT id,\n  name + tags AS x FROM input");
    assert_eq!((error.code, error.place), (Code::SqlInvalid, Some((2, 3))));
    assert!(invalid("SELECT a FROM input WHERE b + 1").contains("not true or false"));
    assert!(invalid("SELECT date_trunc(a) AS x FROM input").contains("date_trunc"));
}

#[test]
fn a_constant_that_fails_is_an_error_of_the_step() {
    assert!(invalid("SELECT 1 / 0 AS x FROM input").contains("division by zero"));
    assert!(invalid("SELECT id FROM input WHERE at > TIMESTAMP '2026-13-01'").contains("it would fail for every record"));
    assert!(invalid("SELECT CAST('x' AS INT) AS x FROM input").contains("it would fail for every record"));
}

#[test]
fn a_pattern_that_is_no_regular_expression_is_refused() {
    assert!(invalid("SELECT id FROM input WHERE name ~ '('").contains("no regular expression"));
    assert!(invalid("SELECT regexp_replace(name, '[', '') AS x FROM input").contains("no regular expression"));
}

#[test]
fn a_type_without_an_avro_counterpart_is_refused() {
    assert!(invalid("SELECT NULL AS x FROM input").contains("CAST(NULL AS type)"));
    assert!(invalid("SELECT at - at AS x FROM input").contains("cast it"));
}

#[test]
fn parameters_and_variables_have_no_value_here() {
    assert!(invalid("SELECT $1 AS x FROM input").contains("write the value"));
    assert!(invalid("SELECT @x AS x FROM input").contains("no column @x"));
}

#[test]
fn a_filter_is_one_condition() {
    let filter =
        |text: &str| run_steps(&[StepConfig::Filter("id > 0".into()), StepConfig::Filter(text.into())], &[]).err().expect("is refused");
    assert!(filter("a > 1 b").message.contains("ends before"));
    assert!(filter("a + b").message.contains("not true or false"));
    assert_eq!(filter("nam = 'x'").suggestion.as_deref(), Some("name"));
    assert_eq!(filter("a >").step, 1);
    assert_eq!(filter("max(a) > 1").code, Code::SqlUnsupported);
}

#[test]
fn a_result_whose_size_a_record_says_is_refused_by_name() {
    for call in [
        "array_repeat(a, b)",
        "list_repeat(a, big)",
        "array_resize(tags, b)",
        "range(big)",
        "range(1, b, 1)",
        "generate_series(1, big)",
        "repeat(name, b)",
        "lpad(name, b)",
        "rpad(name, b, '-')",
    ] {
        let message = invalid(&format!("SELECT {call} AS x FROM input"));
        assert!(message.contains("a record gives could take all memory"), "{call}: {message}");
        assert!(error(&format!("SELECT {call} AS x FROM input")).place.is_some());
    }
}

#[test]
fn a_constant_size_is_refused_beyond_its_bound_before_it_is_computed() {
    for call in ["array_repeat(1, 4000000000)", "range(0, 10000000000)", "range(10001)", "repeat('x', 101)", "lpad(name, 100 * 1000)"] {
        let message = invalid(&format!("SELECT {call} AS x FROM input"));
        assert!(message.contains("needs a size of at most"), "{call}: {message}");
    }
    assert!(invalid("SELECT range(DATE '1970-01-01', DATE '9999-01-01', INTERVAL '1 day') AS x FROM input").contains("range needs"));
}

#[test]
fn what_may_stand_around_the_table_is_refused_by_name() {
    for (text, name) in [
        ("SELECT a FROM input TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        ("SELECT a FROM input PARTITION (p0)", "PARTITION"),
        ("SELECT a FROM input WITH (NOLOCK)", "a table hint"),
        ("SELECT a FROM input WITH ORDINALITY", "WITH ORDINALITY"),
        ("SELECT i.x FROM input AS i (x, y)", "a list of columns"),
        ("SELECT a FROM input SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT a FROM input FORMAT JSON", "FORMAT"),
        ("SELECT a FROM input FOR JSON AUTO", "FOR JSON"),
        ("FROM input", "FROM without SELECT"),
    ] {
        let message = refused(text);
        assert!(message.contains(name), "{text}: {message}");
    }
}

#[test]
fn all_columns_are_those_of_the_input_only() {
    assert!(invalid("SELECT other.* FROM input").contains("no table other"));
    assert!(invalid("SELECT input.* FROM input AS i").contains("write i.* or *"));
}

#[test]
fn no_message_speaks_of_the_planner() {
    let expressions = [
        "name + tags",
        "name = tags",
        "b = 'x'",
        "date_trunc(a)",
        "abs(name)",
        "substr(b, 'x')",
        "CAST(name AS FOO)",
        "CAST(tags AS INT)",
        "item + 1",
        "item.nope",
        "tags['x']",
        "name[1]",
        "-name",
        "NOT name",
        "a AND b",
        "coalesce(a, tags)",
        "at > 'yesterday'",
        "at > 5",
        "price * name",
        "INTERVAL 'foo'",
        "DATE 'x'",
        "split_part(name)",
        "concat()",
        "name LIKE 5",
        "a IN ('x', tags)",
        "a BETWEEN 'x' AND tags",
        "nullif(a, tags)",
        "array_length(name)",
        "name::uuid",
        "make_array(1, 'x', tags)",
        "position('x' in b)",
        "overlay(name placing 'x' from 'y')",
        "a IS DISTINCT FROM tags",
        "name COLLATE \"de\"",
        "a = ANY(name)",
        "round(name)",
        "date_bin('x', at)",
        "greatest(a, name, tags)",
        "a.b.c.d",
        "at AT TIME ZONE 5",
        "trim(b)",
    ];
    let said: Vec<String> = expressions.iter().map(|expression| error(&format!("SELECT {expression} AS x FROM input")).message).collect();
    let leaking: Vec<&String> = said.iter().filter(|message| leaks(message)).collect();
    assert!(leaking.is_empty(), "{leaking:#?}");
    assert_eq!(said[0], "text + list of text can't be computed: cast one with CAST(… AS …)");
    assert_eq!(said[3], "date_trunc takes 2 arguments, and has 1 here");
}

#[test]
fn no_reason_of_a_rejection_does() {
    for expression in
        ["date_part('foo', at)", "to_timestamp(tags)", "CAST(at AS INT)", "encode(name, 'foo')", "name AT TIME ZONE 'nowhere'"]
    {
        let reason = super::fixture::sql(&format!("SELECT {expression} AS x FROM input"), &[super::fixture::Order::default()]);
        assert!(!leaks(reason.reason()), "{expression}: {}", reason.reason());
    }
}
