//! What SELECT and WHERE give.

use std::sync::atomic::{AtomicI64, Ordering};

use super::fixture::{Order, run, run_steps, schema, sql, values};
use crate::config::StepConfig;
use crate::steps::clock::Clock;
use crate::steps::compile_with;

fn statuses() -> Vec<Order> {
    [0, 1, 2, 3].map(|status| Order { status, ..Order::default() }).to_vec()
}

#[test]
fn where_drops_what_is_not_true_and_the_rest_keeps_its_records() {
    let orders = [Some(1), None, Some(3)].map(|a| Order { a, ..Order::default() });
    let ran = sql("SELECT id, a FROM input WHERE a > 0", &orders);
    assert_eq!(ran.column("a"), ["1", "3"]);
    assert_eq!(ran.rows(), [0, 2]);
    let last = ran.batch.origin().record(1);
    assert_eq!((last.key, last.timestamp), (Some(b"key 2".as_slice()), 20));
    assert_eq!(last.headers[0].value.as_deref(), Some(b"2".as_slice()));
}

#[test]
fn where_that_keeps_no_row_gives_an_empty_batch_of_the_same_schema() {
    let ran = sql("SELECT a / b AS q, upper(name) AS n, * FROM input WHERE id > 99", &statuses());
    assert!(ran.batch.is_empty());
    assert!(ran.rejected.is_empty());
}

#[test]
fn an_empty_batch_gives_an_empty_batch() {
    let ran = sql("SELECT a / b AS q, CASE WHEN b > 0 THEN a / b ELSE 0 END AS c FROM input WHERE status <> 'NEW'", &[]);
    assert!(ran.batch.is_empty());
}

#[test]
fn an_enum_is_text_in_sql() {
    let ran = sql("SELECT id FROM input WHERE status <> 'CANCELLED'", &statuses());
    assert_eq!(ran.rows(), [0, 1, 3]);
    assert_eq!(values("lower(status)", &statuses()), ["new", "paid", "cancelled", "_7"]);
    assert_eq!(values("CASE status WHEN 'NEW' THEN 1 WHEN 'PAID' THEN 2 ELSE 0 END", &statuses()), ["1", "2", "0", "0"]);
    assert_eq!(values("status IN ('NEW', '_7')", &statuses()), ["true", "false", "false", "true"]);
    assert_eq!(values("status LIKE '%A%'", &statuses()), ["false", "true", "true", "false"]);
    assert_eq!(values("concat(status, ' ', name)", &statuses()[..1]), ["NEW name"]);
}

#[test]
fn a_nullable_enum_is_null_where_it_is() {
    let orders = [None, Some(1)].map(|before| Order { before, ..Order::default() });
    let many: Vec<Order> = orders.iter().cycle().take(10).cloned().collect();
    assert_eq!(values("before IS NULL", &many)[..2], ["true", "false"]);
    assert_eq!(values("coalesce(before, 'none')", &many)[..2], ["none", "PAID"]);
    assert_eq!(values("before = 'PAID'", &many)[..2], ["null", "true"]);
    assert_eq!(values("before = 'PAID'", &orders), ["null", "true"]);
}

#[test]
fn two_enums_are_compared_as_text() {
    let orders = [(0, Some(0)), (1, Some(0))].map(|(status, before)| Order { status, before, ..Order::default() });
    assert_eq!(values("status = before", &orders), ["true", "false"]);
}

#[test]
fn arithmetic_has_the_types_of_sql() {
    let order = [Order { a: Some(7), b: 2, ratio: 0.5, cents: 1050, ..Order::default() }];
    assert_eq!(values("a / b", &order), ["3"]);
    assert_eq!(values("a % b", &order), ["1"]);
    assert_eq!(values("a / 2.0", &order), ["3.5"]);
    assert_eq!(values("-a + 1", &order), ["-6"]);
    assert_eq!(values("price * 2", &order), ["21.00"]);
    assert_eq!(values("price + 0.5", &order), ["11.0"]);
    assert_eq!(values("round(ratio * 3)", &order), ["2.0"]);
    assert_eq!(values("1 / ratio", &[Order { ratio: 0.0, ..Order::default() }]), ["inf"]);
}

#[test]
fn text_functions_work() {
    let order = [Order { name: "ann@example.org", text: None, ..Order::default() }];
    assert_eq!(values("concat('***@', split_part(name, '@', 2))", &order), ["***@example.org"]);
    assert_eq!(values("upper(substr(name, 1, 3))", &order), ["ANN"]);
    assert_eq!(values("substring(name from 1 for 2)", &order), ["an"]);
    assert_eq!(values("name || '!'", &order), ["ann@example.org!"]);
    assert_eq!(values("coalesce(text, 'nothing')", &order), ["nothing"]);
    assert_eq!(values("regexp_replace(name, '@.*', '')", &order), ["ann"]);
    assert_eq!(values("name ~ '^a.*org$'", &order), ["true"]);
    assert_eq!(values("position('@' in name)", &order), ["4"]);
    assert_eq!(values("char_length(name)", &order), ["15"]);
}

#[test]
fn times_work() {
    let order = [Order::default()];
    assert_eq!(values("date_trunc('day', at)", &order), ["2026-11-21T00:00:00Z"]);
    assert_eq!(values("extract(year from at)", &order), ["2026"]);
    assert_eq!(values("at + INTERVAL '1 day'", &order), ["2026-11-22T10:20:30Z"]);
    assert_eq!(values("at > TIMESTAMP '2020-01-01T00:00:00Z'", &order), ["true"]);
    assert_eq!(values("CAST(at AS DATE)", &order), ["2026-11-21"]);
}

#[test]
fn nested_values_can_be_reached_and_made() {
    let order = [Order { name: "sku", ..Order::default() }];
    assert_eq!(values("item.sku", &order), ["sku"]);
    assert_eq!(values("input.item.weight", &order), ["0.5"]);
    assert_eq!(values("item['sku']", &order), ["sku"]);
    assert_eq!(values("tags[1]", &order), ["tag 0"]);
    assert_eq!(values("tags[9]", &order), ["null"]);
    assert_eq!(values("array_length(tags)", &order), ["1"]);
    assert_eq!(values("[name, 'b']", &order), ["[sku, b]"]);
    assert_eq!(values("struct(name AS n, b)", &order).len(), 1);
}

#[test]
fn now_is_the_time_of_the_batch_and_the_same_for_all_rows() {
    let orders = vec![Order::default(); 3];
    assert_eq!(values("now()", &orders), vec!["2026-11-21T10:20:30Z"; 3]);
    assert_eq!(values("current_date", &orders), vec!["2026-11-21"; 3]);
    assert_eq!(values("CURRENT_TIMESTAMP", &orders), vec!["2026-11-21T10:20:30Z"; 3]);
    assert_eq!(values("now() - INTERVAL '1 hour' < at", &orders), vec!["true"; 3]);
}

/// A microsecond later each time it is read.
fn ticking() -> i64 {
    static TICKS: AtomicI64 = AtomicI64::new(0);
    TICKS.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn now_is_the_same_in_all_steps_and_another_for_the_next_batch() {
    let steps = [
        StepConfig::Filter("now() = now()".into()),
        StepConfig::Sql("SELECT now() AS first FROM input".into()),
        StepConfig::Sql("SELECT first, now() AS second FROM input WHERE now() = first".into()),
    ];
    let compiled = compile_with(&steps, &schema(), Clock::reading(ticking)).expect("compiles");
    let times = [(); 2].map(|()| {
        let ran = run(&compiled, &[Order::default()]);
        assert_eq!(ran.column("first"), ran.column("second"));
        ran.column("first").remove(0)
    });
    assert_ne!(times[0], times[1]);
}

#[test]
fn functions_that_make_large_values_take_a_written_size() {
    let order = [Order { name: "ab", ..Order::default() }];
    assert_eq!(values("repeat(name, 2)", &order), ["abab"]);
    assert_eq!(values("lpad(name, 2 + 2, '.')", &order), ["..ab"]);
    assert_eq!(values("range(1, 7, 3)", &order), ["[1, 4]"]);
    assert_eq!(values("array_length(array_repeat(name, 10000))", &order), ["10000"]);
}

#[test]
fn a_star_takes_all_columns_and_its_options_change_it() {
    let names =
        |text: &str| sql(text, &[Order::default()]).batch.columns().schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    assert_eq!(names("SELECT * FROM input").len(), 13);
    assert_eq!(names("SELECT input.* FROM input").len(), 13);
    assert_eq!(names("SELECT * EXCEPT (a, b) FROM input").len(), 11);
    assert_eq!(names("SELECT * EXCLUDE (a, b) FROM input").len(), 11);
    assert_eq!(names("SELECT *, a AS c FROM input").last().map(String::as_str), Some("c"));
    let replaced = sql("SELECT * REPLACE (upper(name) AS name) FROM input", &[Order::default()]);
    assert_eq!(replaced.column("name"), ["NAME"]);
    assert!(names("SELECT * RENAME (a AS z) FROM input").contains(&"z".to_owned()));
}

#[test]
fn columns_may_be_qualified_quoted_and_the_table_aliased() {
    let order = [Order::default()];
    assert_eq!(sql("SELECT input.a FROM input", &order).column("a"), ["1"]);
    assert_eq!(sql("SELECT i.a FROM input AS i", &order).column("a"), ["1"]);
    assert_eq!(sql("SELECT \"a\" AS \"A\" FROM INPUT", &order).column("A"), ["1"]);
}

#[test]
fn a_constant_is_computed_once() {
    assert_eq!(values("1 + 2 * 3", &[Order::default(), Order::default()]), ["7", "7"]);
    assert_eq!(values("'x' || upper('y')", &[Order::default()]), ["xY"]);
}

#[test]
fn a_filter_keeps_the_schema_and_the_rows_of_which_it_is_true() {
    let orders = [Some(1), None, Some(3)].map(|a| Order { a, ..Order::default() });
    let ran = run_steps(&[StepConfig::Filter("a >= 2".into())], &orders).expect("compiles");
    assert_eq!(ran.rows(), [2]);
    assert_eq!(ran.batch.columns().num_columns(), 13);
}

#[test]
fn steps_follow_each_other() {
    let steps = [
        StepConfig::Filter("status <> 'CANCELLED'".into()),
        StepConfig::Sql("SELECT id, a + b AS sum, status FROM input".into()),
        StepConfig::Sql("SELECT sum * 2 AS twice, status = 'NEW' AS fresh FROM input".into()),
    ];
    let ran = run_steps(&steps, &statuses()).expect("compiles");
    assert_eq!(ran.column("twice"), ["6", "6", "6"]);
    assert_eq!(ran.column("fresh"), ["true", "false", "false"]);
}
