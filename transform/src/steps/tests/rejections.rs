//! Rows that fail: alone, with the reason, and only where they come to the part that fails.

use millrace_model::Code;

use super::fixture::{Order, Ran, run_steps, sql};
use crate::config::StepConfig;

fn with_b(values: &[i32]) -> Vec<Order> {
    values.iter().map(|&b| Order { a: Some(100), b, ..Order::default() }).collect()
}

fn with_text(values: &[Option<&'static str>]) -> Vec<Order> {
    values.iter().map(|&text| Order { text, ..Order::default() }).collect()
}

fn select(expression: &str, orders: &[Order]) -> Ran {
    sql(&format!("SELECT {expression} AS x FROM input"), orders)
}

#[test]
fn a_division_by_zero_rejects_its_row_alone() {
    let ran = select("a / b", &with_b(&[1, 0, 4]));
    assert_eq!(ran.column("x"), ["100", "25"]);
    assert_eq!(ran.rows(), [0, 2]);
    assert_eq!(ran.rejected[0].1, Code::ExpressionFailed);
    assert_eq!(ran.rejected[0].0, 1);
    assert_eq!(ran.reason(), "x: a / b failed: division by zero (a = 100, b = 0)");
}

#[test]
fn an_integer_that_overflows_rejects_its_row_alone() {
    for expression in ["big + 1", "1 + big", "big * 2", "big - (-1)", "-(-big - 1) * 1", "abs(-big - 1)", "-(0 - big - 1)"] {
        let orders = [1, i64::MAX, 5].map(|big| Order { big, ..Order::default() });
        assert_eq!(select(expression, &orders).rejected_rows(), [1], "{expression}");
    }
    let reason = select("big + 1", &[Order { big: i64::MAX, ..Order::default() }]).reason().to_owned();
    assert_eq!(reason, "x: big + 1 failed: the result is out of range of long (big = 9223372036854775807)");
}

#[test]
fn the_least_integer_has_no_negative_and_no_quotient_by_minus_one() {
    let orders = [Order { big: i64::MIN, ..Order::default() }, Order::default()];
    for expression in ["-big", "abs(big)", "big / -1"] {
        assert_eq!(select(expression, &orders).rejected_rows(), [0], "{expression}");
    }
}

#[test]
fn modulo_zero_rejects_and_null_by_zero_is_null() {
    assert_eq!(select("a % b", &with_b(&[3, 0])).rejected_rows(), [1]);
    let ran = select("a / b", &[Order { a: None, b: 0, ..Order::default() }]);
    assert_eq!(ran.column("x"), ["null"]);
}

#[test]
fn a_cast_that_does_not_fit_rejects_and_null_stays_null() {
    let ran = select("CAST(text AS INT)", &with_text(&[Some("12"), Some("twelve"), None, Some("99999999999")]));
    assert_eq!(ran.column("x"), ["12", "null"]);
    assert_eq!(ran.rejected_rows(), [1, 3]);
    assert!(ran.rejected[0].2.contains("text = twelve"), "{}", ran.rejected[0].2);
    assert_eq!(select("CAST(big AS INT)", &[Order { big: 1 << 40, ..Order::default() }]).rejected_rows(), [0]);
    assert_eq!(select("CAST(ratio AS INT)", &[Order { ratio: f64::NAN, ..Order::default() }]).rejected_rows(), [0]);
}

#[test]
fn try_cast_and_nullif_are_the_guards() {
    assert_eq!(select("TRY_CAST(text AS INT)", &with_text(&[Some("12"), Some("twelve")])).column("x"), ["12", "null"]);
    assert_eq!(select("a / nullif(b, 0)", &with_b(&[1, 0])).column("x"), ["100", "null"]);
}

#[test]
fn a_decimal_with_too_many_digits_rejects() {
    let orders = [1, 9_999_999_999].map(|cents| Order { cents, ..Order::default() });
    assert_eq!(select("CAST(price * 10 AS DECIMAL(10, 2))", &orders).rejected_rows(), [1]);
    let widest = "CAST(price AS DECIMAL(38, 2)) * CAST(1000000000000000000 AS DECIMAL(38, 0)) * CAST(100000000000 AS DECIMAL(38, 0))";
    assert_eq!(select(widest, &orders).rejected_rows(), [1]);
    assert_eq!(select("price / (price - price)", &orders).rejected_rows(), [0, 1]);
}

#[test]
fn a_function_that_fails_as_a_whole_rejects_only_the_rows_that_make_it() {
    let texts = [Some("2026-01-01"), Some("soon"), None, Some("2026-02-01"), Some("later"), Some("2026-03-01")];
    let ran = select("to_timestamp(text)", &with_text(&texts));
    assert_eq!(ran.column("x"), ["2026-01-01T00:00:00", "null", "2026-02-01T00:00:00", "2026-03-01T00:00:00"]);
    assert_eq!(ran.rejected_rows(), [1, 4]);
    assert!(
        ran.rejected[0].2.starts_with("x: to_timestamp(\"text\") failed: ")
            || ran.rejected[0].2.starts_with("x: to_timestamp(text) failed: "),
        "{}",
        ran.rejected[0].2
    );
}

#[test]
fn each_of_many_bad_rows_is_found() {
    let orders: Vec<Order> =
        (0..500).map(|row| Order { text: Some(if row % 3 == 0 { "bad" } else { "2026-01-01" }), ..Order::default() }).collect();
    let ran = select("to_timestamp(text)", &orders);
    assert_eq!(ran.rejected_rows(), (0..500).step_by(3).collect::<Vec<u32>>());
    assert_eq!(ran.batch.len(), 500 - ran.rejected.len());
}

#[test]
fn a_row_that_where_drops_is_not_rejected_by_the_projection() {
    let ran = sql("SELECT a / b AS x FROM input WHERE b <> 0", &with_b(&[2, 0]));
    assert_eq!(ran.column("x"), ["50"]);
    assert!(ran.rejected.is_empty());
}

#[test]
fn a_where_that_fails_rejects_the_row() {
    let ran = sql("SELECT id FROM input WHERE a / b > 10", &with_b(&[2, 0, 50]));
    assert_eq!(ran.rows(), [0]);
    assert_eq!(ran.rejected_rows(), [1]);
    assert!(ran.reason().starts_with("WHERE: "), "{}", ran.reason());
    assert_eq!(sql("SELECT id FROM input WHERE coalesce(a / b, 1) IS NOT NULL", &with_b(&[2, 0])).rows(), [0]);
    assert_eq!(sql("SELECT id FROM input WHERE a / b IS NULL", &with_b(&[2, 0])).rejected_rows(), [1]);
}

#[test]
fn a_filter_that_fails_rejects_the_row() {
    let ran = run_steps(&[StepConfig::Filter("a / b > 10".into())], &with_b(&[2, 0, 50])).expect("compiles");
    assert_eq!((ran.rows(), ran.rejected_rows()), ([0].as_slice(), vec![1]));
}

#[test]
fn a_row_does_not_fail_in_a_branch_that_it_does_not_take() {
    let orders = with_b(&[4, 0, -5]);
    let ran = select("CASE WHEN b <> 0 THEN a / b ELSE -1 END", &orders);
    assert_eq!(ran.column("x"), ["25", "-1", "-20"]);
    assert!(ran.rejected.is_empty());
    let simple = select("CASE b WHEN 0 THEN 0 WHEN 4 THEN a / (b - 4) ELSE a / b END", &orders);
    assert_eq!((simple.rows(), simple.rejected_rows()), ([1, 2].as_slice(), vec![0]));
}

#[test]
fn and_and_or_do_not_fail_a_row_that_their_left_side_decides() {
    let orders = with_b(&[4, 0, 200]);
    assert_eq!(sql("SELECT id FROM input WHERE b <> 0 AND a / b >= 1", &orders).rows(), [0]);
    assert_eq!(select("b <> 0 AND a / b > 1", &orders).column("x"), ["true", "false", "false"]);
    assert_eq!(select("b = 0 OR a / b > 1", &orders).column("x"), ["true", "true", "false"]);
    assert_eq!(select("a / b > 1 AND b <> 0", &orders).rejected_rows(), [1]);
    let unknown = [Order { a: None, b: 0, ..Order::default() }];
    assert_eq!(select("a > 0 AND 10 / b > 1", &unknown).rejected_rows(), [0]);
}

#[test]
fn coalesce_does_not_fail_a_row_that_an_earlier_argument_decides() {
    let orders = [(Some(5), 0), (None, 0), (None, 3)].map(|(a, b)| Order { a, b, ..Order::default() });
    let ran = select("coalesce(a, 9 / b)", &orders);
    assert_eq!((ran.column("x"), ran.rejected_rows()), (vec!["5".to_owned(), "3".to_owned()], vec![1]));
    assert_eq!(select("nvl2(a, a, 9 / b)", &orders).rejected_rows(), [1]);
}

#[test]
fn a_failure_inside_nested_branches_is_of_the_right_row() {
    let orders: Vec<Order> = (0..20).map(|b| Order { a: Some(b), b: b % 5, ..Order::default() }).collect();
    let ran = select("CASE WHEN a >= 10 THEN CASE WHEN b > 2 THEN 1 WHEN b = 1 THEN 2 ELSE 10 / b END ELSE 0 END", &orders);
    assert_eq!(ran.rejected_rows(), [10, 15]);
    assert_eq!(ran.batch.len(), 18);
}

#[test]
fn an_enum_symbol_that_fails_rejects_its_rows_only() {
    let orders: Vec<Order> = [0, 3, 3, 1, 3, 3, 3].map(|status| Order { status, ..Order::default() }).to_vec();
    let ran = select("CAST(substr(status, 2) AS INT)", &orders);
    assert_eq!((ran.column("x"), ran.rejected_rows()), (vec!["7".to_owned(); 5], vec![0, 3]));
    let few = select("CAST(substr(status, 2) AS INT)", &orders[..2]);
    assert_eq!(few.rejected_rows(), [0]);
}

#[test]
fn the_first_column_that_fails_gives_the_reason_and_long_values_are_cut() {
    let ran = sql("SELECT a / b AS first, CAST(text AS INT) AS second FROM input", &[Order { b: 0, text: Some("x"), ..Order::default() }]);
    assert!(ran.reason().starts_with("first: "), "{}", ran.reason());
    let long = select(
        "CAST(text AS INT)",
        &with_text(&[Some("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")]),
    );
    assert!(long.reason().len() < 200, "{}", long.reason());
}

#[test]
fn rejections_are_of_records_not_of_rows() {
    let steps = [StepConfig::Filter("id > 0".into()), StepConfig::Sql("SELECT a / b AS x FROM input WHERE id <> 2".into())];
    let ran = run_steps(&steps, &with_b(&[1, 1, 1, 0, 1])).expect("compiles");
    assert_eq!((ran.rows(), ran.rejected_rows()), ([1, 4].as_slice(), vec![3]));
}

#[test]
fn an_unsigned_result_that_no_avro_type_holds_rejects() {
    let orders = [Order { big: i64::MAX, ..Order::default() }, Order::default()];
    let ran = select("arrow_cast(big, 'UInt64') + arrow_cast(big, 'UInt64')", &orders);
    assert_eq!((ran.rejected_rows(), ran.column("x")), (vec![0], vec!["6".to_owned()]));
}

#[test]
fn arithmetic_with_a_null_constant_is_null_and_rejects_nothing() {
    let orders = with_b(&[1, 2]);
    for expression in
        ["a + CAST(NULL AS INT)", "CAST(NULL AS BIGINT) * big", "a / CAST(NULL AS INT)", "price - CAST(NULL AS DECIMAL(10, 2))"]
    {
        assert_eq!(select(expression, &orders).column("x"), ["null", "null"], "{expression}");
    }
    assert_eq!(select("a / b + CAST(NULL AS INT)", &with_b(&[0, 2])).rejected_rows(), [0]);
}

#[test]
fn a_value_inside_a_list_or_record_that_does_not_fit_rejects_its_row() {
    let orders = [Order { big: i64::MAX, ..Order::default() }, Order::default()];
    let twice = "arrow_cast(big, 'UInt64') + arrow_cast(big, 'UInt64')";
    for expression in [format!("[{twice}]"), format!("struct({twice} AS n)")] {
        let ran = select(&expression, &orders);
        assert_eq!((ran.rejected_rows(), ran.batch.len()), (vec![0], 1), "{expression}: {:?}", ran.rejected);
    }
}
