//! Whether what a pipeline makes fits the schema that is declared for its topic.

use millrace_model::Schema;
use serde_json::Value;

/// How `made` does not fit `declared`, a line for each column that does not.
pub(super) fn misfits(made: &Schema, declared: &Schema) -> Vec<String> {
    let wrong: Vec<String> = declared.arrow().fields().iter().filter_map(|field| misfit(made, declared, field.name())).collect();
    let extra = made.arrow().fields().iter().filter(|field| declared.field(field.name()).is_none());
    let extra = extra.map(|field| format!("the pipeline makes a column `{}` that the schema does not have", field.name()));
    let misfits: Vec<String> = wrong.into_iter().chain(extra).collect();
    if misfits.is_empty() && names(made) != names(declared) {
        return vec![format!("the schema has the columns in the order {}, the pipeline makes them {}", names(declared), names(made))];
    }
    misfits
}

fn misfit(made: &Schema, declared: &Schema, column: &str) -> Option<String> {
    let wanted = declared.arrow().field_with_name(column).ok()?;
    let Ok(is) = made.arrow().field_with_name(column) else {
        return Some(format!("the schema has a column `{column}` that the pipeline does not make"));
    };
    if !is.data_type().equals_datatype(wanted.data_type()) {
        return Some(format!(
            "`{column}` is {} in the schema, the pipeline makes {}",
            avro_type(declared, column),
            avro_type(made, column)
        ));
    }
    let may_be_null = is.is_nullable() && !wanted.is_nullable();
    may_be_null.then(|| format!("`{column}` is never null in the schema, the pipeline may make it null"))
}

fn names(schema: &Schema) -> String {
    schema.arrow().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

/// The Avro type of a column as it is written in a schema file.
fn avro_type(schema: &Schema, column: &str) -> String {
    match schema.field(column).map(|field| &field["type"]) {
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
        None => "nothing".into(),
    }
}
