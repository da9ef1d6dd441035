//! Avro's named types, when fields of a record are taken, left out or doubled: the first use of a name has to
//! be its definition, and only the first.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// What names no type of the schema's own.
const BUILT_IN: [&str; 10] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "array", "map"];

/// The named types of a schema, and which of them have been written to another one.
pub(super) struct Names {
    namespace: String,
    definitions: HashMap<String, Value>,
    written: HashSet<String>,
}

impl Names {
    /// The named types inside a record schema.
    pub(super) fn of(record: &Value) -> Self {
        let name = full_name(record, "");
        let namespace = namespace_of(&name).to_owned();
        let mut names = Self { namespace: namespace.clone(), definitions: HashMap::new(), written: HashSet::from([name]) };
        for field in record["fields"].as_array().into_iter().flatten() {
            names.collect(&field["type"], &namespace);
        }
        names
    }

    fn collect(&mut self, avro: &Value, namespace: &str) {
        match avro {
            Value::Array(branches) => branches.iter().for_each(|branch| self.collect(branch, namespace)),
            Value::Object(object) => self.collect_object(avro, object, namespace),
            _ => {}
        }
    }

    fn collect_object(&mut self, avro: &Value, object: &Map<String, Value>, namespace: &str) {
        if !is_definition(avro) {
            inner(object).for_each(|part| self.collect(part, namespace));
            return;
        }
        let name = full_name(avro, namespace);
        let inside = namespace_of(&name).to_owned();
        let mut definition = avro.clone();
        definition["name"] = Value::String(name.clone());
        self.definitions.insert(name, definition);
        for field in avro["fields"].as_array().into_iter().flatten() {
            self.collect(&field["type"], &inside);
        }
    }

    /// A type of the schema as it has to be written at this place of the new one.
    pub(super) fn write(&mut self, avro: &Value) -> Value {
        let namespace = self.namespace.clone();
        self.write_in(avro, &namespace)
    }

    fn write_in(&mut self, avro: &Value, namespace: &str) -> Value {
        match avro {
            Value::String(name) if !BUILT_IN.contains(&name.as_str()) => self.write_name(name, namespace),
            Value::Array(branches) => branches.iter().map(|branch| self.write_in(branch, namespace)).collect(),
            Value::Object(object) if is_definition(avro) => self.write_definition(avro, object, namespace),
            Value::Object(object) => Value::Object(self.write_parts(object, namespace)),
            other => other.clone(),
        }
    }

    fn write_name(&mut self, name: &str, namespace: &str) -> Value {
        let full = qualified(name, namespace);
        match self.definitions.get(&full).cloned() {
            Some(definition) if !self.written.contains(&full) => self.write_in(&definition, namespace),
            _ => Value::String(full),
        }
    }

    fn write_definition(&mut self, avro: &Value, object: &Map<String, Value>, namespace: &str) -> Value {
        let name = full_name(avro, namespace);
        if !self.written.insert(name.clone()) {
            return Value::String(name);
        }
        let inside = namespace_of(&name).to_owned();
        let mut written = object.clone();
        if let Some(Value::Array(fields)) = written.get_mut("fields") {
            for field in fields {
                field["type"] = self.write_in(&field["type"].clone(), &inside);
            }
        }
        Value::Object(written)
    }

    fn write_parts(&mut self, object: &Map<String, Value>, namespace: &str) -> Map<String, Value> {
        let write = |(key, value): (&String, &Value)| {
            let value = if INNER.contains(&key.as_str()) { self.write_in(value, namespace) } else { value.clone() };
            (key.clone(), value)
        };
        object.iter().map(write).collect()
    }
}

/// Where an unnamed type has other types in it.
const INNER: [&str; 3] = ["type", "items", "values"];

/// The types inside an array, a map, or a type with attributes.
fn inner(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    object.iter().filter(|(key, _)| INNER.contains(&key.as_str())).map(|(_, value)| value)
}

fn is_definition(avro: &Value) -> bool {
    matches!(avro["type"].as_str(), Some("record" | "error" | "enum" | "fixed"))
}

fn full_name(avro: &Value, namespace: &str) -> String {
    let name = avro["name"].as_str().unwrap_or_default();
    qualified(name, avro["namespace"].as_str().unwrap_or(namespace))
}

fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn namespace_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}
