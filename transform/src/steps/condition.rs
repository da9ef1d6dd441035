//! Which rows of a batch a condition keeps, and the `filter` step, which is nothing else.

use arrow::array::BooleanArray;
use arrow::compute::and;
use millrace_model::{Applied, Batch, Code, Fault, Origin, Rejection, Result, Schema, Step};

use super::clock::Clock;
use super::error::Compiled;
use super::expression::{Expression, Failures, Rows};
use super::sql::{Scope, condition};

/// The fault of an expression that fails as a whole, which its compilation should have excluded.
pub(super) fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::fatal(Code::Internal, "an expression of a step can't be evaluated").because(cause)
}

/// The rows that failed, as rejections of their records.
pub(super) fn rejections(failures: Failures, origin: &Origin) -> Vec<Rejection> {
    let rows = origin.rows();
    failures.into_reasons().map(|(row, reason)| Rejection::new(rows[row as usize], Code::ExpressionFailed, reason)).collect()
}

/// A compiled condition: a row stays when it is true, is dropped when it is false or null, and is rejected when it fails.
pub(super) struct Condition {
    expression: Expression,
    context: &'static str,
}

impl Condition {
    pub(super) fn new(expression: Expression, context: &'static str) -> Self {
        Self { expression, context }
    }

    /// The rows that stay.
    pub(super) fn keep(&self, rows: &Rows, failures: &mut Failures) -> Result<BooleanArray> {
        failures.within(self.context);
        let keep = self.expression.condition(rows, failures).map_err(broken)?;
        if failures.is_empty() {
            return Ok(keep);
        }
        and(&keep, &failures.good(rows.len())).map_err(broken)
    }
}

/// The step that drops the records of which a condition is not true.
pub(super) struct Filter {
    condition: Condition,
    schema: Schema,
    clock: Clock,
}

impl Filter {
    pub(super) fn compile(sql: &str, input: &Schema, clock: Clock) -> Compiled<Self> {
        let scope = Scope::of(input)?;
        let expression = Expression::compile(condition(sql, &scope)?, &scope)?;
        Ok(Self { condition: Condition::new(expression, "filter"), schema: input.clone(), clock })
    }
}

impl Step for Filter {
    fn apply(&self, batch: Batch) -> Result<Applied> {
        let mut failures = Failures::default();
        let rows = Rows::of(batch.columns(), self.clock.now());
        let keep = self.condition.keep(&rows, &mut failures)?;
        let rejected = rejections(failures, batch.origin());
        if keep.true_count() == batch.len() {
            return Ok(Applied { out: batch, rejected });
        }
        Ok(Applied { out: batch.filter(&keep).map_err(broken)?, rejected })
    }

    fn output(&self) -> &Schema {
        &self.schema
    }
}
