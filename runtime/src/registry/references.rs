//! Schemas that refer to other subjects' schemas, made whole.

use std::collections::{HashMap, HashSet};

use millrace_model::{Code, Fault, Result};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_referenced_schema};
use schema_registry_converter::schema_registry_common::{RegisteredReference, RegisteredSchema};
use serde_json::Value;

use super::fault;

/// How many schemas one may refer to, directly and by way of others.
const MOST_REFERENCES: usize = 200;

/// The text of `schema` in which the first mention of each referenced type is its definition.
pub(super) async fn whole(settings: &SrSettings, address: &str, schema: RegisteredSchema) -> Result<String> {
    let definitions = fetch(settings, address, schema.references).await?;
    let mut value = parse(&schema.schema)?;
    Inliner { definitions: &definitions, defined: HashSet::new() }.visit(&mut value, "");
    Ok(value.to_string())
}

async fn fetch(settings: &SrSettings, address: &str, mut open: Vec<RegisteredReference>) -> Result<HashMap<String, Value>> {
    let mut definitions = HashMap::new();
    while let Some(reference) = open.pop() {
        if definitions.contains_key(&reference.name) {
            continue;
        }
        if definitions.len() == MOST_REFERENCES {
            return Err(Fault::operator(Code::SchemaUnsupported, format!("a schema refers to more than {MOST_REFERENCES} others")));
        }
        let what = || format!("version {} of {} can't be read from the registry at {address}", reference.version, reference.subject);
        let schema = get_referenced_schema(settings, &reference).await.map_err(|error| fault::of(&error, &what()))?;
        definitions.insert(reference.name, parse(&schema.schema)?);
        open.extend(schema.references);
    }
    Ok(definitions)
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Fault::operator(Code::SchemaInvalid, "a schema of the registry is not JSON").because(error))
}

/// Walks a schema in the order in which a parser does, so that a definition stands before every mention.
struct Inliner<'a> {
    definitions: &'a HashMap<String, Value>,
    defined: HashSet<String>,
}

impl Inliner<'_> {
    fn visit(&mut self, schema: &mut Value, namespace: &str) {
        match schema {
            Value::String(name) => {
                if let Some(definition) = self.definition(name, namespace) {
                    *schema = definition;
                    self.visit(schema, "");
                }
            }
            Value::Array(branches) => branches.iter_mut().for_each(|branch| self.visit(branch, namespace)),
            Value::Object(_) => self.visit_object(schema, namespace),
            _ => {}
        }
    }

    fn visit_object(&mut self, schema: &mut Value, namespace: &str) {
        let inner = self.define(schema, namespace).unwrap_or_else(|| namespace.to_owned());
        if let Some(fields) = schema.get_mut("fields").and_then(Value::as_array_mut) {
            fields.iter_mut().filter_map(|field| field.get_mut("type")).for_each(|kind| self.visit(kind, &inner));
            return;
        }
        for key in ["type", "items", "values"] {
            if let Some(kind) = schema.get_mut(key) {
                self.visit(kind, &inner);
            }
        }
    }

    /// Notes that a named type is defined here; returns the namespace inside it.
    fn define(&mut self, schema: &Value, namespace: &str) -> Option<String> {
        let name = full(schema.get("name")?.as_str()?, schema.get("namespace").and_then(Value::as_str).unwrap_or(namespace));
        let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        self.defined.insert(name);
        Some(inner)
    }

    fn definition(&self, name: &str, namespace: &str) -> Option<Value> {
        let name = full(name, namespace);
        if self.defined.contains(&name) { None } else { self.definitions.get(&name).cloned() }
    }
}

fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_referenced_type_is_defined_at_its_first_mention_and_named_after() {
        let address = json!({"type": "record", "name": "Address", "namespace": "a", "fields": [{"name": "country", "type": "Country"}]});
        let country = json!({"type": "enum", "name": "a.Country", "symbols": ["NO"]});
        let definitions = HashMap::from([("a.Address".to_owned(), address), ("a.Country".to_owned(), country)]);
        let mut schema = json!({"type": "record", "name": "a.Order", "fields": [
            {"name": "from", "type": ["null", "a.Address"]},
            {"name": "to", "type": {"type": "array", "items": "Address"}},
            {"name": "country", "type": "Country"},
        ]});
        Inliner { definitions: &definitions, defined: HashSet::new() }.visit(&mut schema, "");
        assert_eq!(schema["fields"][0]["type"][1]["fields"][0]["type"]["symbols"], json!(["NO"]));
        assert_eq!(schema["fields"][1]["type"]["items"], "Address");
        assert_eq!(schema["fields"][2]["type"], "Country");
        apache_avro::Schema::parse(&schema).expect("is a whole schema");
    }

    #[test]
    fn types_that_refer_to_each_other_end() {
        let a = json!({"type": "record", "name": "A", "fields": [{"name": "b", "type": ["null", "B"]}]});
        let b = json!({"type": "record", "name": "B", "fields": [{"name": "a", "type": ["null", "A"]}]});
        let definitions = HashMap::from([("A".to_owned(), a.clone()), ("B".to_owned(), b)]);
        let mut schema = a;
        Inliner { definitions: &definitions, defined: HashSet::new() }.visit(&mut schema, "");
        apache_avro::Schema::parse(&schema).expect("is a whole schema");
    }
}
