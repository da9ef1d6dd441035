//! Samples, read as far as their schema asks for.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::str::FromStr;

use arrow_avro::schema::AvroSchema;
use millrace_model::{Code, Fault, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::json::Json;
use super::seen::Seen;
use super::{Sample, of_records};

/// How a sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Fields with commas between them, the first row names them.
    Csv,
    /// The same with tabs.
    Tsv,
    /// A JSON object a line, or one behind another.
    Ndjson,
    /// A JSON array of objects, or objects one behind another.
    Json,
    /// An Avro container file.
    Avro,
    /// Parquet.
    Parquet,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "ndjson" | "jsonl" => Self::Ndjson,
            "json" => Self::Json,
            "avro" => Self::Avro,
            "parquet" => Self::Parquet,
            _ => return Err("expected csv, tsv, ndjson, json, avro or parquet".to_owned()),
        })
    }
}

impl Format {
    /// The format that the file's name tells.
    pub fn of(file: &Path) -> Option<Self> {
        file.extension()?.to_str()?.parse().ok()
    }
}

/// The schema of the records in `file`.
pub(super) fn schema(file: &Path, format: Format, sample: &Sample, name: &str) -> Result<Value> {
    match format {
        Format::Csv => of_records(&rows(file, b',', sample)?, name),
        Format::Tsv => of_records(&rows(file, b'\t', sample)?, name),
        Format::Ndjson | Format::Json => of_records(&values(file, sample.records)?, name),
        Format::Avro => container(file),
        Format::Parquet => parquet(file),
    }
}

fn open(file: &Path) -> Result<BufReader<File>> {
    File::open(file).map(BufReader::new).map_err(|error| unopened(file, error))
}

fn unopened(file: &Path, error: std::io::Error) -> Fault {
    Fault::operator(Code::FileUnreadable, format!("{} can't be opened", file.display())).because(error)
}

fn unreadable(file: &Path, what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::operator(Code::FileUnreadable, format!("{} can't be read as {what}", file.display())).because(error)
}

fn rows(file: &Path, delimiter: u8, sample: &Sample) -> Result<Seen> {
    let failed = |error| unreadable(file, "CSV", error);
    let mut input = open(file)?;
    skip_byte_order_mark(&mut input).map_err(|error| unreadable(file, "CSV", error))?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(input);
    let header = reader.headers().map_err(failed)?.clone();
    let mut seen = Seen::default();
    for row in reader.records().take(sample.records) {
        let row = row.map_err(failed)?;
        let value = |text: &'_ str| text.is_empty() || sample.nulls.iter().any(|null| null == text);
        seen.row(header.iter().zip(row.iter()).map(|(name, text)| (name, (!value(text)).then_some(text))));
    }
    Ok(seen)
}

fn skip_byte_order_mark(input: &mut BufReader<File>) -> std::io::Result<()> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if input.fill_buf()?.starts_with(MARK) {
        input.consume(MARK.len());
    }
    Ok(())
}

/// Objects one behind another, whatever stands between them; an array counts as what is in it.
fn values(file: &Path, most: usize) -> Result<Seen> {
    let (mut seen, mut left) = (Seen::default(), most);
    let mut input = open(file)?;
    skip_byte_order_mark(&mut input).map_err(|error| unreadable(file, "JSON", error))?;
    for value in serde_json::Deserializer::from_reader(input).into_iter::<Json>() {
        let value = value.map_err(|error| unreadable(file, "JSON", error))?;
        let records = if let Json::List(items) = value { items } else { vec![value] };
        for record in records.iter().take(left) {
            seen.value(record);
        }
        left = left.saturating_sub(records.len());
        if left == 0 {
            break;
        }
    }
    Ok(seen)
}

fn container(file: &Path) -> Result<Value> {
    let reader = apache_avro::Reader::new(open(file)?).map_err(|error| unreadable(file, "an Avro container", error))?;
    serde_json::to_value(reader.writer_schema()).map_err(|error| unreadable(file, "an Avro container", error))
}

fn parquet(file: &Path) -> Result<Value> {
    let input = File::open(file).map_err(|error| unopened(file, error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(input).map_err(|error| unreadable(file, "Parquet", error))?;
    let avro = AvroSchema::try_from(reader.schema().as_ref());
    let avro = avro.map_err(|error| {
        Fault::operator(Code::SchemaUnsupported, format!("{} has a column that Avro has no type for", file.display())).because(error)
    })?;
    let mut avro: Value = serde_json::from_str(&avro.json_string).map_err(|error| unreadable(file, "Parquet", error))?;
    tidy(&mut avro);
    Ok(avro)
}

/// Takes out what Arrow notes of its own, and gives nullable fields null as their default.
fn tidy(avro: &mut Value) {
    match avro {
        Value::Array(branches) => branches.iter_mut().for_each(tidy),
        Value::Object(parts) => {
            parts.retain(|key, _| !key.starts_with("arrow") && !key.starts_with("avro.") && key != "ARROW:schema");
            let nullable = parts.contains_key("name") && parts.get("type").is_some_and(|kind| kind[0] == "null");
            if nullable {
                parts.entry("default").or_insert(Value::Null);
            }
            parts.values_mut().for_each(tidy);
        }
        _ => {}
    }
}
