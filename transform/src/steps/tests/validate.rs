//! The rules of `validate`.

use millrace_model::Code;
use serde_json::{Value, json};

use super::fixture::{Order, Ran, run_steps};
use crate::config::StepConfig;
use crate::steps::StepError;

fn validate(rules: &Value, orders: &[Order]) -> Result<Ran, StepError> {
    let step: StepConfig = serde_json::from_value(json!({ "validate": { "rules": rules } })).expect("the rules are written right");
    run_steps(&[step], orders)
}

fn broken(rules: &Value, orders: &[Order]) -> Vec<u32> {
    validate(rules, orders).unwrap_or_else(|error| panic!("{rules}: {error}")).rejected_rows()
}

fn orders() -> Vec<Order> {
    let a = [Some(-5), None, Some(10), Some(11)];
    let text = [Some("abc"), Some(""), None, Some("a-c")];
    let each = a.into_iter().zip(text).enumerate();
    each.map(|(row, (a, text))| Order {
        a,
        text,
        status: row as i32,
        cents: row as i128 * 100,
        ratio: row as f64 / 2.0,
        ..Order::default()
    })
    .collect()
}

#[test]
fn not_null_rejects_null() {
    assert_eq!(broken(&json!([{ "not_null": ["a", "text"] }]), &orders()), [1, 2]);
}

#[test]
fn a_range_includes_its_bounds_and_passes_null() {
    assert_eq!(broken(&json!([{ "range": { "column": "a", "min": -5, "max": 10 } }]), &orders()), [3]);
    assert_eq!(broken(&json!([{ "range": { "column": "a", "min": 10.5 } }]), &orders()), [0, 2]);
    assert_eq!(broken(&json!([{ "range": { "column": "ratio", "max": 1 } }]), &orders()), [3]);
    assert_eq!(broken(&json!([{ "range": { "column": "price", "min": 1, "max": 2.5 } }]), &orders()), [0, 3]);
}

#[test]
fn a_large_integer_is_compared_exactly() {
    let orders = [i64::MAX - 1, i64::MAX].map(|big| Order { big, ..Order::default() });
    assert_eq!(broken(&json!([{ "one_of": { "column": "big", "values": [i64::MAX] } }]), &orders), [0]);
}

#[test]
fn one_of_takes_text_numbers_and_symbols_of_an_enum() {
    assert_eq!(broken(&json!([{ "one_of": { "column": "text", "values": ["abc", "a-c"] } }]), &orders()), [1]);
    assert_eq!(broken(&json!([{ "one_of": { "column": "a", "values": [10, 11] } }]), &orders()), [0]);
    assert_eq!(broken(&json!([{ "one_of": { "column": "status", "values": ["NEW", "_7"] } }]), &orders()), [1, 2]);
}

#[test]
fn a_pattern_is_matched_in_text_and_symbols() {
    assert_eq!(broken(&json!([{ "pattern": { "column": "text", "matches": "^[a-z]+$" } }]), &orders()), [1, 3]);
    assert_eq!(broken(&json!([{ "pattern": { "column": "status", "matches": "A" } }]), &orders()), [0, 3]);
}

#[test]
fn an_expression_that_is_false_rejects_and_null_passes() {
    assert_eq!(broken(&json!([{ "expression": "a < 11" }]), &orders()), [3]);
    let failed = validate(&json!([{ "expression": "10 / a > -100" }]), &[Order { a: Some(0), ..Order::default() }]).expect("compiles");
    assert_eq!(failed.rejected[0].1, Code::ExpressionFailed);
}

#[test]
fn the_first_broken_rule_is_the_reason_and_names_column_rule_and_value() {
    let rules = json!([{ "range": { "column": "a", "min": 0 } }, { "expression": "a > 0" }]);
    let ran = validate(&rules, &orders()[..1]).expect("compiles");
    assert_eq!(ran.rejected, [(0, Code::RuleBroken, "a must be at least 0, but is -5".to_owned())]);
    let reason = |rules: Value| validate(&json!([rules]), &orders()[..2]).expect("compiles").reason().to_owned();
    assert_eq!(reason(json!({ "not_null": ["a"] })), "a must not be null, but is null");
    assert_eq!(reason(json!({ "one_of": { "column": "status", "values": ["PAID"] } })), "status must be one of PAID, but is NEW");
    assert_eq!(reason(json!({ "pattern": { "column": "text", "matches": "." } })), "text must match ., but is ");
    assert_eq!(reason(json!({ "expression": "a >\n  0" })), "a > 0 is not true");
}

#[test]
fn rows_that_keep_all_rules_pass_as_they_are() {
    let ran = validate(&json!([{ "not_null": ["id"] }, { "not_null": ["a"] }]), &orders()).expect("compiles");
    assert_eq!((ran.rows(), ran.rejected_rows()), ([0, 2, 3].as_slice(), vec![1]));
}

#[test]
fn a_rule_that_can_not_be_checked_is_refused_by_its_number() {
    let refused = |rule: Value| validate(&json!([{ "not_null": ["id"] }, rule]), &[]).err().expect("is refused");
    let unknown = refused(json!({ "not_null": ["stat"] }));
    assert_eq!((unknown.rule, unknown.suggestion.as_deref()), (Some(1), Some("status")));
    assert!(refused(json!({ "range": { "column": "name", "min": 1 } })).message.contains("range is for numbers"));
    assert!(refused(json!({ "range": { "column": "a" } })).message.contains("needs min"));
    assert!(refused(json!({ "pattern": { "column": "a", "matches": "x" } })).message.contains("pattern is for text"));
    assert!(refused(json!({ "pattern": { "column": "name", "matches": "(" } })).message.contains("no regular expression"));
    assert!(refused(json!({ "one_of": { "column": "a", "values": ["x"] } })).message.contains("no value for a"));
    assert!(refused(json!({ "one_of": { "column": "a", "values": [] } })).message.contains("list the values"));
    assert_eq!(refused(json!({ "expression": "sum(a) > 1" })).code, Code::SqlUnsupported);
}
