//! What a step's SQL may not hold, each refused by its name, at its place, with what to do instead.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SetExpr, Spanned, TableFactor, TableWithJoins, Visit,
    Visitor,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use millrace_runtime::project::Kind;

use super::functions;
use super::parse::INPUT;
use crate::steps::error::{Compiled, StepError};

const ROW_WISE: &str = "a step sees one record at a time";
const LEAVE_OUT: &str = "leave it out";

fn refused(what: &str, advice: &str, span: Span) -> StepError {
    StepError::unsupported(format!("{what} can't be used here: {ROW_WISE}; {advice}")).at(span)
}

/// Refuses the clauses around a SELECT.
pub(super) fn query(query: &Query) -> Compiled<()> {
    let clause = |found: bool, what: &str, advice: &str, span: Span| if found { Err(refused(what, advice, span)) } else { Ok(()) };
    let whole = query.body.span();
    let order = query.order_by.as_ref().map_or(whole, Spanned::span);
    let limit = query.limit_clause.as_ref().map_or(whole, Spanned::span);
    let with = query.with.as_ref().map_or(whole, Spanned::span);
    clause(query.with.is_some(), "WITH", "write each query as a step of its own", with)?;
    clause(query.order_by.is_some(), "ORDER BY", "records keep the order of their topic", order)?;
    clause(query.limit_clause.is_some(), "LIMIT or OFFSET", "a topic has no end; use WHERE", limit)?;
    clause(query.fetch.is_some(), "FETCH", "a topic has no end; use WHERE", whole)?;
    clause(!query.locks.is_empty(), "FOR UPDATE", LEAVE_OUT, whole)?;
    clause(query.for_clause.is_some(), "FOR XML or FOR JSON", "the pipeline's to: says what is written", whole)?;
    clause(query.settings.is_some(), "SETTINGS", LEAVE_OUT, whole)?;
    clause(query.format_clause.is_some(), "FORMAT", "the pipeline's to: says what is written", whole)?;
    clause(!query.pipe_operators.is_empty(), "|>", "write each operation as a step of its own", whole)
}

/// Refuses what is not a SELECT.
pub(super) fn set(body: &SetExpr) -> StepError {
    match body {
        SetExpr::SetOperation { op, .. } => {
            refused(&op.to_string(), "write two pipelines that publish to the same topic, or use WHERE", body.span())
        }
        SetExpr::Values(_) => refused("VALUES", "select from input", body.span()),
        _ => StepError::invalid("a step is a SELECT over input").at(body.span()),
    }
}

/// Refuses the clauses of a SELECT that need more than one row.
pub(super) fn clauses(select: &Select) -> Compiled<()> {
    let span = select.span();
    let aggregate = "count and sum in the target, or in a later step that keeps state";
    let clauses: [(bool, &str, &str, Span); 13] = [
        (select.distinct.is_some(), "DISTINCT", "load with mode: upsert to keep one row for a key", span),
        (select.top.is_some(), "TOP", "a topic has no end; use WHERE", span),
        (select.into.is_some(), "INTO", "the pipeline's to: says where records go", span),
        (is_grouped(&select.group_by), "GROUP BY", aggregate, select.group_by.span()),
        (select.having.is_some(), "HAVING", aggregate, select.having.as_ref().map_or(span, Spanned::span)),
        (select.qualify.is_some(), "QUALIFY", aggregate, select.qualify.as_ref().map_or(span, Spanned::span)),
        (!select.named_window.is_empty(), "WINDOW", aggregate, span),
        (!select.sort_by.is_empty(), "SORT BY", "records keep the order of their topic", span),
        (select.exclude.is_some(), "EXCLUDE after the columns", "write * EXCLUDE (…)", span),
        (!select.optimizer_hints.is_empty(), "an optimizer hint", LEAVE_OUT, span),
        (select.select_modifiers.is_some(), "a modifier of SELECT", LEAVE_OUT, span),
        (select.flavor == SelectFlavor::FromFirstNoSelect, "FROM without SELECT", "write SELECT * FROM input", span),
        (has_foreign_clause(select), "this clause", "use SELECT … FROM input WHERE …", span),
    ];
    clauses.into_iter().find(|(found, ..)| *found).map_or(Ok(()), |(_, what, advice, span)| Err(refused(what, advice, span)))
}

fn is_grouped(group_by: &GroupByExpr) -> bool {
    !matches!(group_by, GroupByExpr::Expressions(expressions, modifiers) if expressions.is_empty() && modifiers.is_empty())
}

fn has_foreign_clause(select: &Select) -> bool {
    !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || select.value_table_mode.is_some()
}

/// What is said of a column that is a union of several branches, or has one in it, where a step needs its value.
pub(in crate::steps) fn union(column: &str) -> StepError {
    let message = format!("{column} is, or holds, a union of several types: it can pass unchanged, and no step can look into it");
    StepError::invalid(message).kind(Kind::UnionTouched)
}

/// Refuses joins.
pub(super) fn joins(table: &TableWithJoins) -> Compiled<()> {
    table.joins.first().map_or(Ok(()), |join| Err(refused("JOIN", "load both topics and join in the target", join.span())))
}

/// Refuses a list of tables.
pub(super) fn second_table(table: &TableWithJoins) -> StepError {
    refused("a second table", "load both topics and join in the target", table.span())
}

/// Refuses what may follow a table's name and would change which rows or columns it gives.
pub(super) fn table_clauses(table: &TableFactor) -> Compiled<()> {
    let TableFactor::Table { alias, with_hints, version, with_ordinality, partitions, json_path, sample, index_hints, .. } = table else {
        return Ok(());
    };
    let clauses: [(bool, &str, &str); 8] = [
        (sample.is_some(), "TABLESAMPLE", "use WHERE"),
        (version.is_some(), "a version of the table", "a topic has one"),
        (!partitions.is_empty(), "PARTITION", "a step reads all partitions of its topic"),
        (!with_hints.is_empty() || !index_hints.is_empty(), "a table hint", LEAVE_OUT),
        (*with_ordinality, "WITH ORDINALITY", "records are not numbered"),
        (json_path.is_some(), "a path into the table", "write it as a column of the SELECT"),
        (alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()), "a list of columns after the table", "name columns with AS"),
        (alias.as_ref().is_some_and(|alias| alias.at.is_some()), "AT", "records are not numbered"),
    ];
    let found = clauses.into_iter().find(|(found, ..)| *found);
    found.map_or(Ok(()), |(_, what, advice)| Err(refused(what, advice, table.span())))
}

/// Refuses the columns of a table that the SELECT does not read.
pub(super) fn other_table(name: &str, qualifier: &str, span: Span) -> StepError {
    StepError::invalid(format!("there is no table {name} to take all columns of; write {qualifier}.* or *")).at(span)
}

/// Refuses what is not the table `input`.
pub(super) fn relation(relation: &TableFactor) -> StepError {
    match relation {
        TableFactor::Table { name, args: None, .. } => {
            StepError::invalid(format!("there is no table {name}; the step's records are the table {INPUT}: write FROM {INPUT}"))
                .at(relation.span())
        }
        TableFactor::Derived { .. } => refused("a subquery", "write it as a step of its own", relation.span()),
        _ => refused("this table expression", "write FROM input", relation.span()),
    }
}

/// Checks the names and functions of an expression: known columns, row-wise functions, no subqueries.
pub(super) fn names(expr: &Expr, columns: &[&str], qualifier: &str) -> Compiled<()> {
    match expr.visit(&mut Names { columns, qualifier }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Names<'a> {
    columns: &'a [&'a str],
    qualifier: &'a str,
}

impl Visitor for Names<'_> {
    type Break = Box<StepError>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        ControlFlow::Break(Box::new(refused("a subquery", "load the other topic and join in the target", query.span())))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match self.check(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Names<'_> {
    fn check(&self, expr: &Expr) -> Compiled<()> {
        match expr {
            Expr::Identifier(name) => self.column(name),
            Expr::CompoundIdentifier(parts) => self.qualified(parts),
            Expr::Function(function) => call(function),
            Expr::Lambda(_) => Err(refused("a lambda function", "use the functions of arrays that take none", expr.span())),
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => Err(refused("grouping", "group in the target", expr.span())),
            _ => Ok(()),
        }
    }

    fn qualified(&self, parts: &[Ident]) -> Compiled<()> {
        match parts {
            [first, second, ..] if first.value == self.qualifier && !self.columns.contains(&first.value.as_str()) => self.column(second),
            [first, ..] => self.column(first),
            [] => Ok(()),
        }
    }

    fn column(&self, name: &Ident) -> Compiled<()> {
        if self.columns.contains(&name.value.as_str()) {
            return Ok(());
        }
        Err(unknown_column(&name.value, self.columns.iter().copied()).at(name.span))
    }
}

/// A column that the input does not have.
pub(in crate::steps) fn unknown_column<'a>(name: &str, columns: impl Iterator<Item = &'a str> + Clone) -> StepError {
    let listed = columns.clone().collect::<Vec<_>>().join(", ");
    let error = StepError::invalid(format!("there is no column {name}; the input has {listed}"));
    error.kind(Kind::UnknownColumn).suggesting(name, columns)
}

fn call(function: &Function) -> Compiled<()> {
    let name = function.name.to_string();
    let span = function.name.span();
    if function.over.is_some() {
        return Err(refused(&format!("the window function {name}"), "use a window in the target", span));
    }
    match functions::scalar(&name) {
        Some(known) if functions::is_volatile(&known) => Err(volatile(&name, span)),
        Some(_) => scalar_call(function, &name, span),
        None if functions::is_of_many_rows(&name) => {
            Err(refused(&format!("the aggregate or window function {name}"), "aggregate in the target", span))
        }
        None => Err(unknown_function(&function.name, &name)),
    }
}

fn scalar_call(function: &Function, name: &str, span: Span) -> Compiled<()> {
    let aggregates = function.filter.is_some() || !function.within_group.is_empty() || function.null_treatment.is_some();
    if aggregates { Err(refused(&format!("FILTER or WITHIN GROUP of {name}"), "aggregate in the target", span)) } else { Ok(()) }
}

fn volatile(name: &str, span: Span) -> StepError {
    StepError::unsupported(format!(
        "{name} can't be used: it would give a record another value each time it is read again; make the value where the record is produced"
    ))
    .at(span)
}

fn unknown_function(at: &ObjectName, name: &str) -> StepError {
    StepError::invalid(format!("there is no function {name}")).suggesting(name, functions::scalar_names()).at(at.span())
}
