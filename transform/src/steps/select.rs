//! The `sql` step: WHERE first, then the columns of the SELECT for the rows that are left.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options, filter};
use arrow::datatypes::{DataType, Field};
use datafusion_expr::{Cast, Expr};
use millrace_model::{Applied, Batch, Origin, Result, Schema, Step};

use super::clock::Clock;
use super::condition::{Condition, broken, rejections};
use super::error::{Compiled, StepError};
use super::expression::{Expression, Failures, Rows};
use super::output::{self, Column};
use super::sql::{CLOCK, Item, Scope, query};

/// One SELECT, compiled.
pub(super) struct Select {
    condition: Option<Condition>,
    outputs: Vec<Output>,
    /// The input columns that the outputs read, in ascending order.
    used: Vec<usize>,
    schema: Schema,
    clock: Clock,
}

/// Where a column of the output comes from.
enum Output {
    Kept(usize),
    Computed(Expression),
}

impl Select {
    pub(super) fn compile(sql: &str, input: &Schema, clock: Clock) -> Compiled<Self> {
        let scope = Scope::of(input)?;
        let query = query(sql, &scope)?;
        let condition = query.filter.map(|expr| Expression::compile(expr, &scope)).transpose()?;
        let mut outputs = Vec::with_capacity(query.items.len());
        let mut columns = Vec::with_capacity(query.items.len());
        for item in query.items {
            let (name, output) = compile_item(item, &scope)?;
            columns.push((name, column_of(&output)));
            outputs.push(output);
        }
        let used = used(&outputs);
        let schema = output::schema(input, &columns)?;
        Ok(Self { condition: condition.map(|expression| Condition::new(expression, "WHERE")), outputs, used, schema, clock })
    }

    /// The rows that the WHERE leaves, with the columns that the outputs read, and their origins.
    fn chosen(&self, batch: &Batch, now: i64, failures: &mut Failures) -> Result<(Rows, Origin)> {
        let rows = Rows::of(batch.columns(), now);
        let Some(condition) = &self.condition else { return Ok((rows, batch.origin().clone())) };
        let keep = condition.keep(&rows, failures)?;
        if keep.true_count() == batch.len() {
            return Ok((rows, batch.origin().clone()));
        }
        let chosen = Rows::filtered(batch.columns(), &keep, &self.used, now).map_err(broken)?;
        Ok((chosen, batch.origin().filter(&keep).map_err(broken)?))
    }

    fn columns(&self, rows: &Rows, failures: &mut Failures) -> Result<Vec<ArrayRef>> {
        let fields = self.schema.arrow().fields();
        self.outputs.iter().zip(fields).map(|(output, field)| column(output, field, rows, failures)).collect()
    }

    fn batch(&self, columns: Vec<ArrayRef>, count: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(self.schema.arrow()), columns, &options).map_err(broken)
    }
}

impl Step for Select {
    fn apply(&self, batch: Batch) -> Result<Applied> {
        let now = self.clock.now();
        let mut failures = Failures::default();
        let (rows, origin) = self.chosen(&batch, now, &mut failures)?;
        let mut rejected = rejections(failures, batch.origin());
        let mut failures = Failures::default();
        let mut columns = self.columns(&rows, &mut failures)?;
        let (mut count, mut origin) = (rows.len(), origin);
        if !failures.is_empty() {
            let good = failures.good(count);
            rejected.extend(rejections(failures, &origin));
            (columns, origin) = only(&good, &columns, &origin)?;
            count = origin.len();
        }
        rejected.sort_by_key(|rejection| rejection.record);
        Ok(Applied { out: Batch::new(self.batch(columns, count)?, origin), rejected })
    }

    fn output(&self) -> &Schema {
        &self.schema
    }
}

fn compile_item(item: Item, scope: &Scope) -> Compiled<(String, Output)> {
    let Item { name, expr, span } = item;
    match &expr {
        Expr::Column(column) if column.name != CLOCK => {
            let number = scope.index(&column.name).ok_or_else(|| StepError::invalid("the column is gone").at(span))?;
            Ok((name, Output::Kept(number)))
        }
        _ => {
            let expression = carried(expr, scope).and_then(|expr| Expression::compile(expr, scope)).map_err(|error| error.at(span))?;
            Ok((name, Output::Computed(expression)))
        }
    }
}

/// The expression with a checked cast to the type that Avro carries, where its own type is another.
fn carried(expr: Expr, scope: &Scope) -> Compiled<Expr> {
    let data_type = scope.data_type(&expr)?;
    let carried = output::carried(&data_type);
    if carried == data_type {
        return Ok(expr);
    }
    Ok(Expr::Cast(Cast::new(Box::new(expr), carried)))
}

fn column_of(output: &Output) -> Column {
    match output {
        Output::Kept(number) => Column::Kept(*number),
        Output::Computed(expression) => {
            Column::Computed { data_type: output::carried(expression.data_type()), nullable: expression.nullable() }
        }
    }
}

fn used(outputs: &[Output]) -> Vec<usize> {
    let mut used: Vec<usize> = outputs
        .iter()
        .flat_map(|output| match output {
            Output::Kept(number) => std::slice::from_ref(number),
            Output::Computed(expression) => expression.columns(),
        })
        .copied()
        .collect();
    used.sort_unstable();
    used.dedup();
    used
}

fn column(output: &Output, field: &Field, rows: &Rows, failures: &mut Failures) -> Result<ArrayRef> {
    match output {
        Output::Kept(number) => rows.column(*number).map_err(broken).and_then(|values| as_type(values, field.data_type())),
        Output::Computed(expression) => {
            failures.within(field.name());
            let values = expression.evaluate(rows, failures).map_err(broken)?;
            if !field.is_nullable() {
                refuse_nulls(&values, failures);
            }
            as_type(&values, field.data_type())
        }
    }
}

/// For names and attributes of nested fields only: [`carried`] has seen to the values, so none is lost here.
fn as_type(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let checked = CastOptions { safe: false, ..CastOptions::default() };
    if values.data_type() == data_type { Ok(Arc::clone(values)) } else { cast_with_options(values, data_type, &checked).map_err(broken) }
}

/// A null where none was possible: of a row that failed, or of one that shall not pass for good.
fn refuse_nulls(values: &ArrayRef, failures: &mut Failures) {
    if values.null_count() > 0 {
        for row in (0..values.len()).filter(|&row| values.is_null(row)) {
            failures.note(row as u32, || "null, where the output takes none".to_owned());
        }
    }
}

fn only(good: &BooleanArray, columns: &[ArrayRef], origin: &Origin) -> Result<(Vec<ArrayRef>, Origin)> {
    let columns = columns.iter().map(|values| filter(values, good)).collect::<Result<_, _>>().map_err(broken)?;
    Ok((columns, origin.filter(good).map_err(broken)?))
}
