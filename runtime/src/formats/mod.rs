//! JSON and CSV → Arrow by schema, strictly: no value is guessed, rounded or cut.
//!
//! A *line* format (NDJSON, CSV) is given records that were cut from the text already. A *block* format (`blocks`) reads a whole
//! file and finds its records itself.
//!
//! A record is first checked against the schema as a whole, which gives a [`Datum`](datum::Datum) or a [`Refusal`]
//! with the field's path; only then is it appended to the columns, which can't fail. So a bad record
//! leaves no trace in its neighbours.
//!
//! | Avro | JSON | CSV |
//! |---|---|---|
//! | null in a union | `null`, or the field left out | a null marker |
//! | boolean | `true`, `false` | `true`, `false` (any case) |
//! | int, long | a number without fraction or exponent | the same |
//! | float, double | a number (rounded to the type, never to infinity) | the same; no `NaN` |
//! | string | a string | the field |
//! | bytes, fixed | a string of standard base64 with padding | the same |
//! | enum | one of the symbols | the same |
//! | decimal | a number or a string, exact in the scale | the same |
//! | date | `2013-01-31` | the same |
//! | time | `17:05:00.250` | the same |
//! | timestamp | RFC 3339 with an offset, or an integer since 1970 in the type's unit | the same |
//! | local-timestamp | the same without an offset | the same |
//! | uuid | a string with hyphens | the same |
//! | array, map, record | array, object, object | not carried |
//!
//! A field that is left out takes its default; without one it is null where the schema allows it, else the
//! record is refused. A field that the schema has not is refused, as is a name that occurs twice.

mod avro;
pub mod blocks;
mod cell;
mod columns;
pub mod csv;
mod datum;
mod documents;
mod excel;
mod json;
mod numbered;
mod original;
mod parquet;
mod render;
mod rows;
mod scalar;
mod shape;
#[cfg(test)]
mod testing;
mod xml;

pub use avro::AvroFile;
pub use cell::Cell;
pub use documents::JsonDocument;
pub use excel::{Sheet, SheetOptions};
pub use json::JsonReader;
pub use original::write_object;
pub use parquet::ParquetFile;
pub use render::render;
pub use rows::{CellType, RowReader};
pub use xml::XmlDocument;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use millrace_model::{Batch, Code, Origin, Records, Rejection, Result, Schema};

use columns::Columns;
use datum::Datum;
use shape::Shape;

/// Records read by schema.
#[derive(Debug)]
pub struct Parsed {
    /// The good records as rows, in their order.
    pub batch: Batch,
    /// The others, in their order.
    pub refused: Vec<Refusal>,
}

/// Puts together what `checked` says of each of `records` in turn.
fn parsed<'a>(
    shape: &Shape,
    schema: &Schema,
    records: &Arc<Records>,
    checked: impl Iterator<Item = Result<Vec<Datum<'a>>, Problem>>,
) -> Result<Parsed> {
    let mut columns = Columns::new(shape, schema.arrow(), records.len())?;
    let mut rows = Vec::with_capacity(records.len());
    let mut refused = Vec::new();
    for (record, checked) in (0..).zip(checked) {
        match checked {
            Ok(row) => {
                columns.append(row);
                rows.push(record);
            }
            Err(problem) => refused.push(problem.of_record(record)),
        }
    }
    Ok(Parsed { batch: Batch::new(columns.finish()?, Origin::of(Arc::clone(records), rows)), refused })
}

/// That a record does not fit the schema, where in it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The index of the record in its `Records`.
    pub record: u32,
    /// The kind of reason.
    pub code: Code,
    /// The field's path, such as `passengers[2].name`; empty when the whole record is meant.
    pub path: String,
    /// The reason in words, without the path.
    pub reason: String,
}

impl Refusal {
    /// The same as a rejection, whose reason begins with the path.
    pub fn rejection(&self) -> Rejection {
        Rejection::new(self.record, self.code, self.text())
    }

    /// Path and reason in one.
    pub fn text(&self) -> String {
        if self.path.is_empty() { self.reason.clone() } else { format!("{}: {}", self.path, self.reason) }
    }
}

/// Why a value does not fit, found somewhere inside a record; the path is built on the way out.
#[derive(Debug)]
struct Problem {
    code: Code,
    reason: String,
    /// The innermost segment first.
    path: Vec<Segment>,
}

#[derive(Debug)]
enum Segment {
    Name(String),
    Index(usize),
}

impl Problem {
    fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), path: Vec::new() }
    }

    fn expected(what: &str, found: &str) -> Self {
        Self::new(Code::FieldType, format!("expected {what}, found {found}"))
    }

    fn in_field(mut self, name: &str) -> Self {
        self.path.push(Segment::Name(name.to_owned()));
        self
    }

    fn at_index(mut self, index: usize) -> Self {
        self.path.push(Segment::Index(index));
        self
    }

    fn of_record(self, record: u32) -> Refusal {
        Refusal { record, code: self.code, path: self.path_text(), reason: self.reason }
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Name(name) if text.is_empty() => text.push_str(&shortened(name)),
                Segment::Name(name) => {
                    text.push('.');
                    text.push_str(&shortened(name));
                }
                Segment::Index(index) => {
                    // Writing to a string can't fail.
                    write!(text, "[{index}]").unwrap_or_default();
                }
            }
        }
        text
    }
}

/// Values are shown by their beginning only: a reason goes to logs and headers.
const SHOWN: usize = 40;

fn shortened(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(SHOWN) {
        None => Cow::Borrowed(value),
        Some((end, _)) => Cow::Owned(format!("{}…", &value[..end])),
    }
}
