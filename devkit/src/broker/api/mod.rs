//! Requests and their answers, one file per family.

mod commits;
mod configs;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod skim;
mod topics;
mod transactions;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::server::ConnectionError;
use super::state::Broker;

/// A request's circumstances.
struct Call<'a> {
    broker: &'a Arc<Broker>,
    version: i16,
    client_id: String,
    peer: SocketAddr,
}

/// What a request is answered with.
enum Answer {
    Message(Box<ResponseKind>),
    /// A body in parts, so that records are not copied.
    Parts(Vec<Bytes>),
    /// The client wants none.
    Nothing,
}

impl<R: Into<ResponseKind>> From<R> for Answer {
    fn from(response: R) -> Self {
        Self::Message(Box::new(response.into()))
    }
}

/// The answer to a request, in parts; `None` when the client wants none. What can't be read ends the connection, as in Apache Kafka.
pub(super) async fn answer(broker: &Arc<Broker>, mut request: Bytes, peer: SocketAddr) -> Result<Option<Vec<Bytes>>, ConnectionError> {
    let (key, version, correlation) = peek(&request)?;
    if !versions::supported(key, version) {
        return versions::refuse(key, correlation).map(Some);
    }
    let header = RequestHeader::decode(&mut request, key.request_header_version(version))?;
    skim::check(key, version, &request)?;
    let kind = RequestKind::decode(key, &mut request, version)?;
    let call = Call { broker, version, client_id: header.client_id.map(|id| id.to_string()).unwrap_or_default(), peer };
    let mut head = BytesMut::new();
    ResponseHeader::default().with_correlation_id(correlation).encode(&mut head, key.response_header_version(version))?;
    Ok(match dispatch(&call, kind).await? {
        Answer::Nothing => None,
        Answer::Parts(parts) => Some([vec![head.freeze()], parts].concat()),
        Answer::Message(message) => {
            message.encode(&mut head, version)?;
            Some(vec![head.freeze()])
        }
    })
}

fn peek(request: &Bytes) -> Result<(ApiKey, i16, i32), ConnectionError> {
    let mut front = request.get(..8).ok_or("a request is too short")?;
    let (number, version, correlation) = (front.get_i16(), front.get_i16(), front.get_i32());
    let key = ApiKey::try_from(number).map_err(|()| format!("no request has the number {number}"))?;
    Ok((key, version, correlation))
}

async fn dispatch(call: &Call<'_>, request: RequestKind) -> Result<Answer, ConnectionError> {
    Ok(match request {
        RequestKind::ApiVersions(_) => versions::api_versions().into(),
        RequestKind::Metadata(request) => metadata::metadata(call, &request).into(),
        RequestKind::DescribeCluster(_) => metadata::describe_cluster(call).into(),
        RequestKind::FindCoordinator(request) => metadata::find_coordinator(call, request).into(),
        RequestKind::Produce(request) => produce::produce(call, request),
        RequestKind::Fetch(request) => fetch::fetch(call, request).await?,
        RequestKind::ListOffsets(request) => offsets::list_offsets(call, request).into(),
        RequestKind::OffsetForLeaderEpoch(request) => offsets::offset_for_leader_epoch(call, request).into(),
        RequestKind::DeleteRecords(request) => offsets::delete_records(call, request).into(),
        RequestKind::CreateTopics(request) => topics::create_topics(call, request).into(),
        RequestKind::DeleteTopics(request) => topics::delete_topics(call, request).into(),
        RequestKind::CreatePartitions(request) => topics::create_partitions(call, request).into(),
        RequestKind::DescribeConfigs(request) => configs::describe_configs(call, request).into(),
        RequestKind::AlterConfigs(request) => configs::alter_configs(call, request).into(),
        RequestKind::IncrementalAlterConfigs(request) => configs::incremental_alter_configs(call, request).into(),
        RequestKind::JoinGroup(request) => groups::join_group(call, request).await.into(),
        RequestKind::SyncGroup(request) => groups::sync_group(call, request).await.into(),
        RequestKind::Heartbeat(request) => groups::heartbeat(call, &request).into(),
        RequestKind::LeaveGroup(request) => groups::leave_group(call, request).into(),
        RequestKind::ListGroups(request) => groups::list_groups(call, &request).into(),
        RequestKind::DescribeGroups(request) => groups::describe_groups(call, request).into(),
        RequestKind::DeleteGroups(request) => groups::delete_groups(call, request).into(),
        RequestKind::OffsetCommit(request) => commits::offset_commit(call, &request).into(),
        RequestKind::OffsetFetch(request) => commits::offset_fetch(call, request).into(),
        RequestKind::OffsetDelete(request) => commits::offset_delete(call, request).into(),
        RequestKind::InitProducerId(request) => transactions::init_producer_id(call, request).into(),
        RequestKind::AddPartitionsToTxn(request) => transactions::add_partitions_to_txn(call, request).into(),
        RequestKind::AddOffsetsToTxn(request) => transactions::add_offsets_to_txn(call, &request).into(),
        RequestKind::TxnOffsetCommit(request) => transactions::txn_offset_commit(call, request).into(),
        RequestKind::EndTxn(request) => transactions::end_txn(call, &request).into(),
        _ => return Err("a request of this kind is not answered here".into()),
    })
}

/// The code that stands for an outcome: 0 for success.
fn code<T>(outcome: &Result<T, ResponseError>) -> i16 {
    outcome.as_ref().map_or_else(ResponseError::code, |_| 0)
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// What a failed outcome means, for people.
fn message<T>(outcome: &Result<T, ResponseError>) -> Option<StrBytes> {
    outcome.as_ref().err().map(|error| text(error.to_string()))
}
