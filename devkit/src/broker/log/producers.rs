//! What a partition knows of its idempotent producers: epochs and sequence numbers.

use std::collections::{HashMap, VecDeque};

use kafka_protocol::ResponseError;

use super::batch::Header;

/// A producer may have this many batches in flight, so this many are remembered to answer repeats.
const REMEMBERED: usize = 5;

/// A batch that a producer may send again.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    first: i32,
    last: i32,
    base_offset: i64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    recent: VecDeque<Remembered>,
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the next one.
    New,
    /// It is in the log already, at this offset.
    Repeated(i64),
}

/// The idempotent producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
}

impl Producers {
    /// Decides on a batch by its producer's epoch and sequence. A producer that is not known here may begin anywhere, as in Apache Kafka:
    /// its earlier records may have been deleted.
    pub(crate) fn admit(&self, header: &Header) -> Result<Admission, ResponseError> {
        let Some(producer) = self.by_id.get(&header.producer_id).filter(|_| header.is_idempotent()) else {
            return Ok(Admission::New);
        };
        if header.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if header.producer_epoch > producer.epoch {
            return begins(header.base_sequence);
        }
        producer.admit(header.base_sequence, header.last_sequence())
    }

    /// Remembers a batch that is in the log.
    pub(crate) fn appended(&mut self, header: &Header, base_offset: i64) {
        if !header.is_idempotent() {
            return;
        }
        let producer = self.of_epoch(header.producer_id, header.producer_epoch);
        if header.is_control() {
            return;
        }
        producer.recent.push_back(Remembered { first: header.base_sequence, last: header.last_sequence(), base_offset });
        if producer.recent.len() > REMEMBERED {
            producer.recent.pop_front();
        }
    }

    fn of_epoch(&mut self, id: i64, epoch: i16) -> &mut Producer {
        let producer = self.by_id.entry(id).or_insert_with(|| Producer { epoch, recent: VecDeque::new() });
        if producer.epoch < epoch {
            *producer = Producer { epoch, recent: VecDeque::new() };
        }
        producer
    }
}

impl Producer {
    fn admit(&self, first: i32, last: i32) -> Result<Admission, ResponseError> {
        if let Some(repeated) = self.recent.iter().find(|batch| (batch.first, batch.last) == (first, last)) {
            return Ok(Admission::Repeated(repeated.base_offset));
        }
        match self.recent.back() {
            None => begins(first),
            Some(latest) if first == latest.last.checked_add(1).unwrap_or(0) => Ok(Admission::New),
            Some(_) => Err(ResponseError::OutOfOrderSequenceNumber),
        }
    }
}

/// The first batch of an epoch has sequence 0.
fn begins(first: i32) -> Result<Admission, ResponseError> {
    if first == 0 { Ok(Admission::New) } else { Err(ResponseError::OutOfOrderSequenceNumber) }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::super::batch::tests::batch;
    use super::*;

    fn header(epoch: i16, sequence: i32, records: usize) -> Header {
        Batch::produced(batch(1, epoch, sequence, &vec![0; records], false), 1 << 20).unwrap().header
    }

    fn after(batches: &[(i16, i32, usize)]) -> Producers {
        let mut producers = Producers::default();
        for (index, (epoch, sequence, records)) in batches.iter().enumerate() {
            producers.appended(&header(*epoch, *sequence, *records), index as i64 * 100);
        }
        producers
    }

    #[test]
    fn the_next_sequence_is_new_and_a_gap_is_refused() {
        let producers = after(&[(0, 0, 3)]);
        assert_eq!(producers.admit(&header(0, 3, 1)), Ok(Admission::New));
        assert_eq!(producers.admit(&header(0, 4, 1)), Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn each_of_the_last_five_batches_is_answered_with_its_offset() {
        let producers = after(&[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)]);
        assert_eq!(producers.admit(&header(0, 1, 1)), Ok(Admission::Repeated(100)));
        assert_eq!(producers.admit(&header(0, 5, 1)), Ok(Admission::Repeated(500)));
        assert_eq!(producers.admit(&header(0, 0, 1)), Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn an_older_epoch_is_fenced_and_a_newer_one_begins_at_zero() {
        let producers = after(&[(3, 0, 2)]);
        assert_eq!(producers.admit(&header(2, 2, 1)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(producers.admit(&header(4, 0, 1)), Ok(Admission::New));
        assert_eq!(producers.admit(&header(4, 2, 1)), Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn a_marker_of_a_newer_epoch_fences_the_older() {
        let mut producers = after(&[(0, 0, 1)]);
        producers.appended(&Batch::marker(1, 1, false, 0).header, 1);
        assert_eq!(producers.admit(&header(0, 1, 1)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(producers.admit(&header(1, 0, 1)), Ok(Admission::New));
    }

    #[test]
    fn a_marker_of_the_same_epoch_leaves_the_sequence() {
        let mut producers = after(&[(0, 0, 1)]);
        producers.appended(&Batch::marker(1, 0, true, 0).header, 1);
        assert_eq!(producers.admit(&header(0, 1, 1)), Ok(Admission::New));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let producers = after(&[(0, i32::MAX, 1)]);
        assert_eq!(producers.admit(&header(0, 0, 1)), Ok(Admission::New));
    }

    #[test]
    fn a_producer_that_is_not_known_may_begin_anywhere() {
        assert_eq!(Producers::default().admit(&header(0, 17, 1)), Ok(Admission::New));
    }
}
