//! The `validate` step: rules, each checked on whole columns. A record is rejected for the first rule that it breaks.
//!
//! Null keeps every rule but `not_null`, as with SQL's CHECK.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{is_null, not};
use arrow::datatypes::DataType;
use millrace_model::{Applied, Batch, Code, Rejection, Result, Schema, Step};

use super::clock::Clock;
use super::condition::broken;
use super::error::{Compiled, StepError};
use super::expression::{Expression, Failures, Rows};
use super::pattern::Pattern;
use super::sql::{Scope, condition, of_union, unknown_column};
use super::values::shown;
use crate::config::Rule;

mod bounds;

/// The step that rejects records which break a rule.
pub(super) struct Validate {
    checks: Vec<Check>,
    schema: Schema,
    clock: Clock,
}

/// One compiled rule, of one column if it is of one.
struct Check {
    test: Test,
    column: Option<usize>,
    /// What the rule asks for, as it is said in the reason.
    rule: String,
}

enum Test {
    NotNull(usize),
    Pattern(usize, Pattern),
    Condition(Expression),
}

impl Validate {
    pub(super) fn compile(rules: &[Rule], input: &Schema, clock: Clock) -> Compiled<Self> {
        let scope = Scope::of(input)?;
        let mut checks = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let compiled = compile_rule(rule, &scope).map_err(|error| StepError { rule: Some(number), ..error })?;
            checks.extend(compiled);
        }
        Ok(Self { checks, schema: input.clone(), clock })
    }
}

impl Step for Validate {
    fn apply(&self, batch: Batch) -> Result<Applied> {
        let rows = Rows::of(batch.columns(), self.clock.now());
        let mut found = Found::default();
        for check in &self.checks {
            check.apply(&rows, &mut found)?;
        }
        if found.reasons.is_empty() {
            return Ok(Applied { out: batch, rejected: Vec::new() });
        }
        let out = batch.filter(&found.good(batch.len())).map_err(broken)?;
        Ok(Applied { out, rejected: found.rejections(&batch) })
    }

    fn output(&self) -> &Schema {
        &self.schema
    }
}

/// The rows that break a rule, each with the first one.
#[derive(Default)]
struct Found {
    reasons: BTreeMap<u32, (Code, String)>,
}

impl Found {
    fn good(&self, count: usize) -> BooleanArray {
        (0..count as u32).map(|row| Some(!self.reasons.contains_key(&row))).collect()
    }

    fn rejections(self, batch: &Batch) -> Vec<Rejection> {
        let records = batch.origin().rows();
        self.reasons.into_iter().map(|(row, (code, reason))| Rejection::new(records[row as usize], code, reason)).collect()
    }
}

impl Check {
    fn apply(&self, rows: &Rows, found: &mut Found) -> Result<()> {
        let mut failures = Failures::default();
        failures.within(&self.rule);
        let kept = self.kept(rows, &mut failures)?;
        for (row, reason) in failures.into_reasons() {
            found.reasons.entry(row).or_insert((Code::ExpressionFailed, reason));
        }
        if kept.false_count() > 0 {
            self.note_broken(&kept, rows, found)?;
        }
        Ok(())
    }

    /// For each row whether it keeps the rule; null keeps it.
    fn kept(&self, rows: &Rows, failures: &mut Failures) -> Result<BooleanArray> {
        match &self.test {
            Test::NotNull(column) => {
                let values = rows.column(*column).map_err(broken)?;
                not(&is_null(values).map_err(broken)?).map_err(broken)
            }
            Test::Pattern(column, pattern) => pattern.matches(rows.column(*column).map_err(broken)?).map_err(broken),
            Test::Condition(condition) => condition.condition(rows, failures).map_err(broken),
        }
    }

    fn note_broken(&self, kept: &BooleanArray, rows: &Rows, found: &mut Found) -> Result<()> {
        let values = self.column.map(|column| rows.column(column)).transpose().map_err(broken)?;
        for row in (0..kept.len()).filter(|&row| kept.is_valid(row) && !kept.value(row)) {
            found.reasons.entry(row as u32).or_insert_with(|| (Code::RuleBroken, self.reason(values, row)));
        }
        Ok(())
    }

    fn reason(&self, values: Option<&ArrayRef>, row: usize) -> String {
        match values {
            Some(values) => format!("{}, but is {}", self.rule, shown(values, row)),
            None => format!("{} is not true", self.rule),
        }
    }
}

fn compile_rule(rule: &Rule, scope: &Scope) -> Compiled<Vec<Check>> {
    match rule {
        Rule::NotNull(columns) => columns.iter().map(|column| not_null(column, scope)).collect(),
        Rule::Range { column, min, max } => range(column, min.as_ref(), max.as_ref(), scope).map(|check| vec![check]),
        Rule::OneOf { column, values } => one_of(column, values, scope).map(|check| vec![check]),
        Rule::Pattern { column, matches } => pattern(column, matches, scope).map(|check| vec![check]),
        Rule::Expression(sql) => expression(sql, scope).map(|check| vec![check]),
    }
}

fn index(column: &str, scope: &Scope) -> Compiled<usize> {
    let known = scope.names().position(|name| name == column);
    let number = known.ok_or_else(|| unknown_column(column, scope.names()))?;
    match scope.column_type(number) {
        DataType::Union(..) => Err(of_union(column)),
        _ => Ok(number),
    }
}

fn not_null(column: &str, scope: &Scope) -> Compiled<Check> {
    let number = index(column, scope)?;
    Ok(Check { test: Test::NotNull(number), column: Some(number), rule: format!("{column} must not be null") })
}

fn range<B: std::fmt::Display>(column: &str, min: Option<&B>, max: Option<&B>, scope: &Scope) -> Compiled<Check> {
    let number = index(column, scope)?;
    let rule = match (min, max) {
        (Some(min), Some(max)) => format!("{column} must be from {min} to {max}"),
        (Some(min), None) => format!("{column} must be at least {min}"),
        (None, Some(max)) => format!("{column} must be at most {max}"),
        (None, None) => return Err(StepError::invalid("range needs min, max or both")),
    };
    let within = bounds::within(column, scope.column_type(number), min.map(B::to_string).as_deref(), max.map(B::to_string).as_deref())?;
    let condition = Expression::compile(scope.coerced(within)?, scope)?;
    Ok(Check { test: Test::Condition(condition), column: Some(number), rule })
}

fn one_of<V: std::fmt::Display>(column: &str, values: &[V], scope: &Scope) -> Compiled<Check> {
    let number = index(column, scope)?;
    let values: Vec<String> = values.iter().map(V::to_string).collect();
    let rule = format!("{column} must be one of {}", values.join(", "));
    let listed = bounds::listed(column, scope.column_type(number), &values)?;
    let condition = Expression::compile(scope.coerced(listed)?, scope)?;
    Ok(Check { test: Test::Condition(condition), column: Some(number), rule })
}

fn pattern(column: &str, matches: &str, scope: &Scope) -> Compiled<Check> {
    let number = index(column, scope)?;
    let pattern = Pattern::compile(column, scope.column_type(number), matches)?;
    Ok(Check { test: Test::Pattern(number, pattern), column: Some(number), rule: format!("{column} must match {matches}") })
}

fn expression(sql: &str, scope: &Scope) -> Compiled<Check> {
    let condition = Expression::compile(condition(sql, scope)?, scope)?;
    Ok(Check { test: Test::Condition(condition), column: None, rule: sql.split_whitespace().collect::<Vec<_>>().join(" ") })
}
