//! Compiled expressions: evaluated over columns by the batch, with the rows that fail found and named one by one.
//!
//! `compile` makes a tree of nodes of a logical expression, and keeps it; `rows` says what it is evaluated
//! over; `call` has what may fail, `lazy` what is evaluated for some rows only, and `symbols` what is evaluated
//! once for each symbol of an enum.

mod call;
mod compile;
mod lazy;
mod node;
mod rows;
mod symbols;

pub(super) use rows::{Failures, Rows};

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::DataFusionError;
use datafusion_expr::Expr;

use super::error::{Compiled, StepError};
use super::sql::{Scope, never_null};
use node::Node;

/// An expression compiled for the columns of one scope.
#[derive(Debug)]
pub(super) struct Expression {
    node: Node,
    data_type: DataType,
    nullable: bool,
    columns: Vec<usize>,
}

impl Expression {
    /// Compiles a planned expression. What is constant in it is computed here, so that a constant
    /// that can't be computed is an error here and not one of every record.
    pub(super) fn compile(expr: Expr, scope: &Scope) -> Compiled<Self> {
        Self::build(expr, scope).map_err(|error| StepError::planning(&error))
    }

    fn build(expr: Expr, scope: &Scope) -> Result<Self, DataFusionError> {
        let compiler = compile::Compiler::new(scope);
        let folded = compiler.fold(expr)?;
        let nullable = !never_null(&folded, scope.schema());
        Ok(Self { node: compiler.node(&folded)?, data_type: compiler.data_type(&folded)?, nullable, columns: compiler.columns(&folded) })
    }

    /// The type of its values.
    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether its value may be null.
    pub(super) fn nullable(&self) -> bool {
        self.nullable
    }

    /// The numbers of the columns that it reads.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Its value for each row; null for a row that failed, which is noted in `failures`.
    pub(super) fn evaluate(&self, rows: &Rows, failures: &mut Failures) -> Result<ArrayRef, DataFusionError> {
        self.node.array(rows, failures)
    }

    /// The same for a condition.
    pub(super) fn condition(&self, rows: &Rows, failures: &mut Failures) -> Result<BooleanArray, DataFusionError> {
        Ok(self.evaluate(rows, failures)?.as_boolean().clone())
    }
}
