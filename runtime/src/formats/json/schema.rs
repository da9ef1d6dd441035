//! What a JSON record must look like, for its senders: as JSON Schema (2020-12, the dialect of OpenAPI 3.1).

use serde_json::{Map, Value, json};

use super::super::shape::{Kind, Member, Shape, Slot};
use super::JsonReader;

const INT: [i64; 2] = [i32::MIN as i64, i32::MAX as i64];

impl JsonReader {
    /// The schema of the objects that it reads, with what the Avro schema says of its fields.
    pub fn json_schema(&self) -> Value {
        let mut schema = object(&self.shape, Some(self.schema.avro()));
        schema["title"] = self.schema.name().into();
        schema
    }
}

fn object(shape: &Shape, avro: Option<&Value>) -> Value {
    let fields = |member: &Member| (member.name.to_string(), property(member, field_of(avro, &member.name)));
    let properties: Map<String, Value> = shape.fields.iter().map(fields).collect();
    let required: Vec<&str> = shape.fields.iter().filter(|member| member.absent().is_none()).map(|member| &*member.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    describe(&mut schema, avro);
    schema
}

fn property(member: &Member, avro: Option<&Value>) -> Value {
    let mut schema = slot(&member.slot, avro.and_then(|field| field.get("type")));
    describe(&mut schema, avro);
    // Avro writes the defaults of bytes, decimals and dates otherwise than JSON records do.
    if let (Kind::Boolean | Kind::Int | Kind::Long | Kind::String | Kind::Enum(_), Some(default)) =
        (&member.slot.kind, avro.and_then(|field| field.get("default")))
    {
        schema["default"] = default.clone();
    }
    schema
}

fn describe(schema: &mut Value, avro: Option<&Value>) {
    if let Some(doc) = avro.and_then(|avro| avro.get("doc")) {
        schema["description"] = doc.clone();
    }
}

fn slot(slot: &Slot, avro: Option<&Value>) -> Value {
    let mut schema = kind(&slot.kind, avro);
    if slot.nullable {
        let types = match schema["type"].take() {
            Value::Array(types) => types,
            one => vec![one],
        };
        schema["type"] = types.into_iter().chain([Value::from("null")]).collect();
        if let Some(symbols) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            symbols.push(Value::Null);
        }
    }
    schema
}

fn kind(kind: &Kind, avro: Option<&Value>) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Int => json!({ "type": "integer", "format": "int32", "minimum": INT[0], "maximum": INT[1] }),
        Kind::Long => json!({ "type": "integer", "format": "int64" }),
        Kind::Float => json!({ "type": "number", "format": "float" }),
        Kind::Double => json!({ "type": "number", "format": "double" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::Fixed(size) => {
            let length = size.div_ceil(3) * 4;
            json!({ "type": "string", "contentEncoding": "base64", "minLength": length, "maxLength": length })
        }
        Kind::Enum(symbols) => json!({ "type": "string", "enum": **symbols }),
        Kind::Decimal { .. } => json!({ "type": ["number", "string"], "description": kind.name() }),
        Kind::Uuid | Kind::UuidText => json!({ "type": "string", "format": "uuid" }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Time(_) => json!({ "type": "string", "description": kind.name() }),
        Kind::Timestamp(unit) => either("date-time", &kind.name(), unit.name()),
        Kind::LocalTimestamp(unit) => either("local-date-time", &kind.name(), unit.name()),
        Kind::Array(items) => json!({ "type": "array", "items": slot(items, part(avro, "items")) }),
        Kind::Map(values) => json!({ "type": "object", "additionalProperties": slot(values, part(avro, "values")) }),
        Kind::Record(shape) => object(shape, record_of(avro)),
    }
}

fn either(format: &str, name: &str, unit: &str) -> Value {
    json!({ "type": ["string", "integer"], "format": format, "description": format!("{name}, or {unit} since 1970") })
}

/// The field of that name in a record that is written out.
fn field_of<'a>(record: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    record?.get("fields")?.as_array()?.iter().find(|field| field["name"] == name)
}

/// The type itself, or the branch of a union that is not null.
fn branch(avro: &Value) -> Option<&Value> {
    match avro {
        Value::Array(branches) => branches.iter().find(|branch| *branch != "null"),
        one => Some(one),
    }
}

fn part<'a>(avro: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    branch(avro?)?.get(key)
}

/// A record where it is defined; where it is only named there is nothing more to say of its fields.
fn record_of(avro: Option<&Value>) -> Option<&Value> {
    branch(avro?).filter(|record| record.get("fields").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &Value) -> Value {
        let avro = json!({ "type": "record", "name": "Order", "doc": "An order.", "fields": fields });
        JsonReader::new(&crate::codec::schema(avro).expect("is carried")).expect("reads").json_schema()
    }

    #[test]
    fn a_field_without_default_is_required_and_one_that_may_be_null_says_so() {
        let schema = schema(&json!([
            { "name": "id", "type": "long", "doc": "Its number." },
            { "name": "note", "type": ["null", "string"] },
            { "name": "count", "type": "int", "default": 1 },
            { "name": "state", "type": ["null", { "type": "enum", "name": "State", "symbols": ["NEW", "PAID"] }], "default": null },
        ]));
        assert_eq!((&schema["title"], &schema["description"]), (&json!("Order"), &json!("An order.")));
        assert_eq!(schema["required"], json!(["id"]));
        assert_eq!(schema["properties"]["id"], json!({ "type": "integer", "format": "int64", "description": "Its number." }));
        assert_eq!(schema["properties"]["note"]["type"], json!(["string", "null"]));
        assert_eq!(schema["properties"]["count"]["default"], json!(1));
        assert_eq!(schema["properties"]["state"], json!({ "type": ["string", "null"], "enum": ["NEW", "PAID", null], "default": null }));
    }

    #[test]
    fn what_is_nested_is_described_too() {
        let place = json!({ "type": "record", "name": "Place", "fields": [{ "name": "city", "type": "string", "doc": "Its name." }] });
        let schema = schema(&json!([
            { "name": "places", "type": { "type": "array", "items": place } },
            { "name": "home", "type": ["null", "Place"], "default": null },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        ]));
        assert_eq!(schema["properties"]["places"]["items"]["properties"]["city"]["description"], json!("Its name."));
        assert_eq!(schema["properties"]["home"]["type"], json!(["object", "null"]));
        assert_eq!(schema["properties"]["home"]["properties"]["city"], json!({ "type": "string" }));
        assert_eq!(schema["properties"]["at"]["type"], json!(["string", "integer"]));
    }
}
