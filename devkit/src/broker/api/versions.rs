//! Which requests are answered, in which versions.
//!
//! The upper bounds stop before what this broker does not do: topic ids in produce and fetch (13), fetches whose format is flexible (12,
//! see `fetch`), the consumer group protocol of KIP-848, and transactions of KIP-890. Java clients of Kafka 4 and librdkafka speak all lower bounds.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, ResponseHeader};
use kafka_protocol::protocol::Encodable;

use crate::broker::server::ConnectionError;

const SUPPORTED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 11),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 8),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
];

/// Whether requests of this version are answered.
pub(super) fn supported(key: ApiKey, version: i16) -> bool {
    SUPPORTED.iter().any(|(known, min, max)| *known as i16 == key as i16 && (*min..=*max).contains(&version))
}

/// The kinds of requests that are answered.
#[cfg(test)]
pub(super) fn keys() -> impl Iterator<Item = ApiKey> {
    SUPPORTED.iter().filter_map(|(key, ..)| ApiKey::try_from(*key as i16).ok())
}

/// Which requests are answered.
pub(super) fn api_versions() -> ApiVersionsResponse {
    let range = |(key, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_api_keys(SUPPORTED.iter().map(range).collect())
}

/// The answer to a version that is not answered: a client that asked for the versions is told them in the oldest format, so that
/// it can ask again (KIP-35). Any other ends the connection.
pub(super) fn refuse(key: ApiKey, correlation: i32) -> Result<Vec<Bytes>, ConnectionError> {
    if !matches!(key, ApiKey::ApiVersions) {
        return Err(format!("{key:?} is not answered in this version").into());
    }
    let mut answer = BytesMut::new();
    ResponseHeader::default().with_correlation_id(correlation).encode(&mut answer, 0)?;
    api_versions().with_error_code(ResponseError::UnsupportedVersion.code()).encode(&mut answer, 0)?;
    Ok(vec![answer.freeze()])
}
