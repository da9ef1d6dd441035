//! Random expressions over random rows, against an evaluation of one row after the other.

use proptest::prelude::*;

use super::fixture::{Order, run_steps};
use crate::config::StepConfig;

/// An expression over long values, as SQL and as what it means.
#[derive(Debug, Clone)]
enum Number {
    A,
    B,
    Big,
    Constant(i8),
    Binary(char, Box<Number>, Box<Number>),
    Negative(Box<Number>),
    Narrow(Box<Number>),
    Coalesce(Box<Number>, Box<Number>),
    Case(Box<Truth>, Box<Number>, Box<Number>),
}

#[derive(Debug, Clone)]
enum Truth {
    Less(Number, Number),
    IsNull(Number),
    And(Box<Truth>, Box<Truth>),
    Or(Box<Truth>, Box<Truth>),
    Not(Box<Truth>),
}

/// That the row fails.
#[derive(Debug, PartialEq)]
struct Fails;

impl Number {
    fn sql(&self) -> String {
        match self {
            Self::A => "CAST(a AS BIGINT)".into(),
            Self::B => "CAST(b AS BIGINT)".into(),
            Self::Big => "big".into(),
            Self::Constant(value) => format!("({value})"),
            Self::Binary(op, left, right) => format!("({} {op} {})", left.sql(), right.sql()),
            Self::Negative(inner) => format!("(- {})", inner.sql()),
            Self::Narrow(inner) => format!("CAST(CAST({} AS INT) AS BIGINT)", inner.sql()),
            Self::Coalesce(first, second) => format!("coalesce({}, {})", first.sql(), second.sql()),
            Self::Case(when, then, otherwise) => format!("CASE WHEN {} THEN {} ELSE {} END", when.sql(), then.sql(), otherwise.sql()),
        }
    }

    fn value(&self, row: &Order) -> Result<Option<i64>, Fails> {
        match self {
            Self::A => Ok(row.a.map(i64::from)),
            Self::B => Ok(Some(row.b.into())),
            Self::Big => Ok(Some(row.big)),
            Self::Constant(value) => Ok(Some((*value).into())),
            Self::Binary(op, left, right) => match (left.value(row)?, right.value(row)?) {
                (Some(left), Some(right)) => operation(*op, left, right).map(Some).ok_or(Fails),
                _ => Ok(None),
            },
            Self::Negative(inner) => inner.value(row)?.map(|value| value.checked_neg().ok_or(Fails)).transpose(),
            Self::Narrow(inner) => inner.value(row)?.map(|value| i32::try_from(value).map(i64::from).map_err(|_| Fails)).transpose(),
            Self::Coalesce(first, second) => first.value(row)?.map_or_else(|| second.value(row), |value| Ok(Some(value))),
            Self::Case(when, then, otherwise) => {
                if when.value(row)? == Some(true) {
                    then.value(row)
                } else {
                    otherwise.value(row)
                }
            }
        }
    }
}

fn operation(op: char, left: i64, right: i64) -> Option<i64> {
    match op {
        '+' => left.checked_add(right),
        '-' => left.checked_sub(right),
        '*' => left.checked_mul(right),
        '/' => left.checked_div(right),
        _ => (right != 0).then(|| left.wrapping_rem(right)),
    }
}

impl Truth {
    fn sql(&self) -> String {
        match self {
            Self::Less(left, right) => format!("({} < {})", left.sql(), right.sql()),
            Self::IsNull(inner) => format!("({} IS NULL)", inner.sql()),
            Self::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Self::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
            Self::Not(inner) => format!("(NOT {})", inner.sql()),
        }
    }

    fn value(&self, row: &Order) -> Result<Option<bool>, Fails> {
        match self {
            Self::Less(left, right) => match (left.value(row)?, right.value(row)?) {
                (Some(left), Some(right)) => Ok(Some(left < right)),
                _ => Ok(None),
            },
            Self::IsNull(inner) => Ok(Some(inner.value(row)?.is_none())),
            Self::And(left, right) => decided(left, right, row, false),
            Self::Or(left, right) => decided(left, right, row, true),
            Self::Not(inner) => Ok(inner.value(row)?.map(|value| !value)),
        }
    }
}

/// AND is decided by false, OR by true; the right side is looked at only if the left one doesn't decide.
fn decided(left: &Truth, right: &Truth, row: &Order, by: bool) -> Result<Option<bool>, Fails> {
    let left = left.value(row)?;
    if left == Some(by) {
        return Ok(left);
    }
    match (left, right.value(row)?) {
        (_, Some(right)) if right == by => Ok(Some(by)),
        (Some(_), Some(_)) => Ok(Some(!by)),
        _ => Ok(None),
    }
}

fn number() -> BoxedStrategy<Number> {
    let leaf = prop_oneof![
        3 => Just(Number::A),
        3 => Just(Number::B),
        3 => Just(Number::Big),
        2 => (-3_i8..=3).prop_map(Number::Constant),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let inner = inner.boxed();
        let op = prop_oneof![Just('+'), Just('-'), Just('*'), Just('/'), Just('%')];
        let boxed = inner.clone().prop_map(Box::new).boxed();
        prop_oneof![
            5 => (op, boxed.clone(), boxed.clone()).prop_map(|(op, left, right)| Number::Binary(op, left, right)),
            1 => boxed.clone().prop_map(Number::Negative),
            1 => boxed.clone().prop_map(Number::Narrow),
            1 => (boxed.clone(), boxed.clone()).prop_map(|(first, second)| Number::Coalesce(first, second)),
            2 => (truth(inner), boxed.clone(), boxed).prop_map(|(when, then, otherwise)| Number::Case(Box::new(when), then, otherwise)),
        ]
    })
    .boxed()
}

fn truth(number: BoxedStrategy<Number>) -> impl Strategy<Value = Truth> {
    let leaf = prop_oneof![
        3 => (number.clone(), number.clone()).prop_map(|(left, right)| Truth::Less(left, right)),
        1 => number.prop_map(Truth::IsNull),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let boxed = inner.prop_map(Box::new).boxed();
        prop_oneof![
            (boxed.clone(), boxed.clone()).prop_map(|(left, right)| Truth::And(left, right)),
            (boxed.clone(), boxed.clone()).prop_map(|(left, right)| Truth::Or(left, right)),
            boxed.prop_map(Truth::Not),
        ]
    })
}

fn order() -> impl Strategy<Value = Order> {
    let a = prop_oneof![2 => Just(None), 4 => (-3..4).prop_map(Some), 1 => any::<i32>().prop_map(Some)];
    let b = prop_oneof![4 => -3..4, 1 => Just(i32::MAX), 1 => Just(i32::MIN)];
    let big = prop_oneof![4 => -3_i64..4, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()];
    (a, b, big).prop_map(|(a, b, big)| Order { a, b, big, ..Order::default() })
}

/// Runs the SELECT; `None` if a constant part of it fails, which is refused before any row is seen.
fn ran(select: &str, orders: &[Order]) -> Option<super::fixture::Ran> {
    match run_steps(&[StepConfig::Sql(select.to_owned())], orders) {
        Ok(ran) => Some(ran),
        Err(error) if error.message.ends_with("it would fail for every record") => None,
        Err(error) => panic!("{select}\n{error}"),
    }
}

fn shown(value: Option<i64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_column_has_the_value_of_each_row_or_rejects_it(expression in number(), orders in prop::collection::vec(order(), 0..40)) {
        let Some(ran) = ran(&format!("SELECT {} AS x FROM input", expression.sql()), &orders) else { return Ok(()) };
        let expected: Vec<_> = orders.iter().map(|order| expression.value(order)).collect();
        let good: Vec<String> = expected.iter().filter_map(|value| value.as_ref().ok()).map(|value| shown(*value)).collect();
        let bad: Vec<u32> = (0..).zip(&expected).filter(|(_, value)| value.is_err()).map(|(row, _)| row).collect();
        prop_assert_eq!(ran.rejected_rows(), bad);
        prop_assert_eq!(ran.column("x"), good);
    }

    #[test]
    fn a_condition_keeps_drops_or_rejects_each_row(condition in truth(number()), orders in prop::collection::vec(order(), 0..40)) {
        let Some(ran) = ran(&format!("SELECT id FROM input WHERE {}", condition.sql()), &orders) else { return Ok(()) };
        let expected: Vec<_> = orders.iter().map(|order| condition.value(order)).collect();
        let rows = |wanted: Result<Option<bool>, Fails>| (0..).zip(&expected).filter(|(_, value)| **value == wanted).map(|(row, _)| row).collect::<Vec<u32>>();
        prop_assert_eq!(ran.rejected_rows(), rows(Err(Fails)));
        prop_assert_eq!(ran.rows(), rows(Ok(Some(true))));
    }
}
