//! A first, tentative reading of a request, which refuses lengths that it can't have.
//!
//! The protocol crate makes room for as many items as an array claims before it reads the first of them, so a request of a few bytes could
//! ask for more memory than there is, and the process would be aborted. Each item takes a byte at least: a length beyond the bytes that are
//! left is never true.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey, ApiVersionsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, EndTxnRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

use crate::broker::server::ConnectionError;

/// The numbers of tagged fields look like lengths here; they may exceed the bytes that are left by so much.
const TAGS: u64 = 1024;
/// A length of so many bytes, 7 bits in each, is beyond the largest request.
const TOO_LONG: u32 = 5;

/// Refuses a request's body if an array in it claims more items than there are bytes left.
pub(super) fn check(key: ApiKey, version: i16, body: &Bytes) -> Result<(), ConnectionError> {
    let skim = skim_of(key).ok_or("a request of this kind is not answered here")?;
    skim(&mut Skimmer { rest: body.clone(), length: 0, length_bytes: 0 }, version)
}

type Skim = fn(&mut Skimmer, i16) -> Result<(), ConnectionError>;

fn skim<R: Decodable>(body: &mut Skimmer, version: i16) -> Result<(), ConnectionError> {
    R::decode(body, version)?;
    Ok(())
}

fn skim_of(key: ApiKey) -> Option<Skim> {
    Some(match key {
        ApiKey::Produce => skim::<ProduceRequest>,
        ApiKey::Fetch => skim::<FetchRequest>,
        ApiKey::ListOffsets => skim::<ListOffsetsRequest>,
        ApiKey::Metadata => skim::<MetadataRequest>,
        ApiKey::OffsetCommit => skim::<OffsetCommitRequest>,
        ApiKey::OffsetFetch => skim::<OffsetFetchRequest>,
        ApiKey::FindCoordinator => skim::<FindCoordinatorRequest>,
        ApiKey::JoinGroup => skim::<JoinGroupRequest>,
        ApiKey::Heartbeat => skim::<HeartbeatRequest>,
        ApiKey::LeaveGroup => skim::<LeaveGroupRequest>,
        ApiKey::SyncGroup => skim::<SyncGroupRequest>,
        ApiKey::DescribeGroups => skim::<DescribeGroupsRequest>,
        ApiKey::ListGroups => skim::<ListGroupsRequest>,
        ApiKey::ApiVersions => skim::<ApiVersionsRequest>,
        ApiKey::CreateTopics => skim::<CreateTopicsRequest>,
        ApiKey::DeleteTopics => skim::<DeleteTopicsRequest>,
        ApiKey::DeleteRecords => skim::<DeleteRecordsRequest>,
        ApiKey::InitProducerId => skim::<InitProducerIdRequest>,
        ApiKey::OffsetForLeaderEpoch => skim::<OffsetForLeaderEpochRequest>,
        ApiKey::AddPartitionsToTxn => skim::<AddPartitionsToTxnRequest>,
        ApiKey::AddOffsetsToTxn => skim::<AddOffsetsToTxnRequest>,
        ApiKey::EndTxn => skim::<EndTxnRequest>,
        ApiKey::TxnOffsetCommit => skim::<TxnOffsetCommitRequest>,
        ApiKey::DescribeConfigs => skim::<DescribeConfigsRequest>,
        ApiKey::AlterConfigs => skim::<AlterConfigsRequest>,
        ApiKey::CreatePartitions => skim::<CreatePartitionsRequest>,
        ApiKey::DeleteGroups => skim::<DeleteGroupsRequest>,
        ApiKey::IncrementalAlterConfigs => skim::<IncrementalAlterConfigsRequest>,
        ApiKey::OffsetDelete => skim::<OffsetDeleteRequest>,
        ApiKey::DescribeCluster => skim::<DescribeClusterRequest>,
        _ => return None,
    })
}

/// A body in which lengths that can't be do not decode. What is decoded from it is not what was sent.
struct Skimmer {
    rest: Bytes,
    /// The length being read, of the kind that has 7 bits in each byte.
    length: u64,
    length_bytes: u32,
}

impl Skimmer {
    fn too_long(&self, length: u64) -> TryGetError {
        TryGetError { requested: usize::try_from(length).unwrap_or(usize::MAX), available: self.rest.len() }
    }
}

impl Buf for Skimmer {
    fn remaining(&self) -> usize {
        self.rest.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.rest.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    /// A flag, or a byte of a length. A flag is never mistaken: one that has the highest bit set only makes the next length longer.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.rest.try_get_u8()?;
        self.length |= u64::from(byte & 0x7f) << (7 * self.length_bytes);
        self.length_bytes += 1;
        if self.length_bytes >= TOO_LONG || self.length > self.rest.len() as u64 + TAGS {
            return Err(self.too_long(self.length));
        }
        if byte < 0x80 {
            (self.length, self.length_bytes) = (0, 0);
        }
        Ok(byte)
    }

    /// A number, or a length of 4 bytes: as a length, a value that can't be becomes one that is refused; a number may have any value.
    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.rest.try_get_i32()?;
        let possible = usize::try_from(value).map_or(true, |length| length <= self.rest.len());
        Ok(if possible { value } else { i32::MIN })
    }
}

impl ByteBuf for Skimmer {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.rest.peek_bytes(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.rest.get_bytes(size)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{TopicName, TransactionalId};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::super::versions;
    use super::*;

    fn encoded(message: &impl Encodable, version: i16) -> Bytes {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes, version).unwrap();
        bytes.freeze()
    }

    fn refused(key: ApiKey, version: i16, body: &[u8]) -> bool {
        check(key, version, &Bytes::copy_from_slice(body)).is_err()
    }

    #[test]
    fn an_array_that_claims_more_items_than_there_are_bytes_is_refused() {
        assert!(refused(ApiKey::Metadata, 0, &[0x7f, 0xff, 0xff, 0xff]));
        assert!(refused(ApiKey::Metadata, 0, &[0, 0, 0, 3, 0, 0]));
        assert!(refused(ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]));
        assert!(refused(ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]));
        assert!(refused(ApiKey::Metadata, 9, &[0x80, 0x80, 0x80, 0x80, 0x0f]));
    }

    #[test]
    fn a_length_behind_a_flag_that_looks_like_its_beginning_is_refused_too() {
        // CreatePartitions 2: no topics, timeout, flag, tagged fields.
        assert!(refused(ApiKey::CreatePartitions, 2, &[1, 0, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x7f]));
        assert!(refused(ApiKey::CreatePartitions, 2, &[1, 0, 0, 0, 1, 0x80, 0x80, 0x80, 0x7f]));
    }

    #[test]
    fn numbers_may_be_larger_than_the_request() {
        let join = JoinGroupRequest::default().with_session_timeout_ms(i32::MAX).with_rebalance_timeout_ms(i32::MAX);
        let fetch = FetchRequest::default().with_max_bytes(i32::MAX).with_max_wait_ms(500);
        assert!((1..=9).all(|version| check(ApiKey::JoinGroup, version, &encoded(&join, version)).is_ok()));
        assert!((4..=11).all(|version| check(ApiKey::Fetch, version, &encoded(&fetch, version)).is_ok()));
    }

    #[test]
    fn requests_with_content_are_let_through() {
        let topic = || MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str("topic"))));
        let metadata = MetadataRequest::default().with_topics(Some((0..300).map(|_| topic()).collect()));
        assert!((4..=12).all(|version| check(ApiKey::Metadata, version, &encoded(&metadata, version)).is_ok()));
        let records = PartitionProduceData::default().with_records(Some(vec![0xff; 3 << 20].into()));
        let topic = TopicProduceData::default().with_partition_data(vec![records]);
        let id = TransactionalId(StrBytes::from_static_str("id"));
        let produce = ProduceRequest::default().with_transactional_id(Some(id)).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        assert!((3..=11).all(|version| check(ApiKey::Produce, version, &encoded(&produce, version)).is_ok()));
    }

    #[test]
    fn every_request_that_is_answered_is_checked() {
        assert!(versions::keys().all(|key| skim_of(key).is_some()));
    }
}
