//! Avro schemas inferred from samples: what `millrace schema infer` prints.
//!
//! Files that have a schema (Avro container, Parquet) give theirs. Of the others (CSV, NDJSON, JSON) the values tell:
//!
//! | values | Avro |
//! |---|---|
//! | `true`, `false` | boolean |
//! | whole numbers | long: no sample says that a later one isn't larger. With leading zeros they are text |
//! | other numbers | double |
//! | as many digits behind the point everywhere, two or more, some of them trailing zeros (CSV, or JSON strings) | decimal |
//! | `2013-01-31` | date |
//! | `05:30:00`, with fractions | time-millis or time-micros |
//! | RFC 3339 with an offset | timestamp-millis, -micros or -nanos, as the digits ask for |
//! | the same without an offset | local-timestamp-… |
//! | UUIDs with hyphens | uuid |
//! | any other text | string |
//! | arrays, objects | array, record; an object with keys that are no Avro names is a map |
//!
//! A field that is null, left out or (in CSV) empty anywhere may be null, with null as its default.

mod json;
mod samples;
mod seen;
mod text;

use std::path::Path;

use millrace_model::{Code, Fault, Result};
use serde_json::Value;

use seen::Seen;

pub use samples::Format;

/// How a sample is read.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its format; by the file's name without it.
    pub format: Option<Format>,
    /// The record's name; that of the file without it.
    pub name: Option<String>,
    /// How many records are looked at.
    pub records: usize,
    /// The fields of CSV that mean null, beside empty ones.
    pub nulls: Vec<String>,
}

/// The schema of the records in `file`.
///
/// # Errors
/// [`Code::FileUnreadable`] for a file that can't be read as its format, [`Code::SchemaUnsupported`] for records that no schema
/// holds; both for an operator.
pub fn infer(file: &Path, sample: &Sample) -> Result<Value> {
    let format = match sample.format {
        Some(format) => format,
        None => Format::of(file).ok_or_else(|| unknown_format(file))?,
    };
    let name = sample.name.clone().unwrap_or_else(|| record_name(file));
    let mut avro = samples::schema(file, format, sample, &name)?;
    avro["name"] = name.into();
    Ok(avro)
}

/// The schema of records that were seen.
fn of_records(seen: &Seen, name: &str) -> Result<Value> {
    if seen.is_empty() {
        return Err(Fault::operator(Code::SchemaUnsupported, "the sample has no record"));
    }
    seen.record(name)
}

fn unknown_format(file: &Path) -> Fault {
    let known = "csv, tsv, ndjson, jsonl, json, avro, parquet";
    Fault::operator(Code::FileUnreadable, format!("{} has no ending that tells its format ({known}): say it with --format", file.display()))
}

/// The file's name without its ending, in the characters that Avro takes.
fn record_name(file: &Path) -> String {
    let stem = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { name } else { format!("_{name}") }
}
