//! The records of a text of lines: NDJSON or CSV, read from an offset on.

use std::io::Read as _;
use std::sync::Arc;

use jiff::Timestamp;
use millrace_model::{Batch, Code, Fault, Record, Records, RecordsBuilder, Rejected, Rejection, Result, Schema, Stage};
use millrace_runtime::formats::csv::{CsvReader, Dialect, header};
use millrace_runtime::formats::{JsonReader, Parsed};

use super::compression::{self, Stream};
use super::config::Compression;
use super::following::Following;
use super::local::Local;
use super::position::LineAt;
use super::rows::{Cutter, Row, line_end, line_ends, without_line_end};
use super::source::{LIMITS, Limits, Step, Taken};
use super::store::unreadable;
use super::thread::{blocking, on_thread};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the text comes from.
pub(super) enum Text {
    /// A file on this machine that may grow.
    Growing { local: Local, name: String },
    /// One that is followed over its rotation. Absent while a thread reads.
    Following(Option<Box<Following>>),
    /// Bytes that come once in their order; their end is the end. Absent while a thread reads.
    Stream { stream: Option<Stream>, compression: Compression },
}

/// What reads a text's rows.
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

/// What a text is read as.
pub(super) struct LineFormat {
    pub(super) schema: Schema,
    /// CSV, and the names of its columns where the file does not have them; NDJSON without.
    pub(super) csv: Option<(Dialect, Option<Vec<String>>)>,
}

/// Reads a text's records.
///
/// - A record's value is the line as it stands in the text, its offset the byte at which it begins.
/// - The position has the byte, the line and the header, so reading goes on in mid-file exactly, whatever quotes came before.
/// - A text may grow. Its last line, as long as it has no line end, waits until nobody has written for two seconds; then it is a
///   record. What is written after that is a new line: no byte is read twice.
/// - A line of more than 900,000 bytes is rejected alone; its dead letter holds its beginning and says where it stands.
pub(super) struct LineReader {
    text: Text,
    /// For people.
    place: String,
    topic: Arc<str>,
    schema: Schema,
    dialect: Dialect,
    cutter: Cutter,
    rows: Rows,
    at: LineAt,
    /// What has been read from `at` on.
    buffer: Vec<u8>,
    /// Why nothing comes after the buffer, where the file is damaged.
    damage: Option<Fault>,
    pub(super) limits: Limits,
}

impl LineReader {
    pub(super) fn new(text: Text, place: String, topic: Arc<str>, format: LineFormat, at: LineAt) -> Result<Self> {
        let LineFormat { schema, csv } = format;
        let (dialect, cutter, rows) = match csv {
            None => (Dialect::default(), Cutter::Lines, Rows::Json(JsonReader::new(&schema)?)),
            Some((dialect, columns)) => {
                let names = at.header.clone().or(columns);
                let reader = names.map(|names| csv_reader(&place, &schema, &names, &dialect)).transpose()?;
                let cutter = Cutter::csv(dialect.delimiter);
                (dialect, cutter, Rows::Csv(reader))
            }
        };
        Ok(Self { text, place, topic, schema, dialect, cutter, rows, at, buffer: Vec::new(), damage: None, limits: LIMITS })
    }

    /// How far it has read.
    pub(super) fn at(&self) -> &LineAt {
        &self.at
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> Result<Step> {
        loop {
            let at_end = self.fill().await?;
            self.pass_over_the_overlong();
            let has_header = !self.needs_header() || self.take_header(at_end).await?;
            if has_header && let Some(taken) = self.take(false)? {
                return Ok(Step::Taken(taken));
            }
            // What came before the damage is brought first.
            if let Some(fault) = self.damage.take() {
                return Err(fault);
            }
            if !has_header {
                return if at_end && self.is_final().await? { Ok(Step::End) } else { Ok(Step::Pending) };
            }
            if at_end {
                if !self.is_final().await? {
                    return Ok(Step::Pending);
                }
                return Ok(self.take(true)?.map_or(Step::End, Step::Taken));
            }
        }
    }

    /// Reads until there is more than the longest row, and tells whether the text ends there.
    async fn fill(&mut self) -> Result<bool> {
        while self.buffer.len() <= self.limits.row {
            if self.damage.is_some() {
                return Ok(true);
            }
            let read = self.read(self.at.offset + self.buffer.len() as u64, self.limits.chunk).await?;
            if read.is_empty() {
                return Ok(true);
            }
            self.buffer.extend_from_slice(&read);
            self.drop_byte_order_mark();
        }
        Ok(false)
    }

    async fn read(&mut self, from: u64, chunk: usize) -> Result<Vec<u8>> {
        match &mut self.text {
            Text::Growing { local, name } => {
                let name = name.clone();
                blocking(local, move |local| read_growing(local, &name, from, chunk)).await
            }
            Text::Following(following) => {
                let Some(reading) = following.take() else { return Err(broken_off(&self.place)) };
                let beginning = self.at.beginning;
                let (text, reading) = on_thread(move || (reading.read(from, chunk, beginning), reading)).await?;
                *following = Some(reading);
                text
            }
            Text::Stream { stream, compression } => {
                let Some(mut reading) = stream.take() else { return Err(broken_off(&self.place)) };
                let (reading, text, error) = on_thread(move || {
                    let mut text = Vec::with_capacity(chunk);
                    let read = reading.by_ref().take(chunk as u64).read_to_end(&mut text);
                    (reading, text, read.err())
                })
                .await?;
                *stream = Some(reading);
                match error.map(|error| compression::fault(&self.place, *compression, error)) {
                    Some(fault) if fault.code() == Code::FileDamaged => self.damage = Some(fault),
                    Some(fault) => return Err(fault),
                    None => {}
                }
                Ok(text)
            }
        }
    }

    /// Whether what ends here stays as it is.
    async fn is_final(&mut self) -> Result<bool> {
        match &mut self.text {
            Text::Stream { .. } => Ok(true),
            Text::Growing { local, name } => {
                let name = name.clone();
                let facts = blocking(local, move |local| local.facts(&name)).await?;
                Ok(facts.is_none_or(|facts| facts.is_whole))
            }
            Text::Following(following) => {
                let Some(asked) = following.take() else { return Err(broken_off(&self.place)) };
                let (over, asked) = on_thread(move || (asked.is_over(), asked)).await?;
                *following = Some(asked);
                over
            }
        }
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
    async fn take_header(&mut self, at_end: bool) -> Result<bool> {
        let gap = self.cutter.gap(&self.buffer);
        if self.buffer.len() == gap {
            self.advance(gap);
            return Ok(false);
        }
        let end = match self.cutter.row(&self.buffer[gap..], self.limits.row, false) {
            Row::Whole(end) => end,
            Row::Unfinished if at_end && self.damage.is_none() && self.is_final().await? => self.buffer.len() - gap,
            Row::Unfinished => return Ok(false),
            Row::Overlong => return Err(unreadable(&self.place, "its first line is too long for a header")),
        };
        let names = header(&self.buffer[gap..gap + end], self.dialect.delimiter).map_err(|why| unreadable(&self.place, &why))?;
        self.rows = Rows::Csv(Some(csv_reader(&self.place, &self.schema, &names, &self.dialect)?));
        self.at.header = Some(names);
        self.advance(gap + end);
        Ok(true)
    }

    /// The rows that are in the buffer; `last` says that the last of them needs no line end.
    fn take(&mut self, last: bool) -> Result<Option<Taken>> {
        let cut = self.cut(last);
        if cut.rows.is_empty() && cut.overlong {
            return Ok(Some(self.take_overlong(cut.bytes)));
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
        Ok(Some(Taken { rejected: rejected.collect(), batch: parsed.batch }))
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
        let now = Timestamp::now().as_millisecond();
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
    fn take_overlong(&mut self, gap: usize) -> Taken {
        self.advance(gap);
        let kept = self.limits.kept.min(self.buffer.len());
        let mut builder = RecordsBuilder::new(Arc::clone(&self.topic), 1);
        builder.push(&self.record(0, Timestamp::now().as_millisecond(), &self.buffer[..kept]));
        let records = Arc::new(builder.finish());
        let reason = format!(
            "line {}: longer than {} bytes; here are its first {kept}, the file has all of it from byte {} on",
            self.at.line, self.limits.row, self.at.offset
        );
        self.advance(kept);
        self.at.skipping = true;
        let rejected = vec![Rejected::new(&records, Stage::Read, Rejection::new(0, Code::KafkaTooLarge, reason))];
        Taken { batch: no_rows(&self.schema, &records), rejected }
    }
}

/// No row of the schema, made of these records.
pub(super) fn no_rows(schema: &Schema, records: &Arc<Records>) -> Batch {
    let columns = arrow::array::RecordBatch::new_empty(Arc::clone(schema.arrow()));
    Batch::new(columns, millrace_model::Origin::of(Arc::clone(records), Vec::<u32>::new()))
}

/// A pull was dropped while a thread was reading. Nothing is lost: the file is opened anew where its position is.
pub(super) fn broken_off(place: &str) -> Fault {
    Fault::passing(Code::Io, format!("{place}: reading broke off; it is begun anew"))
}

fn csv_reader(place: &str, schema: &Schema, names: &[String], dialect: &Dialect) -> Result<CsvReader> {
    CsvReader::new(schema, names, dialect.clone()).map_err(|fault| fault.at(place))
}

/// What stands there, unless the file is shorter than what had been read.
fn read_growing(local: &Local, name: &str, from: u64, chunk: usize) -> Result<Vec<u8>> {
    let text = local.read_at(name, from, chunk)?;
    let length = if text.is_empty() { local.facts(name)?.map_or(0, |facts| facts.bytes) } else { u64::MAX };
    if length >= from {
        return Ok(text);
    }
    let why = format!("it has {length} bytes, of which {from} had been read: a file may grow, new data belong in a file of another name");
    Err(Fault::operator(Code::FileChanged, format!("{}: {why}", local.path(name).display())))
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
