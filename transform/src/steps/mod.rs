//! The steps of a transform pipeline, each compiled once for its input schema.
//!
//! - `sql`: one SELECT over `input`, row by row.
//! - `filter`: a condition; records of which it is not true are dropped.
//! - `validate`: rules; a record that breaks one is rejected.
//!
//! Expressions are DataFusion's, with SQL's meaning, and these rules:
//! - Names of columns are matched as the schema writes them; names of functions in any case.
//! - An enum is text. What is computed of one enum column alone is computed once for each symbol.
//! - A row whose expression fails (integer overflow, division by zero, a cast of an unfit value, …) is rejected alone. A part
//!   of AND, OR, CASE or `coalesce` fails no row that doesn't come to it, from left to right.
//! - Floating-point arithmetic follows IEEE 754 and does not fail: division by zero gives infinity.
//! - `now()`, `current_date` and `current_time` are the batch's time, in microseconds and UTC.

mod casts;
mod clock;
mod condition;
mod error;
mod expression;
mod names;
mod output;
mod pattern;
mod select;
mod sql;
mod symbols;
mod validate;
mod values;
mod wording;

#[cfg(test)]
mod tests;

pub use error::StepError;

use millrace_model::{Schema, Step};

use crate::config::StepConfig;
use clock::Clock;
use condition::Filter;
use error::Compiled;
use select::Select;
use validate::Validate;

/// Compiles the steps of one pipeline, each for what the one before it gives.
///
/// # Errors
/// The first step that can't be compiled, with the place in its SQL and what to do.
pub fn compile(steps: &[StepConfig], input: &Schema) -> Result<Vec<Box<dyn Step>>, StepError> {
    compile_with(steps, input, Clock::system())
}

/// What the steps, which were compiled, say that can't be meant: no record makes it true. Each with its step and place.
pub fn doubtful(steps: &[StepConfig], compiled: &[Box<dyn Step>], input: &Schema) -> Vec<StepError> {
    let inputs = std::iter::once(input).chain(compiled.iter().map(|step| step.output()));
    let found = steps.iter().zip(inputs).enumerate();
    found
        .flat_map(|(number, (step, input))| symbols::unknown(step, input).into_iter().map(move |error| StepError { step: number, ..error }))
        .collect()
}

fn compile_with(steps: &[StepConfig], input: &Schema, mut clock: Clock) -> Compiled<Vec<Box<dyn Step>>> {
    let mut schema = input.clone();
    let mut compiled = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let step = compile_one(step, &schema, clock.clone()).map_err(|error| StepError { step: number, ..error })?;
        schema = step.output().clone();
        clock = clock.told();
        compiled.push(step);
    }
    Ok(compiled)
}

fn compile_one(step: &StepConfig, input: &Schema, clock: Clock) -> Compiled<Box<dyn Step>> {
    Ok(match step {
        StepConfig::Sql(sql) => Box::new(Select::compile(sql, input, clock)?),
        StepConfig::Filter(sql) => Box::new(Filter::compile(sql, input, clock)?),
        StepConfig::Validate { rules } => Box::new(Validate::compile(rules, input, clock)?),
    })
}
