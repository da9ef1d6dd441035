//! Schemas that refer to other subjects' schemas, made whole.

use millrace_model::{Code, Fault, Result};
use schema_registry_converter::async_impl::schema_registry::get_referenced_schema;
use schema_registry_converter::schema_registry_common::{RegisteredReference, RegisteredSchema};
use serde_json::Value;

use super::endpoints::Endpoints;
use super::fault;
use crate::codec::definitions::{Definitions, define};

/// How many schemas one may refer to, directly and by way of others.
const MOST_REFERENCES: usize = 200;

/// The text of `schema` in which the first mention of each referenced type is its definition.
pub(super) async fn whole(endpoints: &Endpoints, schema: RegisteredSchema) -> Result<String> {
    let definitions = fetch(endpoints, schema.references).await?;
    let mut value = parse(&schema.schema)?;
    define(&mut value, &definitions);
    Ok(value.to_string())
}

async fn fetch(endpoints: &Endpoints, mut open: Vec<RegisteredReference>) -> Result<Definitions> {
    let mut definitions = Definitions::new();
    while let Some(reference) = open.pop() {
        if definitions.contains_key(&reference.name) {
            continue;
        }
        if definitions.len() == MOST_REFERENCES {
            return Err(Fault::operator(Code::SchemaUnsupported, format!("a schema refers to more than {MOST_REFERENCES} others")));
        }
        let what =
            || format!("version {} of {} can't be read from the registry at {}", reference.version, reference.subject, endpoints.address);
        let schema = endpoints.ask(async |settings| get_referenced_schema(settings, &reference).await).await;
        let schema = schema.map_err(|error| fault::of_reference(error, &what()))?;
        definitions.insert(reference.name, parse(&schema.schema)?);
        open.extend(schema.references);
    }
    Ok(definitions)
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Fault::operator(Code::SchemaInvalid, "a schema of the registry is not JSON").because(error))
}
