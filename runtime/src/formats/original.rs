//! Cells as JSON text: the original of a row that has no bytes of its own, in the forms that [`JsonReader`](super::JsonReader) reads.

use std::fmt::Display;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use super::cell::Cell;

/// Appends the cells under their names as a JSON object.
pub fn write_object<'a, 'c: 'a>(members: impl Iterator<Item = (&'a str, &'a Cell<'c>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, cell)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write(cell, out);
    }
    out.push(b'}');
}

/// Appends a cell as JSON.
fn write(cell: &Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Boolean(value) => shown(value, out),
        Cell::Integer(value) | Cell::Bit(value) => shown(value, out),
        Cell::Number(text) if serde_json::from_str::<serde_json::Number>(text).is_ok() => out.extend_from_slice(text.as_bytes()),
        Cell::Float(value) if value.is_finite() => shown(value, out),
        Cell::Float(value) => write_text(&value.to_string(), out),
        Cell::Number(text) | Cell::Text(text) | Cell::Field(text) | Cell::Invalid(text) => write_text(text, out),
        Cell::Bytes(bytes) => write_text(&BASE64.encode(bytes), out),
        Cell::Uuid(bytes) => write_text(&uuid::Uuid::from_bytes(*bytes).to_string(), out),
        Cell::Date(days) | Cell::Moment { days, micros: 0 } => time(date(*days), i64::from(*days), out),
        Cell::Time(micros) => time(time_of_day(*micros), *micros, out),
        Cell::Timestamp(micros) => time(Timestamp::from_microsecond(*micros).ok(), *micros, out),
        Cell::LocalTimestamp(micros) => time(local(*micros), *micros, out),
        Cell::Moment { days, micros } => {
            let micros = i64::from(*days) * 86_400_000_000 + micros;
            time(local(micros), micros, out);
        }
        Cell::Json(text) => out.extend_from_slice(text.as_bytes()),
        Cell::List(items) => list(items, out),
        Cell::Object(members) => write_object(members.iter().map(|(name, cell)| (name.as_ref(), cell)), out),
    }
}

/// A time as text; what is outside the calendar as the number that it is.
fn time(time: Option<impl Display>, number: i64, out: &mut Vec<u8>) {
    match time {
        Some(time) => write_text(&time.to_string(), out),
        None => shown(&number, out),
    }
}

fn list(items: &[Cell<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Numbers and booleans.
fn shown(value: &impl Display, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    write!(out, "{value}").unwrap_or_default();
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Text is always JSON, and writing to a vector can't fail.
    serde_json::to_writer(out, text).unwrap_or_default();
}

fn date(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

fn time_of_day(micros: i64) -> Option<Time> {
    Time::midnight().checked_add(SignedDuration::from_micros(micros)).ok()
}

fn local(micros: i64) -> Option<DateTime> {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(SignedDuration::from_micros(micros)).ok()
}
