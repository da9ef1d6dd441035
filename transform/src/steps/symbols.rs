//! Symbols that an enum does not have, where a step compares it with text.
//!
//! Such a comparison is never true, so it is told when a project is checked. It does not keep steps from running: the symbol may
//! be one that a later version of the schema has.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{BinaryOperator, Expr, Spanned, Value as SqlValue, ValueWithSpan, Visit, Visitor};
use millrace_model::Schema;
use millrace_runtime::project::Kind;
use serde_json::Value;

use super::error::StepError;
use super::sql::parse;
use crate::config::{Rule, StepConfig};

/// The symbols of each column that is an enum.
struct Enums(BTreeMap<String, Vec<String>>);

/// What one step compares with symbols that do not exist. A step that is no SQL was refused before.
pub(super) fn unknown(step: &StepConfig, input: &Schema) -> Vec<StepError> {
    let enums = Enums::of(input);
    match step {
        StepConfig::Sql(sql) => parse::select(sql).map_or_else(|_| Vec::new(), |parsed| enums.compared_in(&parsed.select)),
        StepConfig::Filter(sql) => parse::expression(sql).map_or_else(|_| Vec::new(), |expr| enums.compared_in(&expr)),
        StepConfig::Validate { rules } => rules.iter().enumerate().flat_map(|(number, rule)| enums.of_rule(number, rule)).collect(),
    }
}

impl Enums {
    fn of(schema: &Schema) -> Self {
        let mut definitions = BTreeMap::new();
        define(schema.avro(), &mut definitions);
        let column = |field: &Value| Some((field["name"].as_str()?.to_owned(), symbols(&field["type"], &definitions)?));
        Self(schema.fields().iter().filter_map(column).collect())
    }

    fn compared_in(&self, sql: &impl Visit) -> Vec<StepError> {
        let mut compared = Compared { enums: self, found: Vec::new() };
        let visited = sql.visit(&mut compared);
        debug_assert!(visited.is_continue(), "the visit has no reason to stop");
        compared.found
    }

    fn of_rule(&self, number: usize, rule: &Rule) -> Vec<StepError> {
        let found = match rule {
            Rule::OneOf { column, values } => values.iter().filter_map(|value| self.misfit(column, value.as_str())).collect(),
            Rule::Expression(sql) => parse::expression(sql).map_or_else(|_| Vec::new(), |expr| self.compared_in(&expr)),
            Rule::NotNull(_) | Rule::Range { .. } | Rule::Pattern { .. } => Vec::new(),
        };
        found.into_iter().map(|error| StepError { rule: Some(number), ..error }).collect()
    }

    fn misfit(&self, column: &str, text: &str) -> Option<StepError> {
        let symbols = self.0.get(column).filter(|symbols| !symbols.iter().any(|symbol| symbol == text))?;
        let message = format!("{column} is never '{text}': its symbols are {}", symbols.join(", "));
        Some(StepError::invalid(message).kind(Kind::UnknownSymbol).suggesting(text, symbols.iter().map(String::as_str)))
    }

    /// The comparison of two operands, of which one may be an enum column and the other a text.
    fn pair(&self, one: &Expr, other: &Expr) -> Option<StepError> {
        let (column, text) = column(one).zip(text(other)).or_else(|| column(other).zip(text(one)))?;
        Some(self.misfit(column, &text.0)?.at(text.1))
    }
}

struct Compared<'a> {
    enums: &'a Enums,
    found: Vec<StepError>,
}

impl Visitor for Compared<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
                self.found.extend(self.enums.pair(left, right));
            }
            Expr::InList { expr, list, .. } => self.found.extend(list.iter().filter_map(|item| self.enums.pair(expr, item))),
            Expr::Case { operand: Some(operand), conditions, .. } => {
                self.found.extend(conditions.iter().filter_map(|when| self.enums.pair(operand, &when.condition)));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The column that an expression is; a qualifier was checked before.
fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::CompoundIdentifier(parts) if parts.len() == 2 => parts.last().map(|name| name.value.as_str()),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

/// The text that an expression is, and where.
fn text(expr: &Expr) -> Option<(String, datafusion_sql::sqlparser::tokenizer::Span)> {
    match expr {
        Expr::Value(ValueWithSpan { value: SqlValue::SingleQuotedString(text), .. }) => Some((text.clone(), expr.span())),
        Expr::Nested(inner) => text(inner),
        _ => None,
    }
}

/// Collects the enums that are defined anywhere in a schema, by their names.
fn define<'a>(avro: &'a Value, definitions: &mut BTreeMap<&'a str, Vec<String>>) {
    match avro {
        Value::Array(parts) => parts.iter().for_each(|part| define(part, definitions)),
        Value::Object(object) => {
            if let (Some("enum"), Some(name)) = (avro["type"].as_str(), avro["name"].as_str()) {
                definitions.insert(name, texts(&avro["symbols"]));
            }
            object.values().filter(|part| part.is_array() || part.is_object()).for_each(|part| define(part, definitions));
        }
        _ => {}
    }
}

/// The symbols of a type, if it is an enum or a union of one and null.
fn symbols(avro: &Value, definitions: &BTreeMap<&str, Vec<String>>) -> Option<Vec<String>> {
    match avro {
        Value::String(name) => definitions.get(name.as_str()).cloned(),
        Value::Object(_) if avro["type"] == "enum" => Some(texts(&avro["symbols"])),
        Value::Object(_) => symbols(&avro["type"], definitions),
        Value::Array(branches) => match branches.iter().filter(|branch| *branch != "null").collect::<Vec<_>>()[..] {
            [only] => symbols(only, definitions),
            _ => None,
        },
        _ => None,
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::tests::fixture::schema;

    type Found = (String, Option<(usize, usize)>, Option<String>);

    fn found(step: &StepConfig) -> Vec<Found> {
        unknown(step, &schema()).into_iter().map(|error| (error.message, error.place, error.suggestion)).collect()
    }

    fn filter(sql: &str) -> Vec<Found> {
        found(&StepConfig::Filter(sql.to_owned()))
    }

    #[test]
    fn a_symbol_that_an_enum_does_not_have_is_found_wherever_it_is_compared() {
        let message = "status is never 'PIAD': its symbols are NEW, PAID, CANCELLED, _7".to_owned();
        assert_eq!(filter("id > 0 AND status = 'PIAD'"), [(message.clone(), Some((1, 21)), Some("PAID".to_owned()))]);
        for sql in ["'PIAD' <> status", "status IN ('NEW', 'PIAD')", "NOT (input.status = 'PIAD')", "CASE status WHEN 'PIAD' THEN true END"]
        {
            assert_eq!(filter(sql).first().map(|(found, ..)| found), Some(&message), "{sql}");
        }
        assert_eq!(found(&StepConfig::Sql("SELECT id, before = 'x' AS was FROM input".to_owned())).len(), 1, "a name stands for its enum");
    }

    #[test]
    fn what_an_enum_has_and_what_is_no_enum_is_left_alone() {
        assert_eq!(filter("status = 'PAID' AND name = 'PIAD' AND status = name AND before IN ('NEW')"), []);
    }
}
