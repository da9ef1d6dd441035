//! The values in a project file's rules as values of the column's type.

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, ident, lit};

use crate::steps::error::{Compiled, StepError};
use crate::steps::wording::type_name;

/// `min <= column AND column <= max`, as far as there is a bound.
pub(super) fn within(column: &str, data_type: &DataType, min: Option<&str>, max: Option<&str>) -> Compiled<Expr> {
    if !(data_type.is_numeric() || data_type.is_temporal()) {
        return Err(StepError::invalid(format!("range is for numbers and times; {column} is {}", type_name(data_type))));
    }
    let bound = |text: Option<&str>| text.map(|text| value(column, data_type, text)).transpose();
    let (min, max) = (bound(min)?, bound(max)?);
    let min = min.map(|min| ident(column).gt_eq(min));
    let max = max.map(|max| ident(column).lt_eq(max));
    Ok(min.into_iter().chain(max).reduce(Expr::and).unwrap_or_else(|| lit(true)))
}

/// `column IN (values)`.
pub(super) fn listed(column: &str, data_type: &DataType, values: &[String]) -> Compiled<Expr> {
    if values.is_empty() {
        return Err(StepError::invalid(format!("one_of has no value for {column}; list the values that are allowed")));
    }
    let values: Vec<Expr> = values.iter().map(|text| value(column, data_type, text)).collect::<Compiled<_>>()?;
    Ok(ident(column).in_list(values, false))
}

/// The text as a constant that is compared with the column exactly: a fraction stays one for a column of integers.
fn value(column: &str, data_type: &DataType, text: &str) -> Compiled<Expr> {
    let exact = match data_type {
        _ if data_type.is_integer() && text.parse::<i64>().is_err() => &DataType::Float64,
        DataType::Decimal128(..) | DataType::Decimal256(..) => &decimal(text),
        other => other,
    };
    let value = ScalarValue::from(text).cast_to(exact).ok().filter(|value| !value.is_null());
    let value = value.ok_or_else(|| StepError::invalid(format!("{text} is no value for {column}, which is {}", type_name(data_type))))?;
    Ok(Expr::Literal(value, None))
}

/// The decimal type with as many places as the text has.
fn decimal(text: &str) -> DataType {
    let places = text.split_once('.').map_or(0, |(_, places)| places.len().min(38));
    DataType::Decimal128(38, places as i8)
}
