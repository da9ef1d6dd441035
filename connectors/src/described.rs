//! Tables and queries of outside systems, told as Avro: what `millrace schema pull` writes and what a source of rows reads by.

use millrace_model::{Code, Fault, Result};
use serde_json::{Value, json};

/// What is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation<'a> {
    /// A table or view of the connection's schema.
    Table(&'a str),
    /// What a statement that reads returns.
    Query(&'a str),
}

/// A column of a table or query.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedColumn {
    /// Its name.
    pub name: String,
    /// Its type as the database writes it.
    pub sql_type: String,
    /// The Avro type that holds its values, without null.
    pub avro: Value,
    /// Whether it may be null. The columns of a query always may: databases do not tell.
    pub nullable: bool,
}

impl DescribedColumn {
    /// A column whose type is known.
    pub(crate) fn new(name: String, sql_type: String, avro: Option<Value>, nullable: bool) -> Result<Self> {
        match avro {
            Some(avro) => Ok(Self { name, sql_type, avro, nullable }),
            None => Err(untypable(&name, &sql_type)),
        }
    }

    /// The Avro field: nullable ones are a union that begins with null, which is their default.
    pub fn field(&self) -> Value {
        if self.nullable {
            json!({ "name": self.name, "type": ["null", self.avro], "default": null })
        } else {
            json!({ "name": self.name, "type": self.avro })
        }
    }
}

fn untypable(name: &str, sql_type: &str) -> Fault {
    let what = if sql_type.is_empty() { "has no declared type".to_owned() } else { format!("is {sql_type}") };
    let message = format!("column {name:?} {what}, which no Avro type is known for: CAST it in a query, to text for example");
    Fault::operator(Code::SchemaUnsupported, message)
}

/// The Avro record of columns. A column whose name is no Avro name must be given one.
///
/// # Errors
/// [`Code::SchemaUnsupported`], for an operator, that names the column.
pub fn record(name: &str, columns: &[DescribedColumn]) -> Result<Value> {
    if let Some(column) = columns.iter().find(|column| !is_avro_name(&column.name)) {
        let message = format!("the column name {:?} is no Avro name: give it another by AS in a query", column.name);
        return Err(Fault::operator(Code::SchemaUnsupported, message));
    }
    let fields: Vec<Value> = columns.iter().map(DescribedColumn::field).collect();
    Ok(json!({ "type": "record", "name": name, "fields": fields }))
}

/// Avro 1.12, Names.
fn is_avro_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Decimals of so many digits in all, `scale` of them behind the point; none where Avro or Arrow have no such decimal.
pub(crate) fn decimal(precision: i32, scale: i32) -> Option<Value> {
    let holds = (1..=76).contains(&precision) && (0..=precision).contains(&scale);
    holds.then(|| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale }))
}

/// A logical type over another.
pub(crate) fn logical(base: &str, logical: &str) -> Value {
    json!({ "type": base, "logicalType": logical })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, nullable: bool) -> DescribedColumn {
        DescribedColumn { name: name.into(), sql_type: "bigint".into(), avro: json!("long"), nullable }
    }

    #[test]
    fn a_nullable_column_has_null_as_its_default() {
        let record = record("orders", &[column("id", false), column("note", true)]).expect("is Avro");
        let fields = json!([{ "name": "id", "type": "long" }, { "name": "note", "type": ["null", "long"], "default": null }]);
        assert_eq!(record["fields"], fields);
    }

    #[test]
    fn a_column_that_avro_can_not_name_is_told() {
        let fault = record("orders", &[column("order date", false)]).expect_err("is no name");
        assert!(fault.message().contains("\"order date\"") && fault.message().contains("AS"), "{fault}");
    }

    #[test]
    fn a_type_that_has_no_avro_form_says_what_to_write() {
        let fault = DescribedColumn::new("at".into(), "point".into(), None, true).expect_err("has no form");
        assert!(fault.message().contains("is point") && fault.message().contains("CAST"), "{fault}");
    }

    #[test]
    fn a_decimal_has_no_more_digits_behind_the_point_than_in_all() {
        assert!(decimal(10, 2).is_some());
        assert!(decimal(10, -2).is_none() && decimal(2, 3).is_none() && decimal(77, 0).is_none());
    }
}
