//! Real records: the flights of `data/flights-2013-q1.csv.gz`, as CSV, as JSON and as the rows they become.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

/// The Avro schema of a flight.
pub const SCHEMA: &str = include_str!("../../examples/flights/schemas/flight.avsc");

const TEXTS: [&str; 5] = ["carrier", "tailnum", "origin", "dest", "time_hour"];

/// Flights in the order of the file.
#[derive(Debug)]
pub struct Flights {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Flights {
    /// All 80,789 of them.
    pub fn all() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights-2013-q1.csv.gz");
        let unpacked = Command::new("gzip").arg("-dc").arg(&file).output().expect("gzip runs");
        let mut reader = csv::Reader::from_reader(unpacked.stdout.as_slice());
        let header = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
        Self { header, rows }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Cut into `count` parts of about the same size, in their order.
    pub fn parts(&self, count: usize) -> impl Iterator<Item = Self> {
        let size = self.rows.len().div_ceil(count);
        self.rows.chunks(size).map(|rows| Self { header: self.header.clone(), rows: rows.to_vec() })
    }

    /// As a CSV file with a header; null is `NA`.
    pub fn csv(&self) -> String {
        let lines = std::iter::once(&self.header).chain(&self.rows).map(|row| row.join(",") + "\n");
        lines.collect()
    }

    /// As NDJSON.
    pub fn ndjson(&self) -> String {
        self.rows.iter().map(|row| self.json(row).to_string() + "\n").collect()
    }

    /// One flight as JSON.
    pub fn first_json(&self) -> Value {
        self.json(&self.rows[0])
    }

    fn json(&self, row: &[String]) -> Value {
        let field = |(name, text): (&String, &String)| {
            let value = match text.as_str() {
                "NA" => Value::Null,
                text if TEXTS.contains(&name.as_str()) => json!(text),
                number => json!(number.parse::<i64>().expect("a number")),
            };
            (name.clone(), value)
        };
        Value::Object(self.header.iter().zip(row).map(field).collect::<Map<_, _>>())
    }

    /// The rows as [`crate::postgres::Warehouse::rows`] gives them, of these columns, in the same order.
    pub fn rows(&self, columns: &[&str]) -> Vec<String> {
        let places: Vec<usize> = columns.iter().map(|column| self.place(column)).collect();
        let text = |row: &[String], place: usize| if row[place] == "NA" { String::new() } else { row[place].clone() };
        let mut rows: Vec<String> =
            self.rows.iter().map(|row| places.iter().map(|&place| text(row, place)).collect::<Vec<_>>().join("|")).collect();
        rows.sort_unstable();
        rows
    }

    fn place(&self, column: &str) -> usize {
        self.header.iter().position(|name| name == column).unwrap_or_else(|| panic!("flights have no {column}"))
    }
}
