//! SQL text to a SELECT that is known to be row by row.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, Query, Select, SetExpr, Statement, Subscript, TableFactor, TableWithJoins, Value, visit_expressions_mut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::refuse;
use crate::steps::error::{Compiled, StepError};

/// The table that a step reads.
pub(super) const INPUT: &str = "input";

/// A SELECT over `input`, and the name by which its columns may be qualified.
pub(in crate::steps) struct Parsed {
    pub(in crate::steps) select: Select,
    pub(super) qualifier: String,
}

/// Parses one SELECT over `input`; whatever needs more than one row at a time is refused by name.
pub(in crate::steps) fn select(sql: &str) -> Compiled<Parsed> {
    let select = single_select(single_statement(sql)?)?;
    refuse::clauses(&select)?;
    let qualifier = input_name(&select.from)?;
    Ok(Parsed { select: with_dots_as_subscripts(select), qualifier })
}

/// Parses one expression.
pub(in crate::steps) fn expression(sql: &str) -> Compiled<Expr> {
    let mut parser = Parser::new(&GenericDialect).try_with_sql(sql).map_err(|error| syntax(&error))?;
    let expr = parser.parse_expr().map_err(|error| syntax(&error))?;
    let rest = parser.next_token();
    match rest.token {
        Token::EOF => Ok(with_dots_as_subscripts(expr)),
        token => Err(StepError::invalid(format!("the expression ends before \"{token}\"; write one expression only")).at(rest.span)),
    }
}

fn single_statement(sql: &str) -> Compiled<Statement> {
    let mut statements = Parser::parse_sql(&GenericDialect, sql).map_err(|error| syntax(&error))?;
    let first = statements.pop();
    match first {
        Some(statement) if statements.is_empty() => Ok(statement),
        Some(_) => Err(StepError::invalid("a step is one SELECT; make each statement a step of its own")),
        None => Err(StepError::invalid("there is no SQL; write SELECT … FROM input")),
    }
}

fn single_select(statement: Statement) -> Compiled<Select> {
    match statement {
        Statement::Query(query) => {
            refuse::query(&query)?;
            body(*query)
        }
        _ => Err(StepError::invalid("a step is a SELECT over input; other statements change no records")),
    }
}

fn body(query: Query) -> Compiled<Select> {
    match *query.body {
        SetExpr::Select(select) => Ok(*select),
        SetExpr::Query(inner) => {
            refuse::query(&inner)?;
            body(*inner)
        }
        other => Err(refuse::set(&other)),
    }
}

fn input_name(from: &[TableWithJoins]) -> Compiled<String> {
    match from {
        [table] => {
            refuse::joins(table)?;
            relation_name(&table.relation)
        }
        [] => Err(StepError::invalid("the SELECT has no FROM; write FROM input")),
        [_, second, ..] => Err(refuse::second_table(second)),
    }
}

fn relation_name(relation: &TableFactor) -> Compiled<String> {
    match relation {
        TableFactor::Table { name, alias, args: None, .. } if name.to_string().eq_ignore_ascii_case(INPUT) => {
            refuse::table_clauses(relation)?;
            Ok(alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.name.value.clone()))
        }
        other => Err(refuse::relation(other)),
    }
}

/// `items[1].sku` as `items[1]['sku']`, which is the form that the planner knows.
fn with_dots_as_subscripts<T: datafusion_sql::sqlparser::ast::VisitMut>(mut tree: T) -> T {
    let visited = visit_expressions_mut(&mut tree, |expr| {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            access_chain.iter_mut().for_each(dot_as_subscript);
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(visited.is_continue(), "the visit has no reason to stop");
    tree
}

fn dot_as_subscript(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(field)) = access {
        let name = Value::SingleQuotedString(field.value.clone()).with_span(field.span);
        *access = AccessExpr::Subscript(Subscript::Index { index: Expr::Value(name) });
    }
}

/// A syntax error; the parser gives its place in the text of the message only.
fn syntax(error: &ParserError) -> StepError {
    let (ParserError::TokenizerError(message) | ParserError::ParserError(message)) = error else {
        return StepError::invalid("the SQL is nested too deeply; divide it into several steps");
    };
    let (message, place) = split_place(message);
    let message = message.replace("Expected: ", "expected ").replace("found: EOF", "found the end of the SQL").replace("found: ", "found ");
    StepError { place, ..StepError::invalid(message) }
}

fn split_place(message: &str) -> (&str, Option<(usize, usize)>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let place = place.split_once(", Column: ").and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)));
    (text, place)
}
