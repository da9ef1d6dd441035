//! SQL assignments: the expressions of the steps, on one record.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use datafusion_sql::sqlparser::ast::{Assignment, AssignmentTarget, Statement};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;
use millrace_model::{Batch, Code, Fault, Origin, RecordsBuilder, Rejection, Result, Schema};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::registry::Registry;
use millrace_transform::config::StepConfig;
use millrace_transform::steps::compile;

use super::{avro_of, encode, unfit};

/// Assignments to columns, such as `amount = abs(amount), note = 'mended'`; each sees the record as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignments(Vec<(String, String)>);

impl fmt::Display for Assignments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(|(column, value)| format!("{column} = {value}")).collect();
        f.write_str(&texts.join(", "))
    }
}

impl Assignments {
    /// Reads assignments, as they stand after SET in an UPDATE.
    ///
    /// # Errors
    /// [`Code::SurgeryInvalid`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = Parser::parse_sql(&GenericDialect, &format!("UPDATE input SET {text}"));
        let mut statements = parsed.map_err(|error| invalid("the patch is neither a JSON object nor SQL assignments").because(error))?;
        let assignments = match (statements.pop(), statements.len()) {
            (Some(Statement::Update(update)), 0) if update.selection.is_none() && update.from.is_none() && update.returning.is_none() => {
                update.assignments
            }
            _ => return Err(invalid("the patch is more than assignments; choose letters with --where")),
        };
        assignments.iter().map(pair).collect::<Result<_>>().map(Self)
    }

    /// The letter's value after the assignments, in the schema that it was written with.
    pub(super) async fn applied(&self, letter: &DeadLetter, registry: &Registry) -> Result<Vec<u8>> {
        let none = || {
            unfit("the value is not Avro of a known schema: assignments have no columns; patch it with a JSON object, or by --value FILE")
        };
        let avro = avro_of(letter, registry).await?.ok_or_else(none)?;
        let columns = self.assigned(&avro.columns, &avro.schema)?;
        encode::row(&columns, &avro.schema, avro.id)
    }

    fn assigned(&self, columns: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
        let items: Vec<String> = self.0.iter().map(|(column, value)| format!("{value} AS \"{}\"", column.replace('"', "\"\""))).collect();
        let sql = format!("SELECT * REPLACE ({}) FROM input", items.join(", "));
        let mut steps = compile(&[StepConfig::Sql(sql)], schema).map_err(|error| {
            let suggestion = error.suggestion.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
            invalid(format!("the patch can't be used: {}{suggestion}", error.message))
        })?;
        let records = Arc::new(RecordsBuilder::new("patch".into(), 0).finish());
        let applied = steps.remove(0).apply(Batch::new(columns.clone(), Origin::of(records, vec![0])))?;
        match applied.rejected.first() {
            Some(Rejection { reason, .. }) => Err(unfit(format!("the patch fails for this record: {reason}"))),
            None => of_schema(applied.out.columns(), schema),
        }
    }
}

/// The columns as the schema has them: an assignment may give a wider number, or text for an enum.
fn of_schema(columns: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    let checked = CastOptions { safe: false, ..CastOptions::default() };
    let cast = schema.arrow().fields().iter().zip(columns.columns()).map(|(field, column)| {
        cast_with_options(column, field.data_type(), &checked).map_err(|error| unfit(format!("column {}", field.name())).because(error))
    });
    let cast = cast.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema.arrow()), cast).map_err(|error| unfit("the patched record does not fit").because(error))
}

fn pair(assignment: &Assignment) -> Result<(String, String)> {
    let parts = match &assignment.target {
        AssignmentTarget::ColumnName(name) => name.0.as_slice(),
        AssignmentTarget::Tuple(_) => &[],
    };
    match parts {
        [column] => match column.as_ident() {
            Some(name) => Ok((name.value.clone(), assignment.value.to_string())),
            None => Err(invalid(format!("{column} is no column"))),
        },
        _ => Err(invalid(format!("{} is no column; change a part of one with a JSON merge patch", assignment.target))),
    }
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::operator(Code::SurgeryInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_runtime::{codec, formats::render};
    use serde_json::{Value, json};

    fn schema() -> Schema {
        let fields = json!([
            { "name": "id", "type": "int" }, { "name": "amount", "type": "double" }, { "name": "note", "type": ["null", "string"] },
            { "name": "state", "type": { "type": "enum", "name": "State", "symbols": ["open", "paid"] } },
        ]);
        codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema")
    }

    fn assigned(text: &str) -> Result<Value, String> {
        let row = json!({ "id": 7, "amount": -2.5, "note": null, "state": "open" });
        let columns = encode::read(row.to_string().as_bytes(), &schema()).expect("fits");
        let assignments = Assignments::parse(text).map_err(|fault| fault.to_string())?;
        let columns = assignments.assigned(&columns, &schema()).map_err(|fault| fault.to_string())?;
        encode::row(&columns, &schema(), 1).map_err(|fault| fault.to_string())?;
        Ok(render(&columns).expect("renders").remove(0))
    }

    #[test]
    fn assignments_see_the_record_as_it_was_and_keep_its_types() {
        let row = assigned("amount = abs(amount), note = 'was ' || amount, id = id + 1, state = 'paid'").expect("assigns");
        assert_eq!(row, json!({ "id": 8, "amount": 2.5, "note": "was -2.5", "state": "paid" }));
    }

    #[test]
    fn an_assignment_that_does_not_fit_says_why() {
        assert!(assigned("amonut = 1").expect_err("no such column").contains("did you mean amount"), "{:?}", assigned("amonut = 1"));
        assert!(assigned("id = 1 / 0").is_err());
        assert!(assigned("id = null").is_err());
        assert!(assigned("state = 'lost'").is_err());
        assert!(assigned("id = 3000000000").expect_err("too large").starts_with("MR0805"));
    }
}
