//! What files are: as the configuration says, else as their extensions do.
//!
//! A *line* format is read as text from a byte on. A *block* format is opened on a whole file and read by the record's number;
//! `millrace_runtime::formats::blocks` is what it must offer, and [`BlockFormat`] and `blocks.rs` have a line for each.

use millrace_model::{Code, Fault, Result};

use super::compression::extension;
use super::config::{Compression, Config, Format};
use super::store::unreadable;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Csv,
    Ndjson,
    Blocks(BlockFormat),
}

/// The block formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockFormat {
    Json,
    Avro,
    Parquet,
    Xml,
    Excel,
}

impl From<Format> for Reading {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::Ndjson => Self::Ndjson,
            Format::Json => Self::Blocks(BlockFormat::Json),
            Format::Avro => Self::Blocks(BlockFormat::Avro),
            Format::Parquet => Self::Blocks(BlockFormat::Parquet),
            Format::Xml => Self::Blocks(BlockFormat::Xml),
            Format::Excel => Self::Blocks(BlockFormat::Excel),
        }
    }
}

impl Format {
    fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            "avro" => Some(Self::Avro),
            "parquet" => Some(Self::Parquet),
            "xml" => Some(Self::Xml),
            "xlsx" | "xls" | "ods" => Some(Self::Excel),
            _ => None,
        }
    }
}

impl Config {
    /// How a file of that name is compressed.
    pub(super) fn compression_of(&self, name: &str) -> Compression {
        self.compression.unwrap_or_else(|| Compression::of(name))
    }

    /// How a file is read, once it is decompressed: `a.csv.gz` is CSV. For a file of an archive it is that file's name.
    pub(super) fn reading_of(&self, name: &str) -> Result<Reading> {
        if let Some(format) = self.format {
            return Ok(format.into());
        }
        let inner = match Compression::of(name) {
            Compression::None => name,
            _ => name.rsplit_once('.').map_or(name, |(inner, _)| inner),
        };
        let format = extension(inner).and_then(Format::of_extension);
        let why = "its extension does not say what it is; set `format: csv`, or what it is";
        format.map(Into::into).ok_or_else(|| unreadable(name, why))
    }
}

impl Config {
    /// The element that is a record; XML does not say by itself.
    pub(super) fn record_path(&self) -> Result<&str> {
        let missing = || Fault::operator(Code::ProjectSyntax, "XML needs `record`: the name of the element that is a record, or its path");
        self.record.as_deref().ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(settings: &serde_json::Value) -> Config {
        serde_json::from_value(settings.clone()).expect("a configuration")
    }

    #[test]
    fn the_extension_says_what_a_file_is() {
        let config = config(&json!({ "path": "in/*" }));
        assert_eq!(config.reading_of("a.csv").expect("known"), Reading::Csv);
        assert_eq!(config.reading_of("s3://b/a.csv.gz").expect("known"), Reading::Csv);
        assert_eq!(config.reading_of("a.jsonl").expect("known"), Reading::Ndjson);
        assert_eq!(config.reading_of("a.json.zst").expect("known"), Reading::Blocks(BlockFormat::Json));
        assert!(config.reading_of("a.txt.gz").expect_err("unknown").message().contains("set `format: csv`"));
    }

    #[test]
    fn what_the_configuration_says_counts_before_the_extension() {
        let config = config(&json!({ "path": "in/*", "format": "csv", "compression": "none" }));
        assert_eq!(config.reading_of("a.json").expect("known"), Reading::Csv);
        assert_eq!(config.compression_of("a.gz"), Compression::None);
    }
}
