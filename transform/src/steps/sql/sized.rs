//! Functions whose result is as large as an argument says: that argument may not come from a record.
//!
//! One number in one record could otherwise ask for all memory, and what can't be allocated ends the process.

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::Expr;
use datafusion_expr::expr::ScalarFunction;

/// The most items of an array, and the most characters that a text is padded to.
const MOST: i128 = 10_000;
/// The most times that a text, which may be as long as a record, is repeated.
const MOST_REPEATS: i128 = 100;

/// Says why the call may not be made, if its result has no bound that is known before any record is.
pub(in crate::steps) fn unbounded(call: &ScalarFunction) -> Option<String> {
    let name = call.func.name();
    let (size, most) = match name {
        "repeat" => (number(call.args.get(1)), MOST_REPEATS),
        "array_repeat" | "array_resize" | "lpad" | "rpad" => (number(call.args.get(1)), MOST),
        "range" | "generate_series" => (length(&call.args), MOST),
        _ => return None,
    };
    let is_bounded = size.is_some_and(|size| size <= most);
    (!is_bounded).then(|| {
        format!("{name} needs a size of at most {most} that is written as a number: one that a record gives could take all memory")
    })
}

/// How many items `range(stop)` or `range(start, stop, step)` has, at most.
fn length(args: &[Expr]) -> Option<i128> {
    let numbers: Option<Vec<i128>> = args.iter().map(|arg| number(Some(arg))).collect();
    match numbers?.as_slice() {
        [stop] => Some(steps(0, *stop, 1)),
        [start, stop] => Some(steps(*start, *stop, 1)),
        [start, stop, step] => Some(steps(*start, *stop, *step)),
        _ => None,
    }
}

fn steps(start: i128, stop: i128, step: i128) -> i128 {
    (stop - start).checked_div(step).map_or(0, |steps| steps + 1)
}

/// The constant whole number; 0 for null, which gives null.
fn number(arg: Option<&Expr>) -> Option<i128> {
    let Some(Expr::Literal(value, _)) = arg else { return None };
    if value.is_null() {
        return Some(0);
    }
    match value.data_type().is_integer().then(|| value.cast_to(&DataType::Int64)) {
        Some(Ok(ScalarValue::Int64(number))) => number.map(i128::from),
        _ => None,
    }
}
