//! One file as a source, read from a position on.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Fault, Finished, Position, Pulled, Record, RecordsBuilder, Rejected, Rejection, Result, Schema, Source, Stage,
};

use super::blocks::BlockReader;
use super::compression::Packed;
use super::config::{After, Compression, Config, Mode, OnChange};
use super::following::{Following, Traced};
use super::format::Reading;
use super::lines::{LineFormat, LineReader, Text, no_rows};
use super::position::At;
use super::store::{Facts, Opened, Raw, Store, unreadable};
use super::thread::{blocking, on_thread};

/// How much is read and handed out at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of one read.
    pub(super) chunk: usize,
    /// Bytes of one row. Leaves room for headers in a record of Kafka's default size limit.
    pub(super) row: usize,
    /// Bytes that are kept of a longer line.
    pub(super) kept: usize,
    /// Rows of one batch.
    pub(super) rows: usize,
}

pub(super) const LIMITS: Limits = Limits { chunk: 1 << 20, row: 900_000, kept: 1 << 16, rows: 5_000 };

/// What a reader has next.
pub(super) enum Step {
    Taken(Taken),
    /// Nothing as yet: more may come.
    Pending,
    /// Nothing more.
    End,
}

/// Rows and rejections of a file.
pub(super) struct Taken {
    pub(super) batch: Batch,
    pub(super) rejected: Vec<Rejected>,
}

/// What is read at present.
enum Reader {
    Lines(Box<LineReader>),
    Blocks(BlockReader),
}

impl Reader {
    async fn next(&mut self) -> Result<Step> {
        match self {
            Self::Lines(lines) => lines.next().await,
            Self::Blocks(blocks) => blocks.next().await,
        }
    }
}

/// One file as a [`Source`].
///
/// - A file that may grow (lines, on this machine, not compressed) is known by what it begins with, and must not shrink. Every
///   other is read as a whole, in one version: by its entity tag, or by what the file system knows. A file that is another one than
///   was read under its name is a fault, or a new file, as `on_change` says.
/// - A file on this machine that is read as a whole is left alone until nobody has written to it for two seconds.
/// - The last rows of a file come with [`Pulled::finished`].
/// - A file that is damaged in its middle ends there, with one rejection that says so.
pub struct FileSource {
    config: Arc<Config>,
    store: Store,
    split: String,
    schema: Schema,
    at: At,
    /// Of the version that is being read.
    facts: Option<Facts>,
    reader: Option<Reader>,
    /// What was read and is not handed out yet, and how far that is: a pull may be dropped while it looks ahead.
    held: Option<(Taken, At)>,
    /// What was read one step further, and how far that is.
    ahead: Option<Result<(Taken, At)>>,
    complete: bool,
    /// Whether it is durable that all of the file has been read.
    durable: bool,
    limits: Limits,
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource").field("split", &self.split).field("at", &self.at).finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for FileSource {
    async fn next(&mut self) -> Result<Option<Pulled>> {
        let pulled = self.pull().await;
        if pulled.is_err() {
            self.held = None;
        }
        match pulled {
            Err(fault) if fault.code() == Code::FileDamaged => self.end_damaged(&fault).map(Some),
            Err(fault) if fault.code() == Code::FileChanged && self.config.mode == Mode::Growing => self.pull_rotated(&fault).await,
            Err(fault) if fault.code() == Code::FileChanged && self.may_be_another() => {
                tracing::warn!(file = self.place(), %fault, "it is read as a new file");
                self.restart();
                self.pull().await
            }
            other => other,
        }
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    async fn settled(&mut self, position: &Position) -> Result<()> {
        self.durable = At::of(position)?.ended;
        Ok(())
    }
}

impl FileSource {
    pub(super) fn new(config: Arc<Config>, store: Store, split: &str, schema: &Schema, position: Option<&Position>) -> Result<Self> {
        let at = position.map_or(Ok(At::default()), At::of)?;
        let (split, schema, durable) = (split.to_owned(), schema.clone(), at.ended);
        Ok(Self {
            config,
            store,
            split,
            schema,
            at,
            facts: None,
            reader: None,
            held: None,
            ahead: None,
            complete: false,
            durable,
            limits: LIMITS,
        })
    }

    fn place(&self) -> String {
        self.store.place(&self.split)
    }

    /// What the file's records have as their topic.
    fn topic(&self, part: Option<&str>) -> Arc<str> {
        let generation = if self.at.generation > 0 { format!("#{}", self.at.generation) } else { String::new() };
        let part = part.map_or_else(String::new, |part| format!("/{part}"));
        format!("file:{}{generation}{part}", self.split).into()
    }

    async fn pull(&mut self) -> Result<Option<Pulled>> {
        if self.held.is_some() {
            return self.with_end().await;
        }
        if self.at.ended && !self.goes_on().await? {
            if self.durable {
                self.store.dispose(&self.split, &self.config.after).await?;
            }
            self.complete = true;
            return Ok(None);
        }
        match self.step().await? {
            Some((taken, at)) => {
                self.at = at.clone();
                self.held = Some((taken, at));
                self.with_end().await
            }
            None if self.at.ended => self.finished().await.map(Some),
            None => {
                // What is followed has no end: all that is there has been brought.
                self.complete = self.config.mode == Mode::Growing;
                Ok(None)
            }
        }
    }

    /// Whether there is more of a file that had been read to its end.
    async fn goes_on(&mut self) -> Result<bool> {
        let Some(facts) = self.store.facts(&self.split).await? else { return Ok(false) };
        match &self.at.version {
            Some(version) if *version != facts.version => return Err(self.changed("it is not the version that was read")),
            Some(_) => return Ok(false),
            None => {}
        }
        if facts.bytes < self.at.lines.offset {
            return Err(self.changed("it is shorter than what had been read"));
        }
        self.recognise().await?;
        let goes_on = facts.bytes > self.at.lines.offset;
        self.at.ended = !goes_on;
        Ok(goes_on)
    }

    /// Makes sure that a file that may grow begins as the one did that was read.
    async fn recognise(&mut self) -> Result<()> {
        let (Store::Local(local), beginning) = (&self.store, self.at.lines.beginning) else { return Ok(()) };
        let name = self.split.clone();
        let text = blocking(local, move |local| local.read_at(&name, 0, beginning.bytes())).await?;
        if beginning.is_of(&text) {
            return Ok(());
        }
        Err(self.changed("it does not begin as the file did that was read under its name"))
    }

    /// Whether a file that changed is a new one: as the configuration says, and always when the one that was read should be gone.
    fn may_be_another(&self) -> bool {
        self.config.on_change == OnChange::ReadAgain || (self.config.after != After::Keep && self.at.ended)
    }

    /// What comes next of a followed file that was rotated.
    async fn pull_rotated(&mut self, fault: &Fault) -> Result<Option<Pulled>> {
        if self.at.ended {
            self.restart();
            return self.pull().await;
        }
        if self.reader.take().is_none() {
            return self.end_damaged(fault).map(Some);
        }
        // It was truncated while it was followed; there may be a copy.
        self.ahead = None;
        match self.open_following().await {
            Ok(true) => self.pull().await,
            Ok(false) => Ok(None),
            Err(lost) if lost.code() == Code::FileChanged => {
                tracing::warn!(file = self.place(), "it was truncated; what had not been read by then is in no file of its folder");
                self.at.ended = true;
                self.finished().await.map(Some)
            }
            Err(fault) => Err(fault),
        }
    }

    /// What comes next and how far it is; nothing when there is nothing, which may be the end.
    async fn step(&mut self) -> Result<Option<(Taken, At)>> {
        if let Some(ahead) = self.ahead.take() {
            return ahead.map(Some);
        }
        loop {
            if self.reader.is_none() && !self.open().await? {
                return Ok(None);
            }
            let Some(reader) = &mut self.reader else { return Ok(None) };
            match reader.next().await? {
                Step::Taken(taken) => return Ok(Some((taken, self.now_at()))),
                Step::Pending => return Ok(None),
                Step::End => self.end_part(),
            }
            if self.at.ended {
                return Ok(None);
            }
        }
    }

    /// How far the reader has come.
    fn now_at(&self) -> At {
        match &self.reader {
            Some(Reader::Lines(lines)) => At { lines: lines.at().clone(), ..self.at.clone() },
            Some(Reader::Blocks(blocks)) => At { record: blocks.at(), ..self.at.clone() },
            None => self.at.clone(),
        }
    }

    /// Opens what is to be read; tells whether there is something.
    async fn open(&mut self) -> Result<bool> {
        let Some(facts) = self.store.facts(&self.split).await? else {
            return Err(unreadable(&self.place(), "it is gone"));
        };
        let compression = self.config.compression_of(&self.split);
        if self.config.mode == Mode::Growing {
            self.facts = Some(facts);
            return self.open_following().await;
        }
        if let (Compression::None, Store::Local(_)) = (compression, &self.store)
            && let Some(format) = self.line_format(self.config.reading_of(&self.split)?)?
        {
            self.facts = Some(facts);
            return self.open_growing(format).await.map(|()| true);
        }
        if !facts.is_whole {
            return Ok(false);
        }
        match &self.at.version {
            Some(version) if *version != facts.version => return Err(self.changed("it changed while it was read")),
            None if self.at.has_begun() => return Err(self.changed("it was read as a file that grows")),
            _ => self.at.version = Some(facts.version.clone()),
        }
        self.facts = Some(facts);
        if compression == Compression::Zip { self.open_in_archive().await } else { self.open_whole(compression).await.map(|()| true) }
    }

    fn line_format(&self, reading: Reading) -> Result<Option<LineFormat>> {
        let csv = match reading {
            Reading::Blocks(_) => return Ok(None),
            Reading::Ndjson => None,
            Reading::Csv => Some((self.config.dialect()?, self.config.columns.clone())),
        };
        Ok(Some(LineFormat { schema: self.schema.clone(), csv }))
    }

    async fn open_growing(&mut self, format: LineFormat) -> Result<()> {
        let Store::Local(local) = self.store.clone() else { return Ok(()) };
        if self.at.version.is_some() {
            return Err(self.changed("it was read as a whole before"));
        }
        self.recognise().await?;
        let text = Text::Growing { local, name: self.split.clone() };
        self.read_lines(text, self.topic(None), format)
    }

    /// Opens the file that is followed, wherever rotation has put it; tells whether there is one.
    async fn open_following(&mut self) -> Result<bool> {
        let Store::Local(local) = &self.store else { return Ok(false) };
        let (compression, reading) = (self.config.compression_of(&self.split), self.config.reading_of(&self.split)?);
        let (Compression::None, Some(format)) = (compression, self.line_format(reading)?) else {
            return Err(unreadable(&self.place(), "only CSV and NDJSON, not compressed, can be followed as they grow"));
        };
        let (name, inode, offset, beginning) = (self.split.clone(), self.at.inode, self.at.lines.offset, self.at.lines.beginning);
        match blocking(local, move |local| Following::open(local, &name, inode, offset, beginning)).await? {
            Traced::Absent => Ok(false),
            Traced::Lost => {
                let why = format!("it was rotated while nobody read it, and what followed byte {offset} is in no file of its folder");
                Err(Fault::operator(Code::FileChanged, format!("{}: {why}", self.place())))
            }
            Traced::Open(following) => {
                self.at.inode = Some(following.inode());
                self.read_lines(Text::Following(Some(Box::new(following))), self.topic(None), format)?;
                Ok(true)
            }
        }
    }

    fn read_lines(&mut self, text: Text, topic: Arc<str>, format: LineFormat) -> Result<()> {
        let mut lines = LineReader::new(text, self.place(), topic, format, self.at.lines.clone())?;
        lines.limits = self.limits;
        self.reader = Some(Reader::Lines(Box::new(lines)));
        Ok(())
    }

    /// Opens a file that is no archive.
    async fn open_whole(&mut self, compression: Compression) -> Result<()> {
        let reading = self.config.reading_of(&self.split)?;
        let facts = self.facts.clone().ok_or_else(|| self.gone())?;
        // What is not compressed is entered where reading goes on.
        let from = if compression == Compression::None { self.at.lines.offset } else { 0 };
        let Some(format) = self.line_format(reading)? else {
            let packed = Packed { place: self.place(), compression, bytes: self.store.open(&self.split, &facts).await? };
            return self.read_blocks(reading, self.topic(None), move || packed.whole()).await;
        };
        let packed = Packed { place: self.place(), compression, bytes: self.store.open_at(&self.split, from, &facts).await? };
        let pass = self.at.lines.offset - from;
        let stream = on_thread(move || packed.stream(pass)).await??;
        self.read_lines(Text::Stream { stream: Some(stream), compression }, self.topic(None), format)
    }

    /// Opens the file of the archive that is to be read; there is none behind the last.
    async fn open_in_archive(&mut self) -> Result<bool> {
        let facts = self.facts.clone().ok_or_else(|| self.gone())?;
        let packed = Packed { place: self.place(), compression: Compression::Zip, bytes: self.store.open(&self.split, &facts).await? };
        let part = self.at.part as usize;
        let entry = on_thread(move || {
            let archive = packed.archive()?;
            let Some(name) = archive.names()?.into_iter().nth(part) else { return Ok(None) };
            archive.file(&name).map(|file| Some((name, file)))
        });
        let Some((name, file)) = entry.await?? else {
            self.at.ended = true;
            return Ok(false);
        };
        let reading = self.config.reading_of(&name).map_err(|fault| fault.at(&self.place()))?;
        let (topic, from) = (self.topic(Some(&name)), self.at.lines.offset);
        match self.line_format(reading)? {
            Some(format) => {
                let packed = Packed { place: self.place(), compression: Compression::None, bytes: Opened::File(Raw(file)) };
                let stream = on_thread(move || packed.stream(from)).await??;
                self.read_lines(Text::Stream { stream: Some(stream), compression: Compression::None }, topic, format)?;
            }
            None => self.read_blocks(reading, topic, move || Ok(Box::new(file))).await?,
        }
        Ok(true)
    }

    async fn read_blocks(
        &mut self,
        reading: Reading,
        topic: Arc<str>,
        file: impl FnOnce() -> Result<Box<dyn millrace_runtime::formats::blocks::Bytes>> + Send + 'static,
    ) -> Result<()> {
        let Reading::Blocks(format) = reading else { return Ok(()) };
        let (place, schema, from, config) = (self.place(), self.schema.clone(), self.at.record, self.config.clone());
        let opened = on_thread(move || BlockReader::open(place, file()?, (format, &config), &schema, topic, from)).await??;
        self.reader = Some(Reader::Blocks(opened));
        Ok(())
    }

    /// The reader is at its end, which is the file's unless an archive has more.
    fn end_part(&mut self) {
        let at = self.now_at();
        self.reader = None;
        let archive = self.config.compression_of(&self.split) == Compression::Zip;
        self.at = if archive { at.next_part() } else { At { ended: true, ..at } };
    }

    /// What is held, and whether it was the last: that is seen by reading one step further.
    async fn with_end(&mut self) -> Result<Option<Pulled>> {
        let ahead = if self.at.ended { Ok(None) } else { self.step().await };
        let ended = matches!(ahead, Ok(None)) && self.at.ended;
        self.ahead = ahead.transpose();
        let finished = if ended { Some(self.finish().await?) } else { None };
        let Some((taken, at)) = self.held.take() else { return Ok(None) };
        if finished.is_none() {
            // Parts that were passed on the way belong to what comes after.
            self.at = at;
        }
        Ok(Some(Pulled { batch: taken.batch, rejected: taken.rejected, position: self.at.position(&self.split)?, finished }))
    }

    /// The end of a file whose last rows are already out, or that has none.
    async fn finished(&mut self) -> Result<Pulled> {
        let finished = Some(self.finish().await?);
        let records = Arc::new(RecordsBuilder::new(self.topic(None), 0).finish());
        Ok(Pulled { batch: no_rows(&self.schema, &records), rejected: Vec::new(), position: self.at.position(&self.split)?, finished })
    }

    /// What the file was, unless it became another meanwhile.
    async fn finish(&mut self) -> Result<Finished> {
        let facts = self.store.facts(&self.split).await?.or_else(|| self.facts.clone()).ok_or_else(|| self.gone())?;
        if self.at.version.as_ref().is_some_and(|version| *version != facts.version) {
            return Err(self.changed("it changed while it was read"));
        }
        Ok(Finished { place: self.place(), bytes: facts.bytes, version: facts.version })
    }

    /// One rejection stands for the rest of a damaged file.
    fn end_damaged(&mut self, fault: &Fault) -> Result<Pulled> {
        let at = At { ended: true, ..self.now_at() };
        let topic = self.topic(None);
        let offset = at.lines.offset.max(at.record) as i64;
        let mut records = RecordsBuilder::new(Arc::clone(&topic), 1);
        let timestamp = jiff::Timestamp::now().as_millisecond();
        records.push(&Record { topic: &topic, partition: 0, offset, timestamp, key: None, value: None, headers: &[] });
        let records = Arc::new(records.finish());
        let text = fault.to_string();
        let reason = text.strip_prefix(&format!("{}: ", fault.code())).unwrap_or(&text);
        let rejected = vec![Rejected::new(&records, Stage::Read, Rejection::new(0, fault.code(), reason))];
        let facts = self.facts.clone().ok_or_else(|| self.gone())?;
        let finished = Some(Finished { place: self.place(), bytes: facts.bytes, version: facts.version });
        (self.at, self.reader) = (at, None);
        Ok(Pulled { batch: no_rows(&self.schema, &records), rejected, position: self.at.position(&self.split)?, finished })
    }

    /// The file is read as another one.
    fn restart(&mut self) {
        (self.at, self.reader, self.ahead) = (self.at.of_another(), None, None);
    }

    fn changed(&self, why: &str) -> Fault {
        let message = format!("{}: {why}: new data belong in a file of another name", self.place());
        Fault::operator(Code::FileChanged, message)
    }

    fn gone(&self) -> Fault {
        unreadable(&self.place(), "it is gone")
    }
}

#[cfg(test)]
mod tests;
