//! Rows in PostgreSQL's binary format, without a server: what a COPY costs this side.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use millrace_model::Schema;

use super::encode::{HEADER, TRAILER, write_rows};
use super::types::{Declared, Form, fit, sql_type};
use crate::table::Kind;

/// Writes batches of a schema as the body of `COPY … FROM STDIN (FORMAT binary)` into a table that a load has made of that schema.
#[derive(Debug)]
pub struct CopyBody {
    columns: Vec<(Option<usize>, Form)>,
}

impl CopyBody {
    /// None where a column has no form in PostgreSQL.
    pub fn of(schema: &Schema) -> Option<Self> {
        let form = |(number, field)| Some((Some(number), form(Kind::of(field)?)?));
        Some(Self { columns: schema.arrow().fields().iter().map(|field| &**field).enumerate().map(form).collect::<Option<_>>()? })
    }

    /// The rows of a batch, as a whole body.
    ///
    /// # Errors
    /// Where a nested value can't be written as JSON.
    pub fn write(&self, batch: &RecordBatch, body: &mut Vec<u8>) -> Result<(), ArrowError> {
        body.clear();
        body.extend_from_slice(HEADER);
        write_rows(batch, &self.columns, None, 0..batch.num_rows(), usize::MAX, body)?;
        body.extend_from_slice(TRAILER);
        Ok(())
    }
}

/// The form in the column that a new table gets.
fn form(kind: Kind) -> Option<Form> {
    let made = sql_type(kind);
    let name = match made.split('(').next()? {
        "boolean" => "bool",
        "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" => "float8",
        other => other,
    };
    fit(kind, Declared { name, class: "b", modifier: -1 }).map(|(form, _)| form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_begins_and_ends_as_the_format_says() {
        let fields = json!([{ "name": "id", "type": "long" }, { "name": "note", "type": ["null", "string"] }]);
        let schema = millrace_runtime::codec::schema(json!({ "type": "record", "name": "R", "fields": fields })).expect("a schema");
        let body_of = CopyBody::of(&schema).expect("has forms");
        let mut body = b"what was there".to_vec();
        body_of.write(&RecordBatch::new_empty(schema.arrow().clone()), &mut body).expect("writes");
        assert_eq!(body, [HEADER, TRAILER].concat());
    }
}
