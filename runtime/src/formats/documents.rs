//! JSON documents: one array of records, or records one after the other, with or without white space between them.

mod nesting;
mod scanner;

use millrace_model::{Fault, Result, Schema};

use super::blocks::{self, Block, Blocks, Bytes, Opening};
use super::json::JsonReader;
use super::numbered::Numbered;
use scanner::Scanner;

/// A JSON document, open.
pub struct JsonDocument {
    opening: Opening,
    reader: JsonReader,
    scanner: Scanner,
    /// The number of the next record.
    next: u64,
    /// Why nothing follows what was brought last.
    damaged: Option<Fault>,
}

impl std::fmt::Debug for JsonDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonDocument").field("opening", &self.opening).field("next", &self.next).finish_non_exhaustive()
    }
}

impl JsonDocument {
    /// Opens a document of records of `schema`: those of the document itself, or of the array that `names` lead to from it. Records before
    /// [`Opening::from`] are scanned, not parsed.
    pub fn open(file: Box<dyn Bytes>, schema: &Schema, names: &[String], opening: Opening) -> Result<Self> {
        let mut scanner = Scanner::new(file, opening.limit);
        if !names.is_empty() {
            scanner.descend(names)?;
        }
        let mut document = Self { reader: JsonReader::new(schema)?, scanner, next: 0, damaged: None, opening };
        while document.next < document.opening.from && document.scanner.record()?.is_some() {
            document.next += 1;
        }
        Ok(document)
    }
}

impl Blocks for JsonDocument {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        let Self { opening, scanner, damaged, next, .. } = &mut *self;
        let mut numbered = Numbered::new(opening, *next, rows);
        let found = blocks::bring(rows, damaged, || {
            let Some(found) = scanner.record()? else { return Ok(false) };
            numbered.push_cut(scanner.text(&found), found.length);
            Ok(true)
        });
        if found? == 0 {
            return Ok(None);
        }
        let originals = numbered.finish();
        let parsed = self.reader.read(&originals.records)?;
        let block = originals.block(parsed, |number| format!("record {}", number + 1))?;
        self.next = block.next;
        Ok(Some(block))
    }
}

#[cfg(test)]
mod tests;
