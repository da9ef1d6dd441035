//! The files of a round: written as rows come, and told when all of them are there.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millrace_model::Result;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use uuid::Uuid;

use super::config::Config;
use super::fault::defect;
use super::layout::Layout;
use super::log::{Add, now};
use super::partition::Group;
use super::place::{Place, Upload};
use crate::crash_points::LAKE_FILE_AFTER;

/// How many bytes of rows wait in memory before they go into their files: those of all open files together.
const WAITING: usize = 64 << 20;
/// What the names of files written here begin with.
pub(super) const PREFIX: &str = "millrace-";

/// The files that a round writes.
pub(super) struct Files {
    properties: WriterProperties,
    file_size: usize,
    /// By the value of the partition column.
    open: BTreeMap<Option<String>, OpenFile>,
    /// Whole and durable.
    finished: Vec<Add>,
}

struct OpenFile {
    writer: ArrowWriter<Vec<u8>>,
    columns: SchemaRef,
    upload: Upload,
    rows: usize,
    uploaded: usize,
}

impl Files {
    pub(super) fn new(config: &Config) -> Self {
        let created_by = concat!("Millrace ", env!("CARGO_PKG_VERSION")).to_owned();
        let properties = WriterProperties::builder().set_compression(config.compression.codec()).set_created_by(created_by);
        let file_size = usize::try_from(config.file_size.bytes()).unwrap_or(usize::MAX);
        Self { properties: properties.build(), file_size, open: BTreeMap::new(), finished: Vec::new() }
    }

    /// Whether rows wait for their files to be finished.
    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether nothing has been written.
    pub(super) fn are_empty(&self) -> bool {
        self.open.is_empty() && self.finished.is_empty()
    }

    /// The files that are whole.
    pub(super) fn into_finished(self) -> Vec<Add> {
        self.finished
    }

    /// Writes rows into the files of their folders.
    pub(super) async fn write(&mut self, place: &Place, layout: &Layout, rows: RecordBatch) -> Result<()> {
        let groups = match &layout.folders {
            Some(folders) => folders.split(&rows).map_err(defect)?,
            None => vec![Group { value: None, rows }],
        };
        for group in groups {
            self.write_group(place, layout, group).await?;
        }
        self.relieve().await
    }

    async fn write_group(&mut self, place: &Place, layout: &Layout, group: Group) -> Result<()> {
        let Group { value, rows } = group;
        // A file has one set of columns.
        if self.open.get(&value).is_some_and(|file| file.columns != rows.schema()) {
            self.finish(value.clone(), layout).await?;
        }
        if !self.open.contains_key(&value) {
            let folder = layout.folders.as_ref().map(|folders| folders.folder(value.as_deref()) + "/").unwrap_or_default();
            let upload = place.begin(format!("{folder}{PREFIX}{}.parquet", Uuid::new_v4()));
            self.open.insert(value.clone(), OpenFile::new(upload, rows.schema(), self.properties.clone()).map_err(defect)?);
        }
        if let Some(file) = self.open.get_mut(&value) {
            file.write(&rows).await?;
            if file.size() >= self.file_size {
                self.finish(value, layout).await?;
            }
        }
        Ok(())
    }

    /// Takes rows out of memory, those of the file that has most of them first.
    async fn relieve(&mut self) -> Result<()> {
        while self.open.values().map(OpenFile::waiting).sum::<usize>() > WAITING {
            let Some(fullest) = self.open.values_mut().max_by_key(|file| file.waiting()) else { return Ok(()) };
            fullest.writer.flush().map_err(defect)?;
            fullest.send().await?;
        }
        Ok(())
    }

    /// Finishes all files.
    pub(super) async fn finish_all(&mut self, layout: &Layout) -> Result<()> {
        let values: Vec<Option<String>> = self.open.keys().cloned().collect();
        for value in values {
            self.finish(value, layout).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, value: Option<String>, layout: &Layout) -> Result<()> {
        let Some(file) = self.open.remove(&value) else { return Ok(()) };
        let values = layout.folders.iter().map(|folders| (folders.column.clone(), value.clone())).collect();
        let (rows, written) = (file.rows, file.finish().await?);
        LAKE_FILE_AFTER.reached()?;
        self.finished.push(Add {
            // What a URL has for a percent sign; nothing else of these names needs another form.
            path: written.path.replace('%', "%25"),
            partition_values: values,
            size: written.bytes as i64,
            modification_time: now(),
            data_change: true,
            stats: Some(json!({ "numRecords": rows }).to_string()),
            tags: None,
        });
        Ok(())
    }
}

/// A file that is there.
struct Written {
    path: String,
    bytes: usize,
}

impl OpenFile {
    fn new(upload: Upload, columns: SchemaRef, properties: WriterProperties) -> Result<Self, ParquetError> {
        // Types are those of Parquet and of the log: Arrow's own would say nothing more.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), SchemaRef::clone(&columns), options)?;
        Ok(Self { writer, columns, upload, rows: 0, uploaded: 0 })
    }

    async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows).map_err(defect)?;
        self.rows += rows.num_rows();
        self.send().await
    }

    /// What waits in memory.
    fn waiting(&self) -> usize {
        self.writer.in_progress_size()
    }

    /// About how large the file is.
    fn size(&self) -> usize {
        self.writer.bytes_written() + self.waiting()
    }

    /// Sends on what is written.
    async fn send(&mut self) -> Result<()> {
        let written = std::mem::take(self.writer.inner_mut());
        self.uploaded += written.len();
        if written.is_empty() { Ok(()) } else { self.upload.put(written).await }
    }

    async fn finish(mut self) -> Result<Written> {
        self.writer.finish().map_err(defect)?;
        self.send().await?;
        Ok(Written { path: self.upload.finish().await?, bytes: self.uploaded })
    }
}
