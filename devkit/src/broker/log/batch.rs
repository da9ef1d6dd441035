//! Record batches (message format v2), their records opaque.
//!
//! Base offset and leader epoch lie outside the checksum, so a broker can set them and pass every compression codec through.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{Compression, NO_SEQUENCE, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

/// Bytes of a batch's header, from base offset to record count.
pub(crate) const HEADER: usize = 61;
/// Bytes that a broker may set: base offset, length and leader epoch.
const PREFIX: usize = 16;
/// Bytes before the part that the length field counts.
const LENGTH_END: usize = 12;
/// Where the part that the checksum covers begins.
const CHECKED: usize = 21;
/// Where the timestamp stands to which those of its records are differences.
const BASE_TIMESTAMP: usize = 27;
/// The fewest bytes that a record without compression takes.
const SMALLEST_RECORD: usize = 7;

const COMPRESSION_BITS: i16 = 0x07;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const MAGIC: u8 = 2;

/// The fields of a batch's header that a broker looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Offset of its first record.
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub(crate) size: usize,
    pub(crate) magic: u8,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    /// The latest timestamp in it, in milliseconds since 1970.
    pub(crate) max_timestamp: i64,
    /// -1: not idempotent.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: i32,
}

impl Header {
    /// The header at the front of `bytes`; `None` when they are too few or its length can't be.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let size = usize::try_from(i32_at(bytes, 8)).ok()?.checked_add(LENGTH_END)?;
        (size >= HEADER).then(|| Self {
            base_offset: i64_at(bytes, 0),
            size,
            magic: bytes[16],
            attributes: i16_at(bytes, 21),
            last_offset_delta: i32_at(bytes, 23),
            max_timestamp: i64_at(bytes, 35),
            producer_id: i64_at(bytes, 43),
            producer_epoch: i16_at(bytes, 51),
            base_sequence: i32_at(bytes, 53),
            records: i32_at(bytes, 57),
        })
    }

    /// Whether it belongs to a transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether it holds a transaction's marker, not records.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether its producer numbers its records.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of its last record: sequences wrap from `i32::MAX` to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) % (i64::from(i32::MAX) + 1)) as i32
    }

    fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION_BITS != 0
    }

    /// Whether its counts agree with each other and with its size.
    fn is_consistent(&self) -> bool {
        let count = i64::from(self.records);
        let room = ((self.size - HEADER) / SMALLEST_RECORD) as i64;
        count > 0 && count == i64::from(self.last_offset_delta) + 1 && (self.is_compressed() || count <= room)
    }

    /// Whether it is a whole batch of format v2 that may follow offset `next`.
    pub(crate) fn may_follow(&self, next: i64) -> bool {
        self.magic == MAGIC && self.base_offset >= next && self.last_offset_delta >= 0
    }
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array_at(bytes, at..at + 2))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at..at + 4))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at..at + 8))
}

fn array_at<const N: usize>(bytes: &[u8], range: Range<usize>) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[range]);
    array
}

/// Whether the checksum of a whole batch is right.
pub(crate) fn checksum_holds(batch: &[u8]) -> bool {
    crc32c::crc32c(&batch[CHECKED..]) == i32_at(batch, CHECKED - 4) as u32
}

/// One batch that passed the checks, not yet in a log.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) header: Header,
    bytes: Bytes,
}

impl Batch {
    /// The one batch that a producer sent for a partition.
    pub(crate) fn produced(bytes: Bytes, max_bytes: usize) -> Result<Self, ResponseError> {
        let header = Header::read(&bytes).ok_or(ResponseError::CorruptMessage)?;
        if header.magic != MAGIC {
            return Err(ResponseError::UnsupportedForMessageFormat);
        }
        if header.size != bytes.len() {
            return Err(if header.size < bytes.len() { ResponseError::InvalidRecord } else { ResponseError::CorruptMessage });
        }
        if header.size > max_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        if !checksum_holds(&bytes) {
            return Err(ResponseError::CorruptMessage);
        }
        let claims = !header.is_idempotent() || (header.producer_epoch >= 0 && header.base_sequence >= 0);
        if header.is_control() || !header.is_consistent() || !claims || (header.is_transactional() && !header.is_idempotent()) {
            return Err(ResponseError::InvalidRecord);
        }
        Ok(Self { header, bytes })
    }

    /// A transaction's marker: `committed` or aborted, written at `time` (milliseconds since 1970).
    pub(crate) fn marker(producer_id: i64, producer_epoch: i16, committed: bool, time: i64) -> Self {
        let mut bytes = BytesMut::new();
        let record = marker_record(producer_id, producer_epoch, committed, time);
        RecordBatchEncoder::encode(&mut bytes, [&record], &RecordEncodeOptions { version: 2, compression: Compression::None })
            .expect("a marker is a batch of one record without compression");
        let header = Header::read(&bytes).expect("an encoded batch has a header");
        Self { header, bytes: bytes.freeze() }
    }

    /// Its bytes as they stand in a log at `base_offset`: a new prefix, and the rest as it came.
    pub(crate) fn placed(&self, base_offset: i64) -> [Bytes; 2] {
        let mut prefix = BytesMut::with_capacity(PREFIX);
        prefix.put_i64(base_offset);
        prefix.put_i32((self.header.size - LENGTH_END) as i32);
        prefix.put_i32(0);
        [prefix.freeze(), self.bytes.slice(PREFIX..)]
    }
}

/// Whether a marker commits. Markers are written by [`Batch::marker`] alone: the record's fields before its key take a byte each.
pub(crate) fn marker_commits(marker: &[u8]) -> bool {
    const KEY: usize = HEADER + 5;
    marker.len() >= KEY + 4 && i16_at(marker, KEY + 2) == 1
}

fn marker_record(producer_id: i64, producer_epoch: i16, committed: bool, time: i64) -> Record {
    let mut key = BytesMut::new();
    key.put_i16(0);
    key.put_i16(i16::from(committed));
    let mut value = BytesMut::new();
    value.put_i16(0);
    value.put_i32(0);
    Record {
        transactional: true,
        control: true,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id,
        producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
        timestamp: time,
        key: Some(key.freeze()),
        value: Some(value.freeze()),
        headers: IndexMap::new(),
    }
}

/// The offset and timestamp of the first record of a batch whose timestamp is `time` or later.
/// `None` when its records can't be read here, as compressed ones can't.
pub(crate) fn first_at_or_after(batch: &Bytes, time: i64) -> Option<(i64, i64)> {
    let header = Header::read(batch).filter(|header| !header.is_compressed())?;
    let base_timestamp = i64_at(batch, BASE_TIMESTAMP);
    let mut records = batch.slice(HEADER..);
    let record = || next_record(&mut records);
    let found = std::iter::from_fn(record).find(|(_, timestamp_delta)| base_timestamp.saturating_add(*timestamp_delta) >= time);
    found.map(|(offset_delta, timestamp_delta)| {
        (header.base_offset.saturating_add(offset_delta), base_timestamp.saturating_add(timestamp_delta))
    })
}

/// Offset and timestamp of the next record, as differences to the batch's first. What else is in it stays unread.
fn next_record(records: &mut Bytes) -> Option<(i64, i64)> {
    let length = usize::try_from(varint(records)?).ok()?;
    let mut record = (length <= records.len()).then(|| records.split_to(length))?;
    record.try_get_u8().ok()?; // attributes, none of which exists yet
    let timestamp_delta = varint(&mut record)?;
    Some((varint(&mut record)?, timestamp_delta))
}

/// A number of variable length, as in Protocol Buffers (`sint64`).
fn varint(bytes: &mut Bytes) -> Option<i64> {
    let mut zigzag = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of one record per timestamp, as a producer sends it.
    pub(crate) fn batch(producer_id: i64, producer_epoch: i16, base_sequence: i32, timestamps: &[i64], transactional: bool) -> Bytes {
        let records: Vec<Record> = timestamps
            .iter()
            .enumerate()
            .map(|(index, time)| Record {
                control: false,
                transactional,
                offset: index as i64,
                sequence: base_sequence + index as i32,
                value: Some(Bytes::from_static(b"value")),
                ..marker_record(producer_id, producer_epoch, false, *time)
            })
            .collect();
        let mut bytes = BytesMut::new();
        RecordBatchEncoder::encode(&mut bytes, &records, &RecordEncodeOptions { version: 2, compression: Compression::None }).unwrap();
        bytes.freeze()
    }

    fn refused(bytes: Bytes) -> ResponseError {
        Batch::produced(bytes, 1 << 20).unwrap_err()
    }

    #[test]
    fn a_batch_keeps_its_records_when_it_is_placed() {
        let produced = Batch::produced(batch(7, 1, 3, &[10, 20], true), 1 << 20).unwrap();
        let placed: Vec<u8> = produced.placed(42).concat();
        let header = Header::read(&placed).unwrap();
        assert_eq!((header.base_offset, header.records, header.last_sequence()), (42, 2, 4));
        assert!(header.is_transactional() && !header.is_control());
        assert!(checksum_holds(&placed));
    }

    #[test]
    fn a_marker_is_a_control_batch() {
        let marker = Batch::marker(7, 1, true, 5);
        assert!(marker.header.is_control() && marker.header.is_transactional());
        assert_eq!((marker.header.producer_id, marker.header.base_sequence, marker.header.records), (7, -1, 1));
        assert!(checksum_holds(&marker.placed(0).concat()));
        assert!(marker_commits(&marker.placed(0).concat()));
        assert!(!marker_commits(&Batch::marker(7, 1, false, 5).placed(0).concat()));
    }

    #[test]
    fn a_record_is_found_by_time_inside_a_batch() {
        let placed = Batch::produced(batch(-1, -1, -1, &[10, 20, 30], false), 1 << 20).unwrap().placed(100);
        assert_eq!(first_at_or_after(&placed.concat().into(), 15), Some((101, 20)));
        assert_eq!(first_at_or_after(&placed.concat().into(), 31), None);
    }

    #[test]
    fn records_that_can_not_be_read_are_not_found_by_time() {
        let mut bytes = Batch::produced(batch(-1, -1, -1, &[10, 20], false), 1 << 20).unwrap().placed(0).concat();
        bytes.truncate(HEADER);
        bytes.extend_from_slice(&[0xff; 12]);
        assert_eq!(first_at_or_after(&bytes.into(), 0), None);
    }

    #[test]
    fn bytes_that_are_no_batch_are_refused() {
        let good = batch(-1, -1, -1, &[1], false);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = to;
            Bytes::from(bytes)
        };
        assert_eq!(refused(Bytes::new()), ResponseError::CorruptMessage);
        assert_eq!(refused(good.slice(..70)), ResponseError::CorruptMessage);
        assert_eq!(refused(changed(8, 0xff)), ResponseError::CorruptMessage);
        assert_eq!(refused(changed(16, 1)), ResponseError::UnsupportedForMessageFormat);
        assert_eq!(refused(changed(66, 0x55)), ResponseError::CorruptMessage);
        assert_eq!(refused([good.as_ref(), good.as_ref()].concat().into()), ResponseError::InvalidRecord);
        assert_eq!(refused(Batch::marker(1, 0, true, 0).bytes), ResponseError::InvalidRecord);
        assert_eq!(Batch::produced(good, 10).unwrap_err(), ResponseError::MessageTooLarge);
    }
}
