//! Idempotent producers, seen from the wire: repeats, gaps, and batches that may not be.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use crate::clients::{address, brokers, create_topic, read_all, topic, unique};
use crate::protocol::Connection;

/// A producer id of one's own, transactional or not.
fn producer_id(connection: &mut Connection, transactional: Option<&str>) -> i64 {
    let id = transactional.map(|id| TransactionalId(StrBytes::from_string(id.to_owned())));
    let request = InitProducerIdRequest::default().with_transactional_id(id).with_transaction_timeout_ms(60_000);
    // The coordinator of a new id may have to be made first.
    loop {
        let answer = connection.ask(1, &request);
        match ResponseError::try_from_code(answer.error_code) {
            None => return answer.producer_id.0,
            Some(error) => assert!(error.is_retriable(), "{error}"),
        }
    }
}

fn batch(producer_id: i64, sequence: i32, records: i32, value: &[u8], transactional: bool) -> Bytes {
    let record = |index: i32| Record {
        transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id,
        producer_epoch: if producer_id < 0 { -1 } else { 0 },
        timestamp_type: TimestampType::Creation,
        offset: i64::from(index),
        sequence: sequence + index,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: IndexMap::new(),
    };
    let records: Vec<Record> = (0..records).map(record).collect();
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &RecordEncodeOptions { version: 2, compression: Compression::None }).unwrap();
    bytes.freeze()
}

/// The offset of the batch, or why it was refused.
fn produce(connection: &mut Connection, topic: &str, transactional: Option<&str>, batch: Bytes) -> Result<i64, ResponseError> {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(TopicName(StrBytes::from_string(topic.to_owned()))).with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(transactional.map(|id| TransactionalId(StrBytes::from_string(id.to_owned()))))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let answer = &connection.ask(7, &request).responses[0].partition_responses[0];
    ResponseError::try_from_code(answer.error_code).map_or(Ok(answer.base_offset), Err)
}

#[test]
fn a_batch_that_is_sent_again_is_answered_with_the_offset_that_it_has() {
    let (name, mut connection) = (topic(1), Connection::open(address()));
    let id = producer_id(&mut connection, None);
    let first = batch(id, 0, 2, b"v", false);
    assert_eq!(produce(&mut connection, &name, None, first.clone()), Ok(0));
    assert_eq!(produce(&mut connection, &name, None, batch(id, 2, 1, b"v", false)), Ok(2));
    assert_eq!(produce(&mut connection, &name, None, first), Ok(0));
    assert_eq!(read_all(&name, 1, &[]).len(), 3);
}

#[test]
fn a_gap_in_the_sequence_is_refused() {
    let (name, mut connection) = (topic(1), Connection::open(address()));
    let id = producer_id(&mut connection, None);
    assert_eq!(produce(&mut connection, &name, None, batch(id, 0, 2, b"v", false)), Ok(0));
    assert_eq!(produce(&mut connection, &name, None, batch(id, 3, 1, b"v", false)), Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(produce(&mut connection, &name, None, batch(id, 2, 1, b"v", false)), Ok(2));
}

#[test]
fn a_batch_with_a_wrong_checksum_is_refused() {
    let (name, mut connection) = (topic(1), Connection::open(address()));
    let mut bytes = batch(-1, -1, 1, b"v", false).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(produce(&mut connection, &name, None, bytes.into()), Err(ResponseError::CorruptMessage));
    assert!(read_all(&name, 1, &[]).is_empty());
}

#[test]
fn a_batch_larger_than_the_topic_takes_is_refused() {
    let (name, mut connection) = (unique("topic"), Connection::open(address()));
    create_topic(&brokers(), &name, 1, &[("max.message.bytes", "1000")]).unwrap();
    assert_eq!(produce(&mut connection, &name, None, batch(-1, -1, 1, &[0; 2000], false)), Err(ResponseError::MessageTooLarge));
    assert_eq!(produce(&mut connection, &name, None, batch(-1, -1, 1, &[0; 500], false)), Ok(0));
}

#[test]
fn a_partition_that_was_not_added_to_the_transaction_is_refused() {
    let (name, id, mut connection) = (topic(1), unique("id"), Connection::open(address()));
    let producer = producer_id(&mut connection, Some(&id));
    let refused = produce(&mut connection, &name, Some(&id), batch(producer, 0, 1, b"v", true));
    assert_eq!(refused, Err(ResponseError::InvalidTxnState));
}

#[test]
fn a_topic_that_does_not_exist_is_refused() {
    let mut connection = Connection::open(address());
    let refused = produce(&mut connection, &unique("no-topic"), None, batch(-1, -1, 1, b"v", false));
    assert_eq!(refused, Err(ResponseError::UnknownTopicOrPartition));
}
