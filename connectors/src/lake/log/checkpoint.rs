//! Checkpoints: what the versions of a log up to one come to, as Parquet, so that nobody need read them all.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use arrow_json::ReaderBuilder;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use bytes::Bytes;
use millrace_model::Result;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;

use super::entry::{Entry, Remove, now};
use super::snapshot::{Contents, Snapshot};
use super::{FOLDER, Place, version};
use crate::lake::fault::{damaged, defect};

/// Where the newest one is told; a hint only.
const LAST: &str = "_delta_log/_last_checkpoint";
/// How long a file that was removed is told of, in milliseconds: until then readers of earlier versions may want it.
const TOLD: i64 = 7 * 24 * 3_600_000;
/// The columns that are read of a writer's own facts, and of files.
const FACTS: [&str; 3] = ["protocol", "metaData", "txn"];
const FILES: [&str; 14] = [
    "add.path",
    "add.partitionValues",
    "add.size",
    "add.modificationTime",
    "add.dataChange",
    "add.stats",
    "add.tags",
    "remove.path",
    "remove.deletionTimestamp",
    "remove.dataChange",
    "remove.extendedFileMetadata",
    "remove.partitionValues",
    "remove.size",
    "remove.tags",
];

/// A checkpoint that is a file of the log, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lake) struct Checkpoint {
    pub(in crate::lake) version: i64,
    files: Vec<String>,
    parts: usize,
}

impl Checkpoint {
    /// Whether all of its parts are there.
    pub(super) fn is_whole(&self) -> bool {
        self.files.len() == self.parts
    }

    pub(super) async fn read(&self, place: &Place, contents: Contents) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in &self.files {
            let bytes = place.get(file).await?.ok_or_else(|| damaged(format!("{file} is gone")))?;
            entries.extend(decoded(bytes, contents).map_err(|error| damaged(format!("{file}: {error}")))?);
        }
        Ok(entries)
    }
}

/// Adds the checkpoint that a file is one of, or a part of one.
pub(super) fn add(name: &str, checkpoints: &mut Vec<Checkpoint>) {
    let Some((number, rest)) = name.split_once(".checkpoint.") else { return };
    let Some(version) = version(number) else { return };
    let parts = match rest.strip_suffix("parquet").map(|rest| rest.trim_end_matches('.')) {
        Some("") => 1,
        Some(rest) => match rest.split_once('.').map(|(_, parts)| parts.parse()) {
            Some(Ok(parts)) => parts,
            _ => return,
        },
        None => return,
    };
    let file = format!("{FOLDER}/{name}");
    match checkpoints.iter_mut().find(|found| found.version == version && found.parts == parts) {
        Some(found) => found.files.push(file),
        None => checkpoints.push(Checkpoint { version, files: vec![file], parts }),
    }
}

/// The version that the hint names.
pub(super) async fn last(place: &Place) -> Result<Option<i64>> {
    #[derive(Deserialize)]
    struct Hint {
        version: i64,
    }
    let hint = place.get(LAST).await?;
    // A hint that can't be read is none.
    Ok(hint.and_then(|text| serde_json::from_slice::<Hint>(&text).ok()).map(|hint| hint.version))
}

/// Writes the checkpoint of a snapshot, and the hint.
pub(super) async fn write(place: &Place, snapshot: &Snapshot) -> Result<()> {
    let entries = entries(snapshot, now() - TOLD);
    let bytes = encoded(&entries).map_err(defect)?;
    let hint = serde_json::json!({ "version": snapshot.version, "size": entries.len() });
    place.put(&format!("{FOLDER}/{:020}.checkpoint.parquet", snapshot.version), &Bytes::from(bytes)).await?;
    place.put(LAST, &Bytes::from(hint.to_string())).await
}

/// All that is so at the snapshot's version; of files that were removed, those of after `since`.
fn entries(snapshot: &Snapshot, since: i64) -> Vec<Entry> {
    let facts = snapshot.protocol.clone().map(Entry::of_protocol).into_iter().chain(snapshot.metadata.clone().map(Entry::of_metadata));
    let applications = snapshot.applications.values().cloned().map(Entry::of_txn);
    let mut entries: Vec<Entry> = facts.chain(applications).collect();
    if let Some(files) = &snapshot.files {
        let is_told = |remove: &&Remove| remove.deletion_timestamp.is_some_and(|at| at > since);
        let unchanged = |remove: Remove| Entry::of_remove(Remove { data_change: false, ..remove });
        entries.extend(files.live.values().cloned().map(Entry::of_add));
        entries.extend(files.removed.values().filter(is_told).cloned().map(unchanged));
    }
    entries
}

fn encoded(entries: &[Entry]) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(schema());
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).build_decoder()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_coerce_types(true).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    for part in entries.chunks(10_000) {
        decoder.serialize(part)?;
        if let Some(batch) = decoder.flush()? {
            writer.write(&batch)?;
        }
    }
    writer.into_inner()
}

fn decoded(bytes: Bytes, contents: Contents) -> Result<Vec<Entry>, ArrowError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let columns = FACTS.iter().chain(if contents == Contents::All { &FILES[..] } else { &[] });
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.copied());
    let mut entries = Vec::new();
    for batch in builder.with_projection(mask).build()? {
        // Else a null in a map would be no entry of it.
        let mut lines = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        lines.write(&batch?)?;
        lines.finish()?;
        let text = lines.into_inner();
        let parsed = serde_json::Deserializer::from_slice(&text).into_iter::<Entry>();
        for entry in parsed {
            entries.push(entry.map_err(|error| ArrowError::JsonError(error.to_string()))?);
        }
    }
    Ok(entries)
}

fn schema() -> Schema {
    let (text, long, int, flag) = (DataType::Utf8, DataType::Int64, DataType::Int32, DataType::Boolean);
    let protocol =
        group(&[("minReaderVersion", &int), ("minWriterVersion", &int), ("readerFeatures", &list()), ("writerFeatures", &list())]);
    let format = group(&[("provider", &text), ("options", &map())]);
    let metadata = group(&[
        ("id", &text),
        ("name", &text),
        ("description", &text),
        ("format", &format),
        ("schemaString", &text),
        ("partitionColumns", &list()),
        ("configuration", &map()),
        ("createdTime", &long),
    ]);
    let txn = group(&[("appId", &text), ("version", &long), ("lastUpdated", &long)]);
    let add = group(&[
        ("path", &text),
        ("partitionValues", &map()),
        ("size", &long),
        ("modificationTime", &long),
        ("dataChange", &flag),
        ("stats", &text),
        ("tags", &map()),
    ]);
    let remove = group(&[
        ("path", &text),
        ("deletionTimestamp", &long),
        ("dataChange", &flag),
        ("extendedFileMetadata", &flag),
        ("partitionValues", &map()),
        ("size", &long),
        ("tags", &map()),
    ]);
    Schema::new(fields(&[("protocol", &protocol), ("metaData", &metadata), ("txn", &txn), ("add", &add), ("remove", &remove)]))
}

fn fields(of: &[(&str, &DataType)]) -> Fields {
    of.iter().map(|(name, kind)| Field::new(*name, (*kind).clone(), true)).collect()
}

fn group(of: &[(&str, &DataType)]) -> DataType {
    DataType::Struct(fields(of))
}

fn list() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
}

/// From text to text, which may be null.
fn map() -> DataType {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::log::{Add, MetaData, Txn, needed};

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::new(Contents::All);
        let metadata =
            serde_json::json!({ "id": "1", "format": { "provider": "parquet" }, "schemaString": "{}", "partitionColumns": ["day"] });
        let metadata: MetaData = serde_json::from_value(metadata).expect("is one");
        let values = [("day".to_owned(), None), ("kind".to_owned(), Some("a".to_owned()))].into();
        let add = |path: &str| Add {
            path: path.into(),
            partition_values: Clone::clone(&values),
            size: 7,
            modification_time: 1,
            data_change: true,
            stats: Some(r#"{"numRecords":2}"#.into()),
            tags: None,
        };
        let remove = |path: &str, at| -> Remove {
            serde_json::from_value(serde_json::json!({ "path": path, "deletionTimestamp": at, "dataChange": true })).expect("is one")
        };
        snapshot.version = 12;
        snapshot.apply(Entry::of_protocol(needed(true, None)));
        snapshot.apply(Entry::of_metadata(metadata));
        snapshot.apply(Entry::of_txn(Txn { app_id: "a".into(), version: 3, last_updated: Some(1) }));
        snapshot.apply(Entry::of_txn(Txn { app_id: "a".into(), version: 9, last_updated: None }));
        for path in ["one", "two", "three"] {
            snapshot.apply(Entry::of_add(add(path)));
        }
        snapshot.apply(Entry::of_remove(remove("two", 50)));
        snapshot.apply(Entry::of_remove(remove("three", 500)));
        snapshot
    }

    #[test]
    fn a_checkpoint_says_what_the_versions_before_it_came_to() {
        let entries = entries(&snapshot(), 100);
        let bytes = Bytes::from(encoded(&entries).expect("writes"));
        let read = decoded(bytes.clone(), Contents::All).expect("reads");
        assert_eq!(read, entries);
        assert_eq!(read.iter().filter_map(|entry| entry.add.as_ref()).map(|add| add.path.as_str()).collect::<Vec<_>>(), ["one"]);
        assert_eq!(read.iter().filter_map(|entry| entry.remove.as_ref()).map(|file| file.path.as_str()).collect::<Vec<_>>(), ["three"]);
        let facts = decoded(bytes, Contents::Facts).expect("reads");
        assert!(facts.iter().all(|entry| entry.add.is_none() && entry.remove.is_none()));
        assert_eq!(facts.iter().filter_map(|entry| entry.txn.as_ref()).map(|txn| txn.version).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn a_checkpoint_of_several_files_counts_when_all_of_them_are_there() {
        let mut found = Vec::new();
        let name = |part: usize| format!("00000000000000000010.checkpoint.{part:010}.0000000002.parquet");
        add(&name(1), &mut found);
        assert!(!found[0].is_whole());
        add(&name(2), &mut found);
        add("00000000000000000020.checkpoint.parquet", &mut found);
        add("_last_checkpoint", &mut found);
        assert_eq!(found.iter().map(|one| (one.version, one.is_whole())).collect::<Vec<_>>(), [(10, true), (20, true)]);
    }
}
