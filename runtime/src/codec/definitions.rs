//! Avro's named types when parts of schemas are put together: the first mention of a name has to be its
//! definition, and only the first.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// Named types by their full names.
pub(crate) type Definitions = HashMap<String, Value>;

/// Writes `schema` anew so that each named type, of its own or of `others`, is defined where it is first mentioned and
/// referred to after that.
pub(crate) fn define(schema: &mut Value, others: &Definitions) {
    Definer { others, defined: HashSet::new() }.visit(schema, "");
}

/// The named types that are defined inside `schema`, each under its full name.
pub(crate) fn defined_in(schema: &Value) -> Definitions {
    let mut found = Definitions::new();
    collect(schema, "", &mut found);
    found
}

fn collect(schema: &Value, namespace: &str, found: &mut Definitions) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| collect(branch, namespace, found)),
        Value::Object(_) => {
            let name = name_of(schema, namespace);
            let inner = name.as_deref().map_or(namespace, namespace_of);
            if let Some(name) = &name {
                let mut definition = schema.clone();
                definition["name"] = Value::String(name.clone());
                found.insert(name.clone(), definition);
            }
            parts(schema).for_each(|part| collect(part, inner, found));
        }
        _ => {}
    }
}

/// The types inside a type.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let fields = schema.get("fields").and_then(Value::as_array).into_iter().flatten().filter_map(|field| field.get("type"));
    fields.chain(["type", "items", "values"].into_iter().filter_map(|key| schema.get(key)))
}

/// Walks a schema in the order in which a parser does, so that a definition stands before every mention.
struct Definer<'a> {
    others: &'a Definitions,
    defined: HashSet<String>,
}

impl Definer<'_> {
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
        let name = name_of(schema, namespace);
        if let Some(name) = name.as_ref().filter(|name| !self.defined.insert((*name).clone())) {
            *schema = Value::String(name.clone());
            return;
        }
        let inner = name.as_deref().map_or(namespace, namespace_of);
        if let Some(fields) = schema.get_mut("fields").and_then(Value::as_array_mut) {
            fields.iter_mut().filter_map(|field| field.get_mut("type")).for_each(|kind| self.visit(kind, inner));
            return;
        }
        for key in ["type", "items", "values"] {
            if let Some(kind) = schema.get_mut(key) {
                self.visit(kind, inner);
            }
        }
    }

    fn definition(&self, name: &str, namespace: &str) -> Option<Value> {
        let name = full(name, namespace);
        if self.defined.contains(&name) { None } else { self.others.get(&name).cloned() }
    }
}

/// The full name of what `schema` defines, if that is a named type.
fn name_of(schema: &Value, namespace: &str) -> Option<String> {
    let named = matches!(schema.get("type")?.as_str()?, "record" | "enum" | "fixed");
    let name = schema.get("name")?.as_str().filter(|_| named)?;
    Some(full(name, schema.get("namespace").and_then(Value::as_str).unwrap_or(namespace)))
}

fn namespace_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_is_defined_at_its_first_mention_and_named_after() {
        let address = json!({"type": "record", "name": "Address", "namespace": "a", "fields": [{"name": "country", "type": "Country"}]});
        let country = json!({"type": "enum", "name": "a.Country", "symbols": ["NO"]});
        let others = Definitions::from([("a.Address".to_owned(), address), ("a.Country".to_owned(), country)]);
        let mut schema = json!({"type": "record", "name": "a.Order", "fields": [
            {"name": "from", "type": ["null", "a.Address"]},
            {"name": "to", "type": {"type": "array", "items": "Address"}},
            {"name": "country", "type": "Country"},
        ]});
        define(&mut schema, &others);
        assert_eq!(schema["fields"][0]["type"][1]["fields"][0]["type"]["symbols"], json!(["NO"]));
        assert_eq!(schema["fields"][1]["type"]["items"], "Address");
        assert_eq!(schema["fields"][2]["type"], "Country");
        apache_avro::Schema::parse(&schema).expect("is a whole schema");
    }

    #[test]
    fn types_that_refer_to_each_other_end() {
        let a = json!({"type": "record", "name": "A", "fields": [{"name": "b", "type": ["null", "B"]}]});
        let b = json!({"type": "record", "name": "B", "fields": [{"name": "a", "type": ["null", "A"]}]});
        let mut schema = a.clone();
        define(&mut schema, &Definitions::from([("A".to_owned(), a), ("B".to_owned(), b)]));
        apache_avro::Schema::parse(&schema).expect("is a whole schema");
    }
}
