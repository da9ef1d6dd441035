//! Which type of a lake holds which kind of column.
//!
//! | Avro | Delta | Parquet, where it is not plain |
//! |---|---|---|
//! | boolean, int, long, float, double, string, bytes | the same: `boolean`, `int`, `bigint`, `float`, `double`, `string`, `binary` | |
//! | enum | `string` | |
//! | fixed | `binary` | |
//! | uuid | `string` | with hyphens |
//! | decimal of up to 38 digits | `decimal(p,s)` | |
//! | decimal of more | `string` | `-12.50` |
//! | date | `date` | |
//! | time-* | `string` | `05:30:00.001`: Delta has no time of day |
//! | timestamp-* | `timestamp` | microseconds in UTC; the finer part of nanoseconds is cut off |
//! | local-timestamp-* | `timestamp_ntz` | microseconds |
//! | duration | `string` | `1 mons 2 days 3.000000000 secs` |
//! | array, map, record | `array<…>`, `map<…>`, `struct<…>` | |
//! | union of several types | `string` | JSON |

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde_json::{Value, json};

use crate::table::Kind;

/// The column as it is in files: what `convert` makes of it. None where no file holds it.
pub(super) fn physical(field: &Field) -> Option<Field> {
    let data_type = match (Kind::of(field)?, field.data_type()) {
        (Kind::Boolean | Kind::Int | Kind::Long | Kind::Float | Kind::Double | Kind::Date | Kind::Decimal { .. }, same) => same.clone(),
        (Kind::Bytes | Kind::Fixed, _) => DataType::Binary,
        (Kind::Timestamp { utc, .. }, _) => DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| "UTC".into())),
        (Kind::Nested, nested) => physical_nested(nested)?,
        (Kind::Null | Kind::Text | Kind::Symbol | Kind::Uuid | Kind::WideDecimal { .. } | Kind::Time(_) | Kind::Duration, _) => {
            DataType::Utf8
        }
    };
    Some(Field::new(field.name(), data_type, field.is_nullable()))
}

fn physical_nested(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::List(item) => DataType::List(Arc::new(physical(item)?.with_name("element"))),
        DataType::Struct(fields) => DataType::Struct(all(fields)?),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(parts) = entries.data_type() else { return None };
            let parts = all(parts)?;
            let named = [(&parts[0], "key"), (&parts[1], "value")].map(|(part, name)| part.as_ref().clone().with_name(name));
            DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(named.into_iter().collect()), false)), *sorted)
        }
        // A union of several types.
        _ => DataType::Utf8,
    })
}

fn all(fields: &Fields) -> Option<Fields> {
    fields.iter().map(|field| physical(field)).collect()
}

/// The type of a physical column, as the log has it.
pub(super) fn delta(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Binary => json!("binary"),
        DataType::Decimal128(precision, scale) => json!(format!("decimal({precision},{scale})")),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(_, Some(_)) => json!("timestamp"),
        DataType::Timestamp(_, None) => json!("timestamp_ntz"),
        DataType::List(item) => json!({ "type": "array", "elementType": delta(item.data_type()), "containsNull": item.is_nullable() }),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(parts) => json!({
                "type": "map",
                "keyType": delta(parts[0].data_type()),
                "valueType": delta(parts[1].data_type()),
                "valueContainsNull": parts[1].is_nullable(),
            }),
            _ => json!("string"),
        },
        DataType::Struct(fields) => json!({ "type": "struct", "fields": fields.iter().map(|field| column(field)).collect::<Vec<_>>() }),
        _ => json!("string"),
    }
}

/// A physical column, as the log has it.
pub(super) fn column(field: &Field) -> Value {
    json!({ "name": field.name(), "type": delta(field.data_type()), "nullable": field.is_nullable(), "metadata": {} })
}

/// A type of the log as SQL writes it.
pub(super) fn shown(delta: &Value) -> String {
    let part = |name: &str| shown(&delta[name]);
    match delta["type"].as_str() {
        Some("array") => format!("array<{}>", part("elementType")),
        Some("map") => format!("map<{},{}>", part("keyType"), part("valueType")),
        Some("struct") => {
            let fields = delta["fields"].as_array().into_iter().flatten();
            let fields = fields.map(|field| format!("{}:{}", field["name"].as_str().unwrap_or_default(), shown(&field["type"])));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(","))
        }
        _ => match delta.as_str() {
            Some("integer") => "int".to_owned(),
            Some("long") => "bigint".to_owned(),
            other => other.unwrap_or("unknown").to_owned(),
        },
    }
}

/// Whether a column of type `existing` takes the values of one of type `wanted`.
pub(super) fn takes(existing: &Value, wanted: &Value) -> bool {
    widens(existing, wanted) || holds(existing, wanted)
}

fn widens(existing: &Value, wanted: &Value) -> bool {
    matches!((existing.as_str(), wanted.as_str()), (Some("long"), Some("integer")) | (Some("double"), Some("float")))
}

/// The same without any change of values.
fn holds(existing: &Value, wanted: &Value) -> bool {
    let part = |name: &str| holds(&existing[name], &wanted[name]);
    let nulls = |name: &str| existing[name] == true || wanted[name] == false;
    match (existing["type"].as_str(), wanted["type"].as_str()) {
        (Some("array"), Some("array")) => part("elementType") && nulls("containsNull"),
        (Some("map"), Some("map")) => part("keyType") && part("valueType") && nulls("valueContainsNull"),
        (Some("struct"), Some("struct")) => structs_hold(&existing["fields"], &wanted["fields"]),
        (None, None) => existing == wanted,
        _ => false,
    }
}

fn structs_hold(existing: &Value, wanted: &Value) -> bool {
    let fields = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let (existing, wanted) = (fields(existing), fields(wanted));
    let find = |name: &Value| existing.iter().find(|field| field["name"] == *name);
    let takes = |field: &Value| {
        find(&field["name"])
            .is_some_and(|found| holds(&found["type"], &field["type"]) && (found["nullable"] == true || field["nullable"] == false))
    };
    let lacks = |found: &&Value| wanted.iter().all(|field| field["name"] != found["name"]);
    wanted.iter().all(takes) && existing.iter().filter(lacks).all(|found| found["nullable"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_show_as_sql_writes_them() {
        let point = DataType::Struct(vec![Field::new("x", DataType::Int32, true), Field::new("tags", list(true), true)].into());
        assert_eq!(shown(&delta(&point)), "struct<x:int,tags:array<string>>");
        assert_eq!(shown(&delta(&DataType::Decimal128(9, 2))), "decimal(9,2)");
    }

    fn list(nulls: bool) -> DataType {
        DataType::List(Arc::new(Field::new("element", DataType::Utf8, nulls)))
    }

    #[test]
    fn a_column_takes_what_it_can_hold_unchanged() {
        let takes = |existing: &DataType, wanted: &DataType| takes(&delta(existing), &delta(wanted));
        assert!(takes(&DataType::Int64, &DataType::Int32) && !takes(&DataType::Int32, &DataType::Int64));
        assert!(takes(&DataType::Float64, &DataType::Float32) && !takes(&DataType::Utf8, &DataType::Int64));
        assert!(takes(&list(true), &list(false)) && !takes(&list(false), &list(true)));
        let record = |fields: Vec<Field>| DataType::Struct(fields.into());
        let (x, y) = (Field::new("x", DataType::Int32, false), Field::new("y", DataType::Int32, true));
        assert!(takes(&record(vec![x.clone(), y.clone()]), &record(vec![x.clone()])));
        assert!(!takes(&record(vec![x.clone()]), &record(vec![x, y])));
    }
}
