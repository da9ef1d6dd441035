//! One file, read from a position on.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use millrace_model::{Code, Fault, Position, Pulled, Record, Records, RecordsBuilder, Rejected, Rejection, Result, Schema, Source, Stage};
use millrace_runtime::formats::csv::{CsvReader, Dialect, header};
use millrace_runtime::formats::{JsonReader, Parsed};
use serde::{Deserialize, Serialize};

use super::beginning::Beginning;
use super::config::{Config, Format};
use super::listing::unreadable;
use super::rows::{Cutter, Row, line_end, line_ends, without_line_end};

/// How much is read and handed out at once.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of one read.
    chunk: usize,
    /// Bytes of one row. Leaves room for headers in a record of Kafka's default size limit.
    row: usize,
    /// Bytes that are kept of a longer line.
    kept: usize,
    /// Rows of one batch.
    rows: usize,
}

const LIMITS: Limits = Limits { chunk: 1 << 20, row: 900_000, kept: 1 << 16, rows: 5_000 };

/// A file whose last line has no line end is taken to be whole when nobody has written to it for so long.
const QUIET: Duration = Duration::from_secs(2);

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How far a file has been read; the value of its [`Position`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct At {
    /// Bytes that are done with.
    offset: u64,
    /// The number of the next line, from 1.
    line: u64,
    /// The names of the columns of a CSV file, once its header has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Vec<String>>,
    /// Whether the offset is within a line that was too long, whose rest is passed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    skipping: bool,
    /// What the file began with.
    #[serde(default)]
    beginning: Beginning,
}

impl Default for At {
    fn default() -> Self {
        Self { offset: 0, line: 1, header: None, skipping: false, beginning: Beginning::default() }
    }
}

/// One file as a [`Source`]: NDJSON or CSV.
///
/// - A record's value is the line as it stands in the file, its offset the byte at which it begins.
/// - The position has the byte, the line and the header, so reading goes on in mid-file exactly, whatever
///   quotes came before.
/// - A file may grow. Its last line, as long as it has no line end, waits until nobody has written for two seconds;
///   then it is a record. What is written after that is a new line: no byte is read twice.
/// - A file must not shrink or be written anew under the same name: that is a fault for an operator. It is seen by the file's
///   length, and when a file is opened by the bytes that it begins with.
/// - A line of more than 900,000 bytes is rejected alone; its dead letter holds its beginning and says where it stands.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    split: String,
    topic: Arc<str>,
    schema: Schema,
    dialect: Dialect,
    cutter: Cutter,
    rows: Rows,
    at: At,
    /// Whether the file was seen to be the one that the position is of.
    known: bool,
    /// What has been read from `at` on.
    buffer: Vec<u8>,
    limits: Limits,
    now: fn() -> Timestamp,
}

/// What reads a file's rows.
#[derive(Debug)]
enum Rows {
    Json(JsonReader),
    /// Absent until the header has been read.
    Csv(Option<CsvReader>),
}

impl Rows {
    fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        match self {
            Self::Json(reader) => reader.read(records),
            Self::Csv(Some(reader)) => reader.read(records),
            Self::Csv(None) => Err(Fault::fatal(Code::Internal, "a CSV file's header comes before its rows")),
        }
    }
}

impl Config {
    /// Opens a split of [`Config::splits`] at `position`, or at its beginning.
    pub fn open(&self, split: &str, schema: &Schema, position: Option<&Position>) -> Result<FileSource> {
        let path = self.path_of(split);
        let at = position.map_or(Ok(At::default()), at_position)?;
        let dialect = Dialect { delimiter: self.delimiter_byte()?, nulls: self.null.clone() };
        let names = at.header.clone().or_else(|| self.columns.clone());
        let (cutter, rows) = match self.format_of(&path)? {
            Format::Ndjson => (Cutter::Lines, Rows::Json(JsonReader::new(schema)?)),
            Format::Csv => {
                let reader = names.map(|names| csv_reader(&path, schema, &names, &dialect)).transpose()?;
                (Cutter::csv(dialect.delimiter), Rows::Csv(reader))
            }
        };
        let topic = format!("file:{split}").into();
        let (split, schema, buffer) = (split.to_owned(), schema.clone(), Vec::new());
        let known = position.is_none();
        Ok(FileSource { path, split, topic, schema, dialect, cutter, rows, at, known, buffer, limits: LIMITS, now: Timestamp::now })
    }
}

fn at_position(position: &Position) -> Result<At> {
    serde_json::from_value(position.at.clone())
        .map_err(|error| Fault::fatal(Code::Internal, format!("the position of {} is not one of a file", position.split)).because(error))
}

fn csv_reader(path: &Path, schema: &Schema, names: &[String], dialect: &Dialect) -> Result<CsvReader> {
    CsvReader::new(schema, names, dialect.clone())
        .map_err(|fault| Fault::new(fault.code(), fault.retry(), format!("{}: {}", path.display(), fault.message())))
}

#[async_trait]
impl Source for FileSource {
    async fn next(&mut self) -> Result<Option<Pulled>> {
        loop {
            let at_end = self.fill().await?;
            self.recognise().await?;
            self.pass_over_the_overlong();
            if self.needs_header() && !self.take_header(at_end)? {
                return Ok(None);
            }
            if let Some(pulled) = self.take(false)? {
                return Ok(Some(pulled));
            }
            if at_end {
                return if self.is_quiet()? { self.take(true) } else { Ok(None) };
            }
        }
    }

    /// A file keeps what it has.
    async fn settled(&mut self, _position: &Position) -> Result<()> {
        Ok(())
    }
}

impl FileSource {
    /// Reads rows once more that were rejected, as they are or mended.
    pub fn reread(&self, records: &Arc<Records>) -> Result<Parsed> {
        self.rows.read(records)
    }

    /// Reads until there is more than the longest row, and tells whether the file ends there.
    async fn fill(&mut self) -> Result<bool> {
        while self.buffer.len() <= self.limits.row {
            let read = self.read(self.at.offset + self.buffer.len() as u64, self.limits.chunk).await?;
            if read.is_empty() {
                return Ok(true);
            }
            self.buffer.extend_from_slice(&read);
            self.drop_byte_order_mark();
        }
        Ok(false)
    }

    async fn read(&self, from: u64, chunk: usize) -> Result<Vec<u8>> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read_chunk(&path, from, chunk)).await;
        read.map_err(|error| Fault::fatal(Code::Internal, "reading a file panicked").because(error))?
    }

    /// Makes sure that the file is the one that was read up to the position.
    async fn recognise(&mut self) -> Result<()> {
        if !self.known {
            let text = self.read(0, self.at.beginning.bytes()).await?;
            self.known = self.at.beginning.is_of(&text);
        }
        let why = "it does not begin as the file did that was read under its name: new data belong in a file of another name";
        if self.known { Ok(()) } else { Err(unreadable(&self.path, why)) }
    }

    fn drop_byte_order_mark(&mut self) {
        if self.at.offset == 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.advance(BYTE_ORDER_MARK.len());
        }
    }

    /// Is done with the first `bytes` of the buffer.
    fn advance(&mut self, bytes: usize) {
        self.at.beginning.pass(self.at.offset, &self.buffer[..bytes]);
        self.at.line += line_ends(&self.buffer[..bytes]);
        self.at.offset += bytes as u64;
        self.buffer.drain(..bytes);
    }

    fn pass_over_the_overlong(&mut self) {
        if self.at.skipping {
            let end = line_end(&self.buffer);
            self.advance(end.unwrap_or(self.buffer.len()));
            self.at.skipping = end.is_none();
        }
    }

    fn needs_header(&self) -> bool {
        matches!(self.rows, Rows::Csv(None))
    }

    /// Reads the header, and tells whether it is there.
    fn take_header(&mut self, at_end: bool) -> Result<bool> {
        let gap = self.cutter.gap(&self.buffer);
        let text = &self.buffer[gap..];
        if text.is_empty() {
            return Ok(false);
        }
        let end = match self.cutter.row(text, self.limits.row, false) {
            Row::Whole(end) => end,
            Row::Unfinished if at_end && self.is_quiet()? => text.len(),
            Row::Unfinished => return Ok(false),
            Row::Overlong => return Err(unreadable(&self.path, "its first line is too long for a header")),
        };
        let names = header(&text[..end], self.dialect.delimiter).map_err(|why| unreadable(&self.path, &why))?;
        self.rows = Rows::Csv(Some(csv_reader(&self.path, &self.schema, &names, &self.dialect)?));
        self.at.header = Some(names);
        self.advance(gap + end);
        Ok(true)
    }

    /// The rows that are in the buffer; `last` says that the last of them needs no line end.
    fn take(&mut self, last: bool) -> Result<Option<Pulled>> {
        let cut = self.cut(last);
        if cut.rows.is_empty() && cut.overlong {
            return self.take_overlong(cut.bytes).map(Some);
        }
        if cut.rows.is_empty() {
            self.advance(cut.bytes);
            return Ok(None);
        }
        let (records, lines) = self.records(&cut);
        let parsed = self.rows.read(&records)?;
        self.advance(cut.bytes);
        let rejected = parsed.refused.iter().map(|refusal| {
            let reason = format!("line {}: {}", lines[refusal.record as usize], refusal.text());
            Rejected::new(&records, Stage::Read, Rejection::new(refusal.record, refusal.code, reason))
        });
        Ok(Some(Pulled { batch: parsed.batch, rejected: rejected.collect(), position: self.position()? }))
    }

    fn cut(&mut self, last: bool) -> Cut {
        let mut cut = Cut { rows: Vec::new(), bytes: 0, overlong: false };
        while cut.rows.len() < self.limits.rows {
            cut.bytes += self.cutter.gap(&self.buffer[cut.bytes..]);
            let text = &self.buffer[cut.bytes..];
            if text.is_empty() {
                break;
            }
            match self.cutter.row(text, self.limits.row, last) {
                Row::Whole(length) => {
                    cut.rows.push((cut.bytes, length));
                    cut.bytes += length;
                }
                Row::Overlong => {
                    cut.overlong = true;
                    break;
                }
                Row::Unfinished => break,
            }
        }
        cut
    }

    /// The records of the rows, and the line of each.
    fn records(&self, cut: &Cut) -> (Arc<Records>, Vec<u64>) {
        let now = (self.now)().as_millisecond();
        let mut builder = RecordsBuilder::new(Arc::clone(&self.topic), cut.rows.len());
        let mut lines = Vec::with_capacity(cut.rows.len());
        let (mut line, mut counted) = (self.at.line, 0);
        for &(start, length) in &cut.rows {
            line += line_ends(&self.buffer[counted..start]);
            counted = start;
            lines.push(line);
            let value = without_line_end(&self.buffer[start..start + length]);
            builder.push(&self.record(start, now, value));
        }
        (Arc::new(builder.finish()), lines)
    }

    fn record<'a>(&'a self, start: usize, timestamp: i64, value: &'a [u8]) -> Record<'a> {
        let offset = self.at.offset as i64 + start as i64;
        Record { topic: &self.topic, partition: 0, offset, timestamp, key: None, value: Some(value), headers: &[] }
    }

    /// The beginning of a line that is too long, rejected; the rest will be passed over.
    fn take_overlong(&mut self, gap: usize) -> Result<Pulled> {
        self.advance(gap);
        let kept = self.limits.kept.min(self.buffer.len());
        let mut builder = RecordsBuilder::new(Arc::clone(&self.topic), 1);
        builder.push(&self.record(0, (self.now)().as_millisecond(), &self.buffer[..kept]));
        let records = Arc::new(builder.finish());
        let none = self.rows.read(&Arc::new(RecordsBuilder::new(Arc::clone(&self.topic), 0).finish()))?;
        let reason = format!(
            "line {}: longer than {} bytes; here are its first {kept}, the file has all of it from byte {} on",
            self.at.line, self.limits.row, self.at.offset
        );
        self.advance_within_line(kept);
        let rejected = vec![Rejected::new(&records, Stage::Read, Rejection::new(0, Code::KafkaTooLarge, reason))];
        Ok(Pulled { batch: none.batch, rejected, position: self.position()? })
    }

    fn advance_within_line(&mut self, bytes: usize) {
        self.advance(bytes);
        self.at.skipping = true;
    }

    fn position(&self) -> Result<Position> {
        let at = serde_json::to_value(&self.at).map_err(|error| Fault::fatal(Code::Internal, "a position is JSON").because(error))?;
        Ok(Position { split: self.split.clone(), at })
    }

    /// Whether nobody has written to the file for a while.
    fn is_quiet(&self) -> Result<bool> {
        let modified = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        let modified = modified.map_err(|error| unreadable(&self.path, "it can't be read").because(error))?;
        let modified = Timestamp::try_from(modified).unwrap_or(Timestamp::MAX);
        Ok((self.now)().duration_since(modified) >= jiff::SignedDuration::try_from(QUIET).unwrap_or_default())
    }
}

/// Rows found in the buffer.
struct Cut {
    /// The start and the length of each.
    rows: Vec<(usize, usize)>,
    /// How many bytes they take, with what is between them.
    bytes: usize,
    /// Whether a line follows that is too long.
    overlong: bool,
}

/// At most `chunk` bytes of the file; none at its end. The file is opened anew each time, so that thousands of files
/// that have been read do not hold as many handles.
fn read_chunk(path: &Path, from: u64, chunk: usize) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| unreadable(path, "it can't be read").because(error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < from {
        let why =
            format!("it has {length} bytes, of which {from} had been read: a file may grow, new data belong in a file of another name");
        return Err(unreadable(path, &why));
    }
    let mut text = vec![0; chunk.min((length - from) as usize)];
    let read = file.read_at(&mut text, from).map_err(failed)?;
    text.truncate(read);
    Ok(text)
}

#[cfg(test)]
mod tests;
