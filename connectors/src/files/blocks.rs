//! The records of a file of a block format.

use std::sync::Arc;

use millrace_model::{Rejected, Result, Schema, Stage};
use millrace_runtime::formats::blocks::{Block, Blocks, Bytes, Opening};
use millrace_runtime::formats::{AvroFile, JsonDocument, ParquetFile, Sheet, SheetOptions, XmlDocument};

use super::config::Config;
use super::format::BlockFormat;
use super::lines::broken_off;
use super::source::{LIMITS, Step, Taken};
use super::thread::on_thread;

/// Reads a file's records, on a thread that may block.
pub(super) struct BlockReader {
    place: String,
    /// Absent while a thread reads.
    blocks: Option<Box<dyn Blocks>>,
    next: u64,
}

impl BlockReader {
    /// Opens a file at the record of that number. Blocks.
    pub(super) fn open(
        place: String,
        file: Box<dyn Bytes>,
        (format, config): (BlockFormat, &Config),
        schema: &Schema,
        topic: Arc<str>,
        from: u64,
    ) -> Result<Self> {
        let opening = Opening { topic, from, limit: LIMITS.row };
        let blocks = blocks(file, format, config, schema, opening).map_err(|fault| fault.at(&place))?;
        Ok(Self { place, blocks: Some(blocks), next: from })
    }

    /// The number of the next record.
    pub(super) fn at(&self) -> u64 {
        self.next
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> Result<Step> {
        let Some(mut blocks) = self.blocks.take() else {
            return Err(broken_off(&self.place));
        };
        let read = on_thread(move || {
            let block = blocks.next(LIMITS.rows);
            (blocks, block)
        });
        let (blocks, block) = read.await?;
        self.blocks = Some(blocks);
        match block.map_err(|fault| fault.at(&self.place))? {
            None => Ok(Step::End),
            Some(block) => Ok(Step::Taken(self.taken(block))),
        }
    }

    fn taken(&mut self, block: Block) -> Taken {
        self.next = block.next;
        let records = block.batch.origin().records();
        let rejected = block.rejected.into_iter().map(|rejection| Rejected::new(records, Stage::Read, rejection)).collect();
        Taken { rejected, batch: block.batch }
    }
}

/// A line for each format.
fn blocks(file: Box<dyn Bytes>, format: BlockFormat, config: &Config, schema: &Schema, opening: Opening) -> Result<Box<dyn Blocks>> {
    match format {
        BlockFormat::Json => {
            let names: Vec<String> = config.records.iter().flat_map(|names| names.split('.')).map(str::to_owned).collect();
            Ok(Box::new(JsonDocument::open(file, schema, &names, opening)?))
        }
        BlockFormat::Avro => Ok(Box::new(AvroFile::open(file, schema, opening)?)),
        BlockFormat::Parquet => Ok(Box::new(ParquetFile::open(file, schema, opening)?)),
        BlockFormat::Xml => Ok(Box::new(XmlDocument::open(file, schema, config.record_path()?, &config.null, opening)?)),
        BlockFormat::Excel => Ok(Box::new(Sheet::open(file, schema, &sheet(config), opening)?)),
    }
}

fn sheet(config: &Config) -> SheetOptions {
    SheetOptions {
        sheet: config.sheet.as_ref().map(ToString::to_string),
        header_row: config.header_row,
        columns: config.columns.clone(),
        nulls: config.null.clone(),
    }
}
