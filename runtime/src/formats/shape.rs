//! What a record must look like: the schema, compiled for checking values.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::schema::{NamesRef, RecordSchema, ResolvedSchema, Schema as Avro};
use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};
use millrace_model::{Code, Fault, Result, Schema};

use super::datum::Datum;
use super::json;
use crate::project::suggest;

/// A record's fields, in their order and by name.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) fields: Vec<Member>,
    by_name: HashMap<Box<str>, usize>,
}

/// A field of a record.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: Box<str>,
    pub(super) slot: Slot,
    pub(super) default: Option<Datum<'static>>,
}

/// A place for a value: its type, and whether it may be null.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) nullable: bool,
    pub(super) kind: Kind,
}

/// The types.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    String,
    Bytes,
    Fixed(usize),
    Enum(Arc<[String]>),
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// As 16 bytes.
    Uuid,
    /// As its text with hyphens, where the Arrow form is text.
    UuidText,
    Date,
    Time(Unit),
    Timestamp(Unit),
    LocalTimestamp(Unit),
    Array(Box<Slot>),
    Map(Box<Slot>),
    Record(Shape),
}

/// The unit of a time or timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    pub(super) fn nanos(self) -> i64 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Nanos => "nanoseconds",
        }
    }
}

impl Shape {
    /// The shape of a schema's records.
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let avro = Avro::parse(schema.avro()).map_err(|error| invalid(schema, error))?;
        let names = ResolvedSchema::new(&avro).map_err(|error| invalid(schema, error))?;
        let Avro::Record(record) = &avro else {
            return Err(Fault::operator(Code::SchemaInvalid, format!("the schema {} is not a record", schema.name())));
        };
        Compiler { names: names.get_names() }.record(record, schema.arrow().fields())
    }

    /// The index of the field of that name.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The field whose name is most like `name`, if one is much like it.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        suggest::nearest(name, self.fields.iter().map(|member| &*member.name))
    }

    /// `; did you mean …?`, or nothing.
    pub(super) fn suggestion(&self, name: &str) -> String {
        self.nearest(name).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    }
}

impl Member {
    /// The value of the field when it is left out.
    pub(super) fn absent(&self) -> Option<Datum<'static>> {
        self.default.clone().or_else(|| self.slot.nullable.then_some(Datum::Null))
    }
}

impl Kind {
    /// The type in words, as messages say it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Boolean => "boolean".into(),
            Self::Int => "int".into(),
            Self::Long => "long".into(),
            Self::Float => "float".into(),
            Self::Double => "double".into(),
            Self::String => "string".into(),
            Self::Bytes => "bytes as base64".into(),
            Self::Fixed(size) => format!("{size} bytes as base64"),
            Self::Enum(symbols) => format!("one of {}", symbols.join(", ")),
            Self::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
            Self::Uuid | Self::UuidText => "uuid".into(),
            Self::Date => "date such as 2013-01-31".into(),
            Self::Time(_) => "time such as 17:05:00".into(),
            Self::Timestamp(_) => "timestamp such as 2013-01-31T17:05:00Z".into(),
            Self::LocalTimestamp(_) => "local timestamp such as 2013-01-31T17:05:00".into(),
            Self::Array(_) => "array".into(),
            Self::Map(_) | Self::Record(_) => "object".into(),
        }
    }

    /// Whether a value of it is an array or object, which one CSV field can't be.
    pub(super) fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(_) | Self::Record(_))
    }
}

fn invalid(schema: &Schema, error: apache_avro::Error) -> Fault {
    Fault::operator(Code::SchemaInvalid, format!("the schema {} can't be read", schema.name())).because(error)
}

fn mismatch(avro: &Avro, arrow: &DataType) -> Fault {
    Fault::fatal(Code::Internal, format!("the Arrow form {arrow} does not belong to the Avro type {avro:?}"))
}

/// Walks the Avro schema and its Arrow form side by side.
struct Compiler<'a> {
    names: &'a NamesRef<'a>,
}

impl<'a> Compiler<'a> {
    fn record(&self, record: &'a RecordSchema, arrow: &Fields) -> Result<Shape> {
        if record.fields.len() != arrow.len() {
            return Err(Fault::fatal(Code::Internal, format!("{} has {} Arrow fields", record.name.name(), arrow.len())));
        }
        let fields: Vec<Member> = record.fields.iter().zip(arrow).map(|(field, arrow)| self.member(field, arrow)).collect::<Result<_>>()?;
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        Ok(Shape { fields, by_name })
    }

    fn member(&self, field: &'a apache_avro::schema::RecordField, arrow: &FieldRef) -> Result<Member> {
        let slot = self.slot(&field.schema, arrow)?;
        let default = match &field.default {
            Some(default) => Some(Self::default(&field.name, default, &slot)?),
            None => None,
        };
        Ok(Member { name: field.name.as_str().into(), slot, default })
    }

    fn default(name: &str, default: &serde_json::Value, slot: &Slot) -> Result<Datum<'static>> {
        json::default_value(default, slot)
            .map_err(|reason| Fault::operator(Code::SchemaInvalid, format!("the default of the field `{name}` does not fit: {reason}")))
    }

    fn resolved(&self, avro: &'a Avro) -> &'a Avro {
        match avro {
            Avro::Ref { name } => self.names.get(name).copied().unwrap_or(avro),
            other => other,
        }
    }

    fn slot(&self, avro: &'a Avro, arrow: &FieldRef) -> Result<Slot> {
        if let Avro::Union(union) = self.resolved(avro)
            && let [Avro::Null, other] | [other, Avro::Null] = union.variants()
        {
            return Ok(Slot { nullable: true, kind: self.kind(other, arrow.data_type())? });
        }
        Ok(Slot { nullable: false, kind: self.kind(avro, arrow.data_type())? })
    }

    fn kind(&self, avro: &'a Avro, arrow: &DataType) -> Result<Kind> {
        let avro = self.resolved(avro);
        Ok(match (avro, arrow) {
            (Avro::Array(array), DataType::List(item)) => Kind::Array(Box::new(self.slot(&array.items, item)?)),
            (Avro::Map(map), DataType::Map(entries, _)) => Kind::Map(Box::new(self.map_values(&map.types, entries, avro)?)),
            (Avro::Record(record), DataType::Struct(fields)) => Kind::Record(self.record(record, fields)?),
            (Avro::Enum(symbols), _) => Kind::Enum(symbols.symbols.clone().into()),
            _ => scalar(avro, arrow)?,
        })
    }

    fn map_values(&self, values: &'a Avro, entries: &FieldRef, avro: &Avro) -> Result<Slot> {
        match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => self.slot(values, &fields[1]),
            other => Err(mismatch(avro, other)),
        }
    }
}

/// The kind of a type without parts. The Arrow form decides: it is what a column must be in the end.
fn scalar(avro: &Avro, arrow: &DataType) -> Result<Kind> {
    Ok(match arrow {
        DataType::Boolean => Kind::Boolean,
        DataType::Int32 => Kind::Int,
        DataType::Int64 => Kind::Long,
        DataType::Float32 => Kind::Float,
        DataType::Float64 => Kind::Double,
        DataType::Utf8 | DataType::Utf8View if matches!(avro, Avro::Uuid(_)) => Kind::UuidText,
        DataType::Utf8 | DataType::Utf8View => Kind::String,
        DataType::Binary => Kind::Bytes,
        DataType::FixedSizeBinary(16) if matches!(avro, Avro::Uuid(_)) => Kind::Uuid,
        DataType::FixedSizeBinary(size) => Kind::Fixed(*size as usize),
        DataType::Decimal128(precision, scale) => Kind::Decimal { precision: *precision, scale: *scale },
        DataType::Date32 => Kind::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => Kind::Time(self::unit(*unit, arrow)?),
        DataType::Timestamp(unit, Some(_)) => Kind::Timestamp(self::unit(*unit, arrow)?),
        DataType::Timestamp(unit, None) => Kind::LocalTimestamp(self::unit(*unit, arrow)?),
        other => return Err(unsupported(other)),
    })
}

fn unit(unit: TimeUnit, arrow: &DataType) -> Result<Unit> {
    match unit {
        TimeUnit::Millisecond => Ok(Unit::Millis),
        TimeUnit::Microsecond => Ok(Unit::Micros),
        TimeUnit::Nanosecond => Ok(Unit::Nanos),
        TimeUnit::Second => Err(unsupported(arrow)),
    }
}

fn unsupported(arrow: &DataType) -> Fault {
    Fault::operator(Code::SchemaUnsupported, format!("JSON and CSV have no form for the type {arrow}; leave the field out of the schema"))
}
