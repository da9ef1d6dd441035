//! Fetch: batches out of logs, waiting for more where the client asks for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use kafka_protocol::messages::{ProducerId, TopicName};
use kafka_protocol::protocol::Encodable;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Answer, Call};
use crate::broker::log::{Found, Isolation, Room, storage_error};
use crate::broker::server::ConnectionError;

/// The most that is answered at once, as in Apache Kafka (`fetch.max.bytes`).
const LARGEST_ANSWER: usize = 55 * 1024 * 1024;

/// What a partition is answered with, its records apart.
struct Part {
    data: PartitionData,
    records: Vec<Bytes>,
}

/// The outcome for each partition of each topic, in the order of the request.
struct Round {
    topics: Vec<(TopicName, Vec<Result<Found, ResponseError>>)>,
    bytes: usize,
    failed: bool,
}

/// Reads until there are `min_bytes`, or an error to tell of, or the client's time is up.
pub(super) async fn fetch(call: &Call<'_>, request: FetchRequest) -> Result<Answer, ConnectionError> {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    let woken = Arc::new(Notify::new());
    loop {
        let late = Instant::now() >= deadline;
        let round = read(call, &request, (!late).then_some(&woken));
        if round.failed || round.bytes >= enough || late {
            return encode(call.version, &request, round).map(Answer::Parts);
        }
        if tokio::time::timeout_at(deadline, woken.notified()).await.is_err() {
            tracing::trace!("a fetch waited in vain");
        }
    }
}

fn read(call: &Call<'_>, request: &FetchRequest, waiting: Option<&Arc<Notify>>) -> Round {
    let isolation = isolation(request.isolation_level);
    let mut room = room(request.max_bytes);
    let mut round = Round { topics: Vec::with_capacity(request.topics.len()), bytes: 0, failed: false };
    for topic in &request.topics {
        let mut outcomes = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let space =
                Room { partition: usize::try_from(asked.partition_max_bytes).unwrap_or(0), response: room, at_least_one: round.bytes == 0 };
            let outcome = read_partition(call, &topic.topic, asked, isolation, space, waiting);
            let bytes = outcome.as_ref().map_or(0, |found| found.bytes);
            round.bytes += bytes;
            room = room.saturating_sub(bytes);
            round.failed |= outcome.is_err();
            outcomes.push(outcome);
        }
        round.topics.push((topic.topic.clone(), outcomes));
    }
    round
}

/// How many bytes a client may have, of those that it asks for.
fn room(max_bytes: i32) -> usize {
    usize::try_from(max_bytes).unwrap_or(0).min(LARGEST_ANSWER)
}

/// What a client calls `isolation.level`.
pub(super) fn isolation(level: i8) -> Isolation {
    if level == 1 { Isolation::Committed } else { Isolation::Uncommitted }
}

fn read_partition(
    call: &Call<'_>,
    topic: &TopicName,
    asked: &FetchPartition,
    isolation: Isolation,
    room: Room,
    waiting: Option<&Arc<Notify>>,
) -> Result<Found, ResponseError> {
    let partition = call.broker.topics.partition(topic, asked.partition)?;
    let mut log = partition.lock();
    let found = log.read(asked.fetch_offset, isolation, room)?;
    if let Some(reader) = waiting {
        log.wake_at_change(reader);
    }
    Ok(found)
}

/// The body of the answer. The message of the protocol crate holds a partition's records as one piece: here everything but the
/// records goes through it, and those are put between as they are. In versions below 12 they are the last field of a partition, behind
/// their length.
fn encode(version: i16, request: &FetchRequest, round: Round) -> Result<Vec<Bytes>, ConnectionError> {
    let isolation = isolation(request.isolation_level);
    let mut parts = Vec::new();
    let mut head = BytesMut::new();
    head.put_i32(0); // throttle time
    if version >= 7 {
        head.put_i16(0); // error code
        head.put_i32(0); // session id: none
    }
    head.put_i32(round.topics.len() as i32);
    for ((name, outcomes), topic) in round.topics.into_iter().zip(&request.topics) {
        head.put_i16(name.len() as i16);
        head.put_slice(name.as_bytes());
        head.put_i32(outcomes.len() as i32);
        for (outcome, asked) in outcomes.into_iter().zip(&topic.partitions) {
            let part = part(asked.partition, isolation, outcome);
            part.data.encode(&mut head, version)?;
            head.truncate(head.len() - 4);
            head.put_i32(part.records.iter().map(Bytes::len).sum::<usize>() as i32);
            if !part.records.is_empty() {
                parts.push(head.split().freeze());
                parts.extend(part.records);
            }
        }
    }
    parts.push(head.freeze());
    Ok(parts)
}

fn part(index: i32, isolation: Isolation, outcome: Result<Found, ResponseError>) -> Part {
    let data = PartitionData::default().with_partition_index(index).with_records(Some(Bytes::new()));
    let loaded = outcome.and_then(|mut found| {
        let (offsets, aborted) = (found.offsets, std::mem::take(&mut found.aborted));
        found.load().map_err(storage_error).map(|records| (offsets, aborted, records))
    });
    match loaded {
        Err(error) => Part { data: data.with_error_code(error.code()).with_high_watermark(-1), records: Vec::new() },
        Ok((offsets, aborted, records)) => {
            let named = aborted.iter().map(|transaction| {
                AbortedTransaction::default().with_producer_id(ProducerId(transaction.producer_id)).with_first_offset(transaction.first)
            });
            let data = data
                .with_high_watermark(offsets.end)
                .with_last_stable_offset(offsets.last_stable)
                .with_log_start_offset(offsets.start)
                .with_aborted_transactions((isolation == Isolation::Committed).then(|| named.collect()));
            Part { data, records }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_ask_for_more_than_it_gets_at_once() {
        assert_eq!([-1, 1 << 20, i32::MAX].map(room), [0, 1 << 20, LARGEST_ANSWER]);
    }
}
