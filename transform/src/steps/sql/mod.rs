//! SQL text to typed logical expressions over the columns of a step's input.

mod functions;
pub(super) mod parse;
mod planner;
mod projection;
mod refuse;
mod sized;

pub(super) use functions::is_total;
pub(super) use planner::{CLOCK, Scope, never_null};
pub(super) use projection::{Item, query};
pub(super) use refuse::{union as of_union, unknown_column};
pub(super) use sized::unbounded;

use datafusion_expr::Expr;
use datafusion_sql::sqlparser::ast::Spanned;

use super::error::{Compiled, StepError};
use super::wording::type_name;

/// Plans one SQL condition over the columns of `scope`.
pub(super) fn condition(sql: &str, scope: &Scope) -> Compiled<Expr> {
    let parsed = parse::expression(sql)?;
    boolean(parsed, scope, parse::INPUT)
}

fn boolean(sql: datafusion_sql::sqlparser::ast::Expr, scope: &Scope, qualifier: &str) -> Compiled<Expr> {
    let span = sql.span();
    let expr = scope.plan(sql, qualifier)?;
    match scope.data_type(&expr)? {
        arrow::datatypes::DataType::Boolean => Ok(expr),
        other => {
            Err(StepError::invalid(format!("the condition gives {}, not true or false; compare it with a value", type_name(&other)))
                .at(span))
        }
    }
}
