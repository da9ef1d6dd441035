//! Whether what a pipeline makes fits the schema that is declared for its topic.

use millrace_model::Schema;

use crate::codec;

/// How `made` does not fit `declared`, a line for each column that does not.
pub fn misfits(made: &Schema, declared: &Schema) -> Vec<String> {
    let missing = lacking(declared, made).map(|name| format!("the schema has a column `{name}` that the pipeline does not make"));
    let extra = lacking(made, declared).map(|name| format!("the pipeline makes a column `{name}` that the schema does not have"));
    let wrong = codec::misfits(made, declared).unwrap_or_else(|fault| vec![fault.to_string()]);
    let misfits: Vec<String> = missing.chain(extra).chain(wrong).collect();
    if misfits.is_empty() && names(made) != names(declared) {
        return vec![format!("the schema has the columns in the order {}, the pipeline makes them {}", names(declared), names(made))];
    }
    misfits
}

/// The columns of `schema` that `other` does not have.
fn lacking<'a>(schema: &'a Schema, other: &'a Schema) -> impl Iterator<Item = &'a String> {
    schema.arrow().fields().iter().map(|field| field.name()).filter(|name| other.field(name).is_none())
}

fn names(schema: &Schema) -> String {
    schema.arrow().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}
