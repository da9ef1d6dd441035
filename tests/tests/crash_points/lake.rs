//! A table of a lake on this machine, read by its log: the files that versions add are the table.

use std::fs::{self, File};
use std::path::Path;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// Its rows as `id|amount`; none while there is no table.
pub(crate) fn rows(table: &Path) -> Vec<String> {
    let Ok(log) = fs::read_dir(table.join("_delta_log")) else { return Vec::new() };
    let versions = log.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let files = versions.flat_map(|version| added(&fs::read_to_string(version).expect("a version")));
    files.flat_map(|file| rows_of(&table.join(file))).collect()
}

fn added(version: &str) -> Vec<String> {
    let entries = version.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    entries.filter_map(|entry| Some(entry["add"]["path"].as_str()?.to_owned())).collect()
}

fn rows_of(file: &Path) -> Vec<String> {
    let file = File::open(file).expect("a file that the log names");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("is read");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("rows");
        let ids = arrow::compute::cast(batch.column_by_name("id").expect("a column"), &arrow::datatypes::DataType::Utf8).expect("texts");
        let amounts = batch.column_by_name("amount").expect("a column").as_primitive::<Int32Type>();
        rows.extend((0..ids.len()).map(|row| format!("{}|{}", ids.as_string::<i32>().value(row), amounts.value(row))));
    }
    rows
}
