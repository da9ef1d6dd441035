//! The log of one partition: batches in memory or in segment files, and what follows from them.

pub(crate) mod batch;
mod producers;
mod segments;
mod transactions;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::Notify;

use batch::{Batch, Header, first_at_or_after, marker_commits};
use producers::{Admission, Producers};
use segments::{Place, Segments, read_at};
pub(crate) use transactions::Aborted;
use transactions::PartitionTransactions;

/// Which records a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// All.
    Uncommitted,
    /// Those before the last stable offset; the reader leaves aborted ones out.
    Committed,
}

/// Where the bytes of a batch are.
#[derive(Debug, Clone)]
enum Stored {
    Memory([Bytes; 2]),
    File(Place),
}

/// A batch in the log.
#[derive(Debug)]
struct Entry {
    base: i64,
    last: i64,
    max_timestamp: i64,
    size: usize,
    stored: Stored,
}

impl Entry {
    fn file(&self) -> Option<&Arc<File>> {
        match &self.stored {
            Stored::Memory(_) => None,
            Stored::File(place) => Some(&place.file),
        }
    }

    fn bytes(&self) -> io::Result<Bytes> {
        match &self.stored {
            Stored::Memory(parts) => Ok(parts.concat().into()),
            Stored::File(place) => read_at(&place.file, place.position, self.size),
        }
    }
}

/// The offsets of a log at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) start: i64,
    /// The offset that the next record gets; with one replica also the high watermark.
    pub(crate) end: i64,
    pub(crate) last_stable: i64,
}

impl Offsets {
    /// Where reading ends for `isolation`.
    pub(crate) fn limit(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::Uncommitted => self.end,
            Isolation::Committed => self.last_stable,
        }
    }
}

/// What a read found: batches to be loaded once the log is no longer locked.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) offsets: Offsets,
    pub(crate) bytes: usize,
    pub(crate) aborted: Vec<Aborted>,
    pieces: Vec<Piece>,
}

impl Found {
    fn take(&mut self, entry: &Entry) {
        self.bytes += entry.size;
        match (&entry.stored, self.pieces.last_mut()) {
            (Stored::Memory(parts), _) => self.pieces.push(Piece::Memory(parts.clone())),
            (Stored::File(place), Some(Piece::File { file, length, .. })) if Arc::ptr_eq(file, &place.file) => *length += entry.size,
            (Stored::File(place), _) => {
                self.pieces.push(Piece::File { file: Arc::clone(&place.file), position: place.position, length: entry.size });
            }
        }
    }

    /// The bytes of the batches, in order.
    pub(crate) fn load(self) -> io::Result<Vec<Bytes>> {
        let mut bytes = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            match piece {
                Piece::Memory(parts) => bytes.extend(parts),
                Piece::File { file, position, length } => bytes.push(read_at(&file, position, length)?),
            }
        }
        Ok(bytes)
    }
}

#[derive(Debug)]
enum Piece {
    Memory([Bytes; 2]),
    /// Batches that follow each other in one file are read at once.
    File {
        file: Arc<File>,
        position: u64,
        length: usize,
    },
}

/// How many bytes a read may return; `at_least_one` batch even if it is larger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) partition: usize,
    pub(crate) response: usize,
    pub(crate) at_least_one: bool,
}

impl Room {
    /// Whether a batch of `size` bytes fits after `taken` bytes of this partition. A first batch may exceed the partition's room, so that
    /// a large batch holds no reader up.
    fn takes(&self, taken: usize, size: usize) -> bool {
        match taken {
            0 => self.at_least_one || size <= self.response,
            _ => taken + size <= self.partition.min(self.response),
        }
    }
}

/// The log of one partition. Offsets rise by one from record to record, markers included.
#[derive(Debug, Default)]
pub(crate) struct PartitionLog {
    start: i64,
    end: i64,
    entries: Vec<Entry>,
    segments: Option<Segments>,
    producers: Producers,
    transactions: PartitionTransactions,
    waiting: Vec<Weak<Notify>>,
    deleted: bool,
}

impl PartitionLog {
    /// A log in files under `folder`: what is there is read, a torn tail removed. Records before `start` count as deleted.
    pub(crate) fn open(folder: &Path, start: i64) -> io::Result<Self> {
        let mut log = Self::default();
        let segments = Segments::open(folder, |header, bytes, place| log.restore(&header, bytes, place))?;
        log.segments = Some(segments);
        log.end = log.end.max(start);
        log.delete_before(start)?;
        Ok(log)
    }

    /// Appends what a producer sent, and returns the offset of its first record; of a repeated batch, the offset that it had.
    pub(crate) fn produce(&mut self, batch: &Batch) -> Result<i64, ResponseError> {
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        match self.producers.admit(&batch.header)? {
            Admission::Repeated(base_offset) => Ok(base_offset),
            Admission::New => {
                self.transactions.admit(&batch.header)?;
                self.append(batch)
            }
        }
    }

    /// Announces that the producer will write to this partition in its transaction.
    pub(crate) fn add_to_transaction(&mut self, producer_id: i64, producer_epoch: i16) {
        self.transactions.add(producer_id, producer_epoch);
    }

    /// Ends the producer's transaction here by a marker; nothing when it has no part here, so it may be repeated.
    pub(crate) fn end_transaction(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        committed: bool,
        time: i64,
    ) -> Result<(), ResponseError> {
        if self.deleted || !self.transactions.concerns(producer_id) {
            return Ok(());
        }
        let offset = self.append(&Batch::marker(producer_id, producer_epoch, committed, time))?;
        self.transactions.ended(producer_id, committed, offset);
        Ok(())
    }

    /// Producers with an open transaction.
    pub(crate) fn open_producers(&self) -> Vec<i64> {
        self.transactions.open_producers()
    }

    /// The log's offsets now.
    pub(crate) fn offsets(&self) -> Offsets {
        Offsets { start: self.start, end: self.end, last_stable: self.transactions.last_stable_offset(self.end) }
    }

    /// The batches from the one that holds offset `from`, as many as there is room for.
    pub(crate) fn read(&self, from: i64, isolation: Isolation, room: Room) -> Result<Found, ResponseError> {
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let offsets = self.offsets();
        if from < self.start || from > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let limit = offsets.limit(isolation);
        let first = self.entries.partition_point(|entry| entry.last < from);
        let mut found = Found { offsets, bytes: 0, aborted: Vec::new(), pieces: Vec::new() };
        let mut end = from;
        for entry in self.entries[first..].iter().take_while(|entry| entry.base < limit) {
            if !room.takes(found.bytes, entry.size) {
                break;
            }
            found.take(entry);
            end = entry.last + 1;
        }
        if isolation == Isolation::Committed {
            found.aborted = self.transactions.aborted_between(from, end);
        }
        Ok(found)
    }

    /// The offset and timestamp of the first record at or after `time` (milliseconds since 1970) below `isolation`'s limit.
    /// Inside a compressed batch, whose records are not read here, it is the batch's first offset, at or before the record.
    pub(crate) fn find_time(&self, time: i64, isolation: Isolation) -> io::Result<Option<(i64, i64)>> {
        let limit = self.offsets().limit(isolation);
        let mut below = self.entries.iter().take_while(|entry| entry.base < limit);
        let Some(entry) = below.find(|entry| entry.max_timestamp >= time) else {
            return Ok(None);
        };
        let exact = first_at_or_after(&entry.bytes()?, time);
        let (offset, timestamp) = exact.unwrap_or((entry.base, entry.max_timestamp));
        Ok(Some((offset.max(self.start), timestamp)))
    }

    /// The offset and timestamp of the record with the latest timestamp (KIP-734), found as [`PartitionLog::find_time`] does.
    pub(crate) fn find_latest_time(&self) -> io::Result<Option<(i64, i64)>> {
        let latest = self.entries.iter().map(|entry| entry.max_timestamp).max();
        latest.map_or(Ok(None), |time| self.find_time(time, Isolation::Uncommitted))
    }

    /// Deletes the records before `offset`; those of a batch that reaches beyond it are only hidden. Returns the new start.
    pub(crate) fn delete_before(&mut self, offset: i64) -> io::Result<i64> {
        self.start = self.start.max(offset);
        let kept = self.entries.partition_point(|entry| entry.last < self.start);
        self.entries.drain(..kept);
        if let Some(segments) = &mut self.segments {
            let first = self.entries.first().and_then(Entry::file).cloned();
            segments.remove_unneeded(|file| first.as_ref().is_some_and(|needed| Arc::ptr_eq(needed, file)))?;
        }
        Ok(self.start)
    }

    /// Deletes the partition: nothing can be written or read any more, and its files are gone.
    pub(crate) fn delete(&mut self) -> io::Result<()> {
        self.deleted = true;
        self.entries.clear();
        self.wake();
        self.segments.take().map_or(Ok(()), |segments| segments.remove())
    }

    /// Wakes `reader` at the next change.
    pub(crate) fn wake_at_change(&mut self, reader: &Arc<Notify>) {
        self.waiting.retain(|waiting| waiting.strong_count() > 0 && waiting.as_ptr() != Arc::as_ptr(reader));
        self.waiting.push(Arc::downgrade(reader));
    }

    fn append(&mut self, batch: &Batch) -> Result<i64, ResponseError> {
        let base_offset = self.end;
        let placed = batch.placed(base_offset);
        let stored = match &mut self.segments {
            None => Stored::Memory(placed),
            Some(segments) => Stored::File(segments.append(base_offset, &placed).map_err(storage_error)?),
        };
        self.take(&batch.header, base_offset, stored);
        self.wake();
        Ok(base_offset)
    }

    /// Takes note of a batch that is stored.
    fn take(&mut self, header: &Header, base: i64, stored: Stored) {
        let last = base + i64::from(header.last_offset_delta);
        self.entries.push(Entry { base, last, max_timestamp: header.max_timestamp, size: header.size, stored });
        self.end = last + 1;
        self.producers.appended(header, base);
        self.transactions.appended(header, base);
    }

    /// Takes note of a batch found in a file.
    fn restore(&mut self, header: &Header, bytes: &[u8], place: Place) {
        self.take(header, header.base_offset, Stored::File(place));
        if header.is_control() {
            self.transactions.ended(header.producer_id, marker_commits(bytes), header.base_offset);
        }
    }

    fn wake(&mut self) {
        for reader in self.waiting.drain(..) {
            if let Some(reader) = reader.upgrade() {
                reader.notify_one();
            }
        }
    }
}

/// What a client is told when a file can't be written or read; the log says why.
#[allow(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(crate) fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "the data directory can't be written or read");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests;
