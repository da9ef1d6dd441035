//! Which files are read, and how.

use millrace_runtime::project::{Millis, PathOrUrl, Scalar};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::objects::ObjectStoreConfig;

/// Files that are read once each, in the order of their names: on this machine, or in an object store.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Files")]
pub struct Config {
    /// A path, relative to the project's folder, or a URL (`s3://bucket/in/*.csv`, `az://container/…`, `gs://bucket/…`,
    /// `https://host/…`), or a pattern: `*` for any part of a name, `**` for any folders.
    pub path: PathOrUrl,
    /// How the object store of a URL is reached. What it does not say, or all of it, comes from the environment, by the names that
    /// each store's own tools know.
    #[serde(default)]
    pub store: Option<Box<ObjectStoreConfig>>,
    /// What the files are. Without it the extension says: `.csv`, `.ndjson` or `.jsonl`, `.json`, `.avro`, `.parquet`, `.xml`, and `.xlsx`, `.xls` or
    /// `.ods` for `excel`.
    #[serde(default)]
    pub format: Option<Format>,
    /// How the files are compressed. Without it the extension says: `.gz`, `.zst`, `.zip`.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// Which files are read, and up to when.
    #[serde(default)]
    pub mode: Mode,
    /// How often new files are looked for. Without it 5 s on this machine, 30 s elsewhere.
    #[serde(default)]
    pub interval: Option<Millis>,
    /// What becomes of a file that changed after it was read, or while it was.
    #[serde(default)]
    pub on_change: OnChange,
    /// What becomes of a file when all of it is durable in Kafka.
    #[serde(default)]
    pub after: After,
    /// The topic that gets a record for each file that was read (`schemas/file_read.avsc`), in the transaction of the file's last
    /// records; `null` for none.
    #[serde(default = "manifest")]
    pub manifest: Option<String>,
    /// For JSON: the names, with `.` between them, that lead to the array of records, such as `data.orders`; without it the array is the document.
    #[serde(default)]
    pub records: Option<String>,
    /// For XML: the element that is a record, by its name wherever it is (`order`), or by its path from the root (`shop/orders/order`).
    #[serde(default)]
    pub record: Option<String>,
    /// For Excel: the sheet, by its name or by its number from 1; the first without it.
    #[serde(default)]
    pub sheet: Option<Scalar>,
    /// For Excel: the number of the row with the names of the columns; the first that is not empty without it.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub header_row: Option<u32>,
    /// Texts that stand for null in CSV, XML and Excel, such as `NA`. An unquoted empty field is null too, where the schema allows it.
    #[serde(default)]
    pub null: Vec<String>,
    /// What stands between the fields of a CSV line.
    #[serde(default = "comma")]
    #[schemars(length(equal = 1))]
    pub delimiter: char,
    /// The names of the columns of CSV files that have no header line, and of sheets without one. Without it the first line has them.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde's signature")]
fn manifest() -> Option<String> {
    Some("millrace.files".into())
}

fn comma() -> char {
    ','
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON object on each line.
    Ndjson,
    /// A JSON array of objects, or objects one after the other.
    Json,
    /// An Avro object container file, its blocks plain or compressed by deflate, snappy or zstandard.
    Avro,
    /// Parquet. Columns that the schema has not are not read.
    Parquet,
    /// XML; `record` names the elements that are records.
    Xml,
    /// A sheet of a workbook of Excel (`.xlsx`, `.xls`) or OpenDocument (`.ods`).
    Excel,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all, whatever its extension says.
    None,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
    /// A zip archive: each file in it is read, in the archive's order; its own extension says what it is.
    Zip,
}

/// Which files are read, and up to when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Those that are there when the pipeline starts.
    Once,
    /// Those and the ones that come. A CSV or NDJSON file on this machine that has grown is read on.
    #[default]
    Watch,
    /// Those that grow, followed over their rotation as `tail -F` does: CSV and NDJSON on this machine, not compressed. A last
    /// line without its end waits. A file is no end of its own: what rotation renames it to, by adding to its name, is not read again.
    Growing,
}

/// What becomes of a file that is not the one that was read under its name: an object with another entity tag, a file that
/// begins differently or is shorter than before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// It is not read and shows the pipeline halted; other files go on.
    #[default]
    Halt,
    /// It is a new file: all of it is read.
    ReadAgain,
}

/// What becomes of a file when all of it is durable in Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
    /// It is moved to this folder, under its name below the pattern's folder: a path relative to the project's folder, or the
    /// URL of a folder in the same bucket or container. An object that is there is replaced; a file makes the pipeline halt.
    Move(PathOrUrl),
}
