//! A compiled expression as a tree. Most of it is DataFusion's physical expressions, evaluated by the batch;
//! the tree says where rows may fail and which rows a part is evaluated for.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::ColumnarValue;

use super::call::Call;
use super::lazy::{Branches, Junction};
use super::rows::{Failures, Rows};
use super::symbols::Symbols;

/// One part of a compiled expression.
///
/// A row for which it fails is noted in [`Failures`] and gets null, so that the rest of the batch goes on.
#[derive(Debug)]
pub(super) enum Node {
    /// A column as it is.
    Column(usize),
    /// A column of enum symbols, as text.
    Text(usize, DataType),
    /// A constant.
    Literal(ScalarValue),
    /// The batch's time.
    Clock,
    /// A physical expression over the results of other nodes.
    Call(Box<Call>),
    /// AND or OR, whose right side is evaluated only where the left one doesn't decide.
    Junction(Box<Junction>),
    /// CASE, whose branches are evaluated only for their rows.
    Branches(Box<Branches>),
    /// An expression over one enum column, evaluated once for each symbol.
    Symbols(Box<Symbols>),
}

impl Node {
    /// Evaluates the node for `rows`.
    pub(super) fn evaluate(&self, rows: &Rows, failures: &mut Failures) -> Result<ColumnarValue, DataFusionError> {
        match self {
            Self::Column(number) => Ok(ColumnarValue::Array(Arc::clone(rows.column(*number)?))),
            Self::Text(number, data_type) => Ok(ColumnarValue::Array(cast(rows.column(*number)?, data_type)?)),
            Self::Literal(value) => Ok(ColumnarValue::Scalar(value.clone())),
            Self::Clock => Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(rows.now()), Some("+00:00".into())))),
            Self::Call(call) => call.evaluate(rows, failures),
            Self::Junction(junction) => junction.evaluate(rows, failures),
            Self::Branches(branches) => branches.evaluate(rows, failures),
            Self::Symbols(symbols) => symbols.evaluate(rows, failures),
        }
    }

    /// Evaluates the node to an array of as many values as there are rows.
    pub(super) fn array(&self, rows: &Rows, failures: &mut Failures) -> Result<ArrayRef, DataFusionError> {
        let array = self.evaluate(rows, failures)?.into_array(rows.len())?;
        debug_assert_eq!(array.len(), rows.len(), "an expression gives a value for each row");
        Ok(array)
    }
}
