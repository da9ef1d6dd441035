//! Physical expressions that may fail for some rows, and how those rows are found without asking each one.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions, UInt32Array, downcast_integer_array,
    new_empty_array, new_null_array,
};
use arrow::compute::{concat, take_record_batch};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, SchemaRef};
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::BinaryExpr;

use super::node::Node;
use super::rows::{Failures, Rows};
use crate::steps::error::text;
use crate::steps::values::shown;
use crate::steps::wording::type_name;

/// What a null result means where no argument is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Null is a good result.
    Fine,
    /// The operation gives null where it fails.
    Failed,
}

/// An argument: where its values come from, and how it is called in messages.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) node: Node,
    pub(super) text: String,
}

/// A physical expression over the columns that its arguments give.
///
/// It is evaluated for the whole batch at once. Where it fails, the rows that do are found so:
/// - integer arithmetic is done again with a checked operation for each value, which gives null on failure;
/// - casts and decimals give null on failure in the first place;
/// - anything else, which only says that some row failed, is divided in halves until the bad rows are
///   alone: about `log2(rows)` evaluations for each of them.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) physical: Arc<dyn PhysicalExpr>,
    pub(super) arguments: Vec<Argument>,
    /// A field for each argument.
    pub(super) schema: SchemaRef,
    pub(super) data_type: DataType,
    pub(super) lost: Lost,
    /// The same as `physical`, when it is arithmetic of two integers of one type.
    pub(super) integers: Option<Arc<BinaryExpr>>,
    /// The expression as SQL.
    pub(super) text: String,
}

impl Call {
    pub(super) fn evaluate(&self, rows: &Rows, failures: &mut Failures) -> Result<ColumnarValue, DataFusionError> {
        if rows.len() == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(&self.data_type)));
        }
        let arguments = self.arguments(rows, failures)?;
        let value = match self.attempt(&arguments) {
            Ok(value) => value,
            Err(_) => ColumnarValue::Array(self.without_bad_rows(&arguments, rows, failures)?),
        };
        match self.lost {
            Lost::Fine => Ok(value),
            Lost::Failed => self.checked(value, &arguments, rows, failures),
        }
    }

    fn arguments(&self, rows: &Rows, failures: &mut Failures) -> Result<RecordBatch, DataFusionError> {
        let mut columns = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            columns.push(argument.node.array(rows, failures)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// A panic of a kernel is a failure like any other: some value in the batch brought it about.
    fn attempt(&self, arguments: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        catch_unwind(AssertUnwindSafe(|| self.physical.evaluate(arguments)))
            .unwrap_or_else(|_| Err(DataFusionError::Execution("the function can't handle this value".to_owned())))
    }

    fn without_bad_rows(&self, arguments: &RecordBatch, rows: &Rows, failures: &mut Failures) -> Result<ArrayRef, DataFusionError> {
        if let Some(binary) = &self.integers {
            let left = binary.left().evaluate(arguments)?.into_array(rows.len())?;
            let right = binary.right().evaluate(arguments)?.into_array(rows.len())?;
            return Ok(checked_integers(*binary.op(), &left, &right)?);
        }
        let mut parts = Vec::new();
        self.divide(arguments, 0, rows, failures, &mut parts)?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&parts)?)
    }

    /// Evaluates the rows from `offset` on, in halves as long as a part fails.
    fn divide(
        &self,
        part: &RecordBatch,
        offset: usize,
        rows: &Rows,
        failures: &mut Failures,
        done: &mut Vec<ArrayRef>,
    ) -> Result<(), DataFusionError> {
        match self.attempt(part) {
            Ok(value) => done.push(value.into_array(part.num_rows())?),
            Err(error) if part.num_rows() == 1 => {
                failures.note(rows.number(offset), || self.reason(&text(&error), part, 0));
                done.push(new_null_array(&self.data_type, 1));
            }
            Err(_) => {
                let half = part.num_rows() / 2;
                self.divide(&only(part, 0..half)?, offset, rows, failures, done)?;
                self.divide(&only(part, half..part.num_rows())?, offset + half, rows, failures, done)?;
            }
        }
        Ok(())
    }

    /// Notes the rows whose result is null although no argument is.
    fn checked(
        &self,
        value: ColumnarValue,
        arguments: &RecordBatch,
        rows: &Rows,
        failures: &mut Failures,
    ) -> Result<ColumnarValue, DataFusionError> {
        let values = within_precision(value.into_array(rows.len())?)?;
        let lost_any = values.null_count() > 0;
        if lost_any {
            let is_lost = |row: &usize| values.is_null(*row) && arguments.columns().iter().all(|argument| argument.is_valid(*row));
            for row in (0..rows.len()).filter(is_lost) {
                failures.note(rows.number(row), || self.reason(&self.cause(arguments, row), arguments, row));
            }
        }
        Ok(ColumnarValue::Array(values))
    }

    /// Why the row's result is null.
    fn cause(&self, arguments: &RecordBatch, row: usize) -> String {
        match self.attempt(&arguments.slice(row, 1)) {
            Err(error) if self.integers.is_some() => match error.find_root() {
                DataFusionError::ArrowError(error, _) => arithmetic_cause(error, &self.data_type),
                error => text(error),
            },
            _ => format!("out of range of {}, or no value of it", type_name(&self.data_type)),
        }
    }

    fn reason(&self, cause: &str, arguments: &RecordBatch, row: usize) -> String {
        let given = self.arguments.iter().zip(arguments.columns());
        let given: Vec<String> = given.map(|(argument, values)| format!("{} = {}", argument.text, shown(values, row))).collect();
        if given.is_empty() {
            return format!("{} failed: {cause}", self.text);
        }
        format!("{} failed: {cause} ({})", self.text, given.join(", "))
    }
}

/// A copy of some rows. A slice of lists would keep the items of all rows, and a cast of it look at them.
fn only(part: &RecordBatch, rows: Range<usize>) -> Result<RecordBatch, ArrowError> {
    take_record_batch(part, &UInt32Array::from_iter_values(rows.start as u32..rows.end as u32))
}

fn arithmetic_cause(error: &ArrowError, data_type: &DataType) -> String {
    match error {
        ArrowError::DivideByZero => "division by zero".to_owned(),
        _ => format!("the result is out of range of {}", type_name(data_type)),
    }
}

/// Integer arithmetic that gives null where it fails.
fn checked_integers(op: Operator, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    downcast_integer_array!(
        left => checked_values(op, left, right),
        other => Err(ArrowError::InvalidArgumentError(format!("{other} is no integer type")))
    )
}

fn checked_values<T>(op: Operator, left: &PrimitiveArray<T>, right: &ArrayRef) -> Result<ArrayRef, ArrowError>
where
    T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>,
{
    let right = right.as_primitive_opt::<T>();
    let right = right.ok_or_else(|| ArrowError::InvalidArgumentError("both sides have one type after coercion".to_owned()))?;
    let operation = checked_operation::<T::Native>(op)?;
    let pairs = left.iter().zip(right.iter());
    let values: PrimitiveArray<T> = pairs.map(|(left, right)| operation(left?, right?).ok()).collect();
    Ok(Arc::new(values))
}

/// An operation on two values that fails where its result has no place in their type.
type Checked<N> = fn(N, N) -> Result<N, ArrowError>;

fn checked_operation<N: ArrowNativeTypeOp>(op: Operator) -> Result<Checked<N>, ArrowError> {
    match op {
        Operator::Plus => Ok(N::add_checked),
        Operator::Minus => Ok(N::sub_checked),
        Operator::Multiply => Ok(N::mul_checked),
        Operator::Divide => Ok(N::div_checked),
        Operator::Modulo => Ok(remainder),
        other => Err(ArrowError::InvalidArgumentError(format!("{other} is no arithmetic operation"))),
    }
}

/// As Arrow's kernel has it: the least integer has the remainder 0 by -1.
fn remainder<N: ArrowNativeTypeOp>(left: N, right: N) -> Result<N, ArrowError> {
    if right.is_zero() { Err(ArrowError::DivideByZero) } else { Ok(left.mod_wrapping(right)) }
}

/// Decimals whose digits are more than their type allows, as null: arrow's arithmetic only checks the width of the integer.
fn within_precision(values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match values.data_type() {
        DataType::Decimal128(precision, scale) => {
            let fitting = values.as_primitive::<Decimal128Type>().null_if_overflow_precision(*precision);
            Arc::new(fitting.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Decimal256(precision, scale) => {
            let fitting = values.as_primitive::<Decimal256Type>().null_if_overflow_precision(*precision);
            Arc::new(fitting.with_precision_and_scale(*precision, *scale)?)
        }
        _ => values,
    })
}
