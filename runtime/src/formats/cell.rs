//! Values of sources that have types of their own: databases, sheets, XML.

use std::borrow::Cow;

use millrace_model::Code;
use serde_json::value::RawValue;

use super::datum::Datum;
use super::shape::{Kind, Shape, Slot, Unit};
use super::{Problem, json, scalar, shortened};

const NANOS_PER_MICRO: i128 = 1_000;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// One value as its source has it, before it is checked against the schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number of a source that has no other truth values: 0 is false too, and 1 true.
    Bit(i64),
    /// A number of any size, in decimal notation.
    Number(Cow<'a, str>),
    /// A binary fraction; it may be infinite or not a number.
    Float(f64),
    /// Text, which is taken for other types in the forms that JSON strings have, and as JSON for an array, map or record.
    Text(Cow<'a, str>),
    /// Text of a source that has nothing else, which is taken for any type, as a CSV field is.
    Field(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A UUID.
    Uuid([u8; 16]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// An instant, in microseconds since the epoch.
    Timestamp(i64),
    /// What a calendar and a clock on the wall show, in microseconds since 1970-01-01T00:00:00.
    LocalTimestamp(i64),
    /// What the source could not read, such as a formula that failed: it fits no type.
    Invalid(Cow<'a, str>),
    /// A date and a time of day without a zone, either of which may be all that is meant: what sheets have.
    Moment {
        /// Days since 1970-01-01.
        days: i32,
        /// Microseconds since midnight.
        micros: i64,
    },
    /// JSON text.
    Json(Cow<'a, str>),
    /// Values in their order.
    List(Vec<Cell<'a>>),
    /// Values by name, in their order.
    Object(Vec<(Cow<'a, str>, Cell<'a>)>),
}

/// The value that a cell is in a place of the schema.
pub(super) fn datum<'a>(slot: &Slot, cell: Cell<'a>) -> Result<Datum<'a>, Problem> {
    let kind = &slot.kind;
    match cell {
        Cell::Null if slot.nullable => Ok(Datum::Null),
        Cell::Text(text) if kind.is_nested() => of_json(slot, text),
        Cell::Text(text) => self::text(kind, text),
        Cell::Field(text) => field(kind, &text),
        Cell::Json(text) => of_json(slot, text),
        Cell::List(items) => list(kind, items),
        Cell::Object(members) => object(kind, members),
        plain => of_plain(kind, &plain),
    }
}

/// The values of a record's fields. A field that is left out takes its default, or null.
pub(super) fn record<'a>(shape: &Shape, members: Vec<(Cow<'a, str>, Cell<'a>)>) -> Result<Vec<Datum<'a>>, Problem> {
    let mut row: Vec<Option<Datum<'a>>> = vec![None; shape.fields.len()];
    for (name, cell) in members {
        let index = shape.index(&name).ok_or_else(|| json::unknown(shape, &name))?;
        if row[index].is_some() {
            return Err(Problem::new(Code::FieldType, "the field occurs twice, and its type is no array").in_field(&name));
        }
        row[index] = Some(datum(&shape.fields[index].slot, cell).map_err(|problem| problem.in_field(&name))?);
    }
    json::filled(shape, row)
}

fn of_plain<'a>(kind: &Kind, cell: &Cell<'a>) -> Result<Datum<'a>, Problem> {
    let fit = match (cell, kind) {
        (Cell::Boolean(value), Kind::Boolean) => Ok(Datum::Boolean(*value)),
        (Cell::Bit(0 | 1), Kind::Boolean) => Ok(Datum::Boolean(*cell == Cell::Bit(1))),
        (Cell::Integer(value), Kind::Long) => Ok(Datum::Integer(*value)),
        (Cell::Integer(value) | Cell::Bit(value), _) => scalar::of_number(kind, &value.to_string()),
        (Cell::Number(text), Kind::String) => Ok(Datum::Text(text.clone())),
        (Cell::Number(text), _) => scalar::of_number(kind, text),
        (Cell::Float(value), Kind::Double) => Ok(Datum::Float(*value)),
        (Cell::Float(value), Kind::Float) => scalar::narrowed(*value).map(Datum::Float),
        (Cell::Bytes(bytes), Kind::Bytes) => Ok(Datum::Bytes(bytes.clone())),
        (Cell::Bytes(bytes), Kind::Fixed(size)) if bytes.len() == *size => Ok(Datum::Bytes(bytes.clone())),
        (Cell::Bytes(bytes), Kind::Uuid) if bytes.len() == 16 => Ok(Datum::Bytes(bytes.clone())),
        (Cell::Uuid(bytes), Kind::Uuid) => Ok(Datum::Bytes(Cow::Owned(bytes.to_vec()))),
        (Cell::Uuid(bytes), Kind::UuidText | Kind::String) => Ok(Datum::Text(Cow::Owned(uuid::Uuid::from_bytes(*bytes).to_string()))),
        (Cell::Date(days) | Cell::Moment { days, micros: 0 }, Kind::Date) => Ok(Datum::Integer(i64::from(*days))),
        (Cell::Moment { days, micros }, Kind::LocalTimestamp(unit)) => in_unit(i64::from(*days) * MICROS_PER_DAY + micros, *unit),
        (Cell::Time(micros), Kind::Time(unit))
        | (Cell::Timestamp(micros), Kind::Timestamp(unit))
        | (Cell::LocalTimestamp(micros), Kind::LocalTimestamp(unit)) => in_unit(*micros, *unit),
        _ => Err(Cow::Borrowed("")),
    };
    fit.map_err(|more| misfit(kind, &found(cell), &more))
}

fn in_unit(micros: i64, unit: Unit) -> scalar::Fit<Datum<'static>> {
    scalar::in_unit(i128::from(micros) * NANOS_PER_MICRO, unit).map(Datum::Integer)
}

fn text<'a>(kind: &Kind, text: Cow<'a, str>) -> Result<Datum<'a>, Problem> {
    if matches!(kind, Kind::String) {
        return Ok(Datum::Text(text));
    }
    scalar::of_text(kind, text.clone()).map_err(|more| misfit(kind, &found(&Cell::Text(text)), &more))
}

fn field<'a>(kind: &Kind, text: &Cow<'a, str>) -> Result<Datum<'a>, Problem> {
    let fit = match text {
        Cow::Borrowed(text) => scalar::of_field(kind, text),
        Cow::Owned(text) => scalar::of_field(kind, text).map(Datum::into_owned),
    };
    fit.map_err(|more| misfit(kind, &if text.is_empty() { "nothing".into() } else { shortened(text) }, &more))
}

/// JSON is taken as its text by a field of text, else as the value that it is.
fn of_json<'a>(slot: &Slot, text: Cow<'a, str>) -> Result<Datum<'a>, Problem> {
    match &text {
        _ if matches!(slot.kind, Kind::String) => Ok(Datum::Text(text)),
        Cow::Borrowed(text) => json::value(slot, raw(text)?),
        Cow::Owned(text) => json::value(slot, raw(text)?).map(Datum::into_owned),
    }
}

fn raw(text: &str) -> Result<&RawValue, Problem> {
    serde_json::from_str(text).map_err(|error| json::syntax(&error))
}

fn list<'a>(kind: &Kind, items: Vec<Cell<'a>>) -> Result<Datum<'a>, Problem> {
    let Kind::Array(slot) = kind else { return Err(misfit(kind, "a list", "")) };
    let item = |(index, cell)| datum(slot, cell).map_err(|problem| problem.at_index(index));
    items.into_iter().enumerate().map(item).collect::<Result<_, _>>().map(Datum::Array)
}

fn object<'a>(kind: &Kind, members: Vec<(Cow<'a, str>, Cell<'a>)>) -> Result<Datum<'a>, Problem> {
    match kind {
        Kind::Record(shape) => record(shape, members).map(Datum::Record),
        Kind::Map(slot) => {
            let entry = |(name, cell): (Cow<'a, str>, _)| match datum(slot, cell) {
                Ok(datum) => Ok((name, datum)),
                Err(problem) => Err(problem.in_field(&name)),
            };
            members.into_iter().map(entry).collect::<Result<_, _>>().map(Datum::Map)
        }
        kind => Err(misfit(kind, "an object", "")),
    }
}

fn misfit(kind: &Kind, found: &str, more: &str) -> Problem {
    let comma = if more.is_empty() { "" } else { ", " };
    Problem::expected(&kind.name(), &format!("{found}{comma}{more}"))
}

fn found(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Boolean(value) => format!("boolean {value}"),
        Cell::Integer(value) | Cell::Bit(value) => format!("number {value}"),
        Cell::Number(text) => format!("number {}", shortened(text)),
        Cell::Float(value) => format!("number {value}"),
        Cell::Text(text) | Cell::Field(text) => format!("text {}", shortened(text)),
        Cell::Invalid(text) => shortened(text).into_owned(),
        Cell::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Cell::Uuid(_) => "a UUID".into(),
        Cell::Date(_) | Cell::Moment { micros: 0, .. } => "a date".into(),
        Cell::Time(_) => "a time".into(),
        Cell::Timestamp(_) => "a timestamp".into(),
        Cell::LocalTimestamp(_) => "a local timestamp".into(),
        Cell::Moment { .. } => "a date and time".into(),
        Cell::Json(_) => "JSON".into(),
        Cell::List(_) => "a list".into(),
        Cell::Object(_) => "an object".into(),
    }
}
