//! The schema of what a SELECT gives: columns that pass unchanged keep their Avro field, computed ones get one.

use arrow::datatypes::{DataType, Field, TimeUnit};
use millrace_model::Schema;
use millrace_runtime::project::Kind;
use serde_json::{Value, json};

use super::error::{Compiled, StepError};
use super::names::Names;
use super::wording;

/// One column of the output.
pub(super) enum Column {
    /// The input's column of that number, as it is.
    Kept(usize),
    /// Values of a type that [`carried`] gives.
    Computed { data_type: DataType, nullable: bool },
}

/// The schema of the named columns. The record keeps the name of the input's.
pub(super) fn schema(input: &Schema, columns: &[(String, Column)]) -> Compiled<Schema> {
    let mut names = Names::of(input.avro());
    let record = input.name();
    let fields: Vec<Value> = columns
        .iter()
        .map(|(name, column)| match column {
            Column::Kept(number) => kept(&input.fields()[*number], name, &mut names),
            Column::Computed { data_type, nullable } => computed(name, data_type, *nullable, &record),
        })
        .collect::<Compiled<_>>()?;
    let mut avro = input.avro().clone();
    avro["fields"] = Value::Array(fields);
    millrace_runtime::codec::schema(avro).map_err(|fault| StepError::invalid(format!("the output has no Avro schema: {fault}")))
}

/// The same field under the name `name`.
fn kept(field: &Value, name: &str, names: &mut Names) -> Compiled<Value> {
    let mut field = field.clone();
    field["type"] = names.write(&field["type"]);
    if field["name"] != name {
        let fields = field.as_object_mut().ok_or_else(|| StepError::invalid("a field of the input's schema is no object"))?;
        fields.remove("aliases");
        field["name"] = json!(name);
    }
    Ok(field)
}

fn computed(name: &str, data_type: &DataType, nullable: bool, record: &str) -> Compiled<Value> {
    let avro = avro_type(data_type, &format!("{record}_{name}"))?;
    Ok(if nullable { json!({ "name": name, "type": ["null", avro], "default": null }) } else { json!({ "name": name, "type": avro }) })
}

/// The type with an Avro counterpart that values of `data_type` are carried as.
pub(super) fn carried(data_type: &DataType) -> DataType {
    use DataType::{
        Binary, BinaryView, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Float16, Float32, Int8, Int16, Int32,
        Int64, LargeBinary, LargeUtf8, Time32, Time64, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    match data_type {
        Int8 | Int16 | UInt8 | UInt16 => Int32,
        UInt32 | UInt64 => Int64,
        Float16 => Float32,
        LargeUtf8 | Utf8View => Utf8,
        LargeBinary | BinaryView => Binary,
        Decimal32(precision, scale) | Decimal64(precision, scale) => Decimal128(*precision, *scale),
        Decimal256(precision, scale) => Decimal128((*precision).min(38), *scale),
        Date64 => Date32,
        Time32(_) => Time32(TimeUnit::Millisecond),
        Time64(_) => Time64(TimeUnit::Microsecond),
        Timestamp(unit, zone) => Timestamp(carried_unit(*unit), zone.as_ref().map(|_| "+00:00".into())),
        Dictionary(_, values) => carried(values),
        nested => carried_nested(nested),
    }
}

/// Avro before 1.12 has no nanoseconds, and no Avro has seconds.
fn carried_unit(unit: TimeUnit) -> TimeUnit {
    match unit {
        TimeUnit::Second | TimeUnit::Millisecond => TimeUnit::Millisecond,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => TimeUnit::Microsecond,
    }
}

fn carried_nested(data_type: &DataType) -> DataType {
    let carried_field = |field: &Field| Field::new(field.name(), carried(field.data_type()), field.is_nullable());
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(carried_field(item).into())
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| carried_field(field)).collect()),
        DataType::Map(entries, sorted) => DataType::Map(carried_field(entries).into(), *sorted),
        other => other.clone(),
    }
}

/// The Avro type of a carried type; records and fixed types in it get the name `name`.
fn avro_type(data_type: &DataType, name: &str) -> Compiled<Value> {
    Ok(match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int32 => json!("int"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 => json!("string"),
        DataType::Binary => json!("bytes"),
        DataType::FixedSizeBinary(size) => json!({ "type": "fixed", "name": name, "size": size }),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        DataType::Date32 => json!({ "type": "int", "logicalType": "date" }),
        DataType::Time32(_) => json!({ "type": "int", "logicalType": "time-millis" }),
        DataType::Time64(_) => json!({ "type": "long", "logicalType": "time-micros" }),
        DataType::Timestamp(unit, zone) => timestamp(*unit, zone.is_some()),
        DataType::List(item) => json!({ "type": "array", "items": avro_field_type(item, name)? }),
        DataType::Struct(fields) => record(fields.iter().map(AsRef::as_ref), name)?,
        DataType::Map(entries, _) => map(entries, name)?,
        DataType::Union(..) => {
            let message = "a union of several types can pass unchanged only; select the column as it is";
            return Err(StepError::invalid(message).kind(Kind::UnionTouched));
        }
        DataType::Null => return Err(StepError::invalid("null alone has no type; write CAST(NULL AS type)")),
        other => {
            return Err(StepError::invalid(format!(
                "{} can't be a field of an Avro record; cast it to a number or to text",
                wording::type_name(other)
            )));
        }
    })
}

fn timestamp(unit: TimeUnit, zoned: bool) -> Value {
    let unit = if unit == TimeUnit::Millisecond { "millis" } else { "micros" };
    let kind = if zoned { "timestamp" } else { "local-timestamp" };
    json!({ "type": "long", "logicalType": format!("{kind}-{unit}") })
}

fn avro_field_type(field: &Field, name: &str) -> Compiled<Value> {
    let avro = avro_type(field.data_type(), name)?;
    Ok(if field.is_nullable() { json!(["null", avro]) } else { avro })
}

fn record<'a>(fields: impl Iterator<Item = &'a Field>, name: &str) -> Compiled<Value> {
    let fields: Vec<Value> = fields
        .map(|field| Ok(json!({ "name": field.name(), "type": avro_field_type(field, &format!("{name}_{}", field.name()))? })))
        .collect::<Compiled<_>>()?;
    Ok(json!({ "type": "record", "name": name, "fields": fields }))
}

fn map(entries: &Field, name: &str) -> Compiled<Value> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 && fields[0].data_type() == &DataType::Utf8 => {
            Ok(json!({ "type": "map", "values": avro_field_type(&fields[1], name)? }))
        }
        _ => Err(StepError::invalid("the keys of an Avro map are text; cast them")),
    }
}
