//! Consumer groups: membership, and what operators see of it.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Call, code, text};
use crate::broker::groups::JoinEnd;
use crate::broker::groups::group::{Caller, Group, Join, Joined, Listed, Member};

/// How the one kind of group here is called (KIP-848).
const CLASSIC: &str = "classic";

/// Joins, and answers when the generation has formed.
pub(super) async fn join_group(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    match join(call, request).await {
        Ok(JoinEnd::Joined(joined)) => to_response(joined),
        Ok(JoinEnd::Again(id)) => refused(ResponseError::MemberIdRequired, text(id)),
        Err(error) => refused(error, member_id),
    }
}

async fn join(call: &Call<'_>, request: JoinGroupRequest) -> Result<JoinEnd, ResponseError> {
    if request.session_timeout_ms <= 0 {
        return Err(ResponseError::InvalidSessionTimeout);
    }
    let group = call.broker.groups.get_or_create(&request.group_id)?;
    group.join(to_join(call, request)).await
}

fn to_join(call: &Call<'_>, request: JoinGroupRequest) -> Join {
    let session = millis(request.session_timeout_ms);
    Join {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        client_id: call.client_id.clone(),
        client_host: format!("/{}", call.peer.ip()),
        session,
        rebalance: if call.version == 0 { session } else { millis(request.rebalance_timeout_ms) },
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.into_iter().map(|protocol| (protocol.name.to_string(), protocol.metadata)).collect(),
        id_first: call.version >= 4,
        may_skip: call.version >= 9,
    }
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn to_response(joined: Joined) -> JoinGroupResponse {
    let member = |listed: Listed| {
        JoinGroupResponseMember::default()
            .with_member_id(text(listed.member_id))
            .with_group_instance_id(listed.instance.map(text))
            .with_metadata(listed.metadata)
    };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}

fn refused(error: ResponseError, member_id: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse::default().with_error_code(error.code()).with_member_id(member_id).with_protocol_name(Some(StrBytes::new()))
}

/// Hands assignments over, and answers with one's own.
pub(super) async fn sync_group(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let caller = Caller { member_id: &request.member_id, instance: request.group_instance_id.as_deref() };
    let assignments = request.assignments.into_iter().map(|one| (one.member_id.to_string(), one.assignment)).collect();
    let outcome = match call.broker.groups.get(&request.group_id) {
        Some(group) => group.sync(caller, request.generation_id, assignments).await,
        None => Err(ResponseError::UnknownMemberId),
    };
    SyncGroupResponse::default()
        .with_error_code(code(&outcome))
        .with_protocol_type(request.protocol_type)
        .with_protocol_name(request.protocol_name)
        .with_assignment(outcome.unwrap_or_default())
}

/// A sign of life.
pub(super) fn heartbeat(call: &Call<'_>, request: &HeartbeatRequest) -> HeartbeatResponse {
    let caller = Caller { member_id: &request.member_id, instance: request.group_instance_id.as_deref() };
    let outcome = with_group(call, &request.group_id, |group| group.heartbeat(caller, request.generation_id, std::time::Instant::now()));
    HeartbeatResponse::default().with_error_code(code(&outcome))
}

fn with_group(call: &Call<'_>, id: &str, act: impl FnOnce(&mut Group) -> Result<(), ResponseError>) -> Result<(), ResponseError> {
    call.broker.groups.get(id).ok_or(ResponseError::UnknownMemberId)?.with(act)
}

/// Members leave; since version 3 several at once, and each has its answer.
pub(super) fn leave_group(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leave = |member_id: &StrBytes, instance: Option<&str>| {
        with_group(call, &request.group_id, |group| group.leave(Caller { member_id, instance }, std::time::Instant::now()))
    };
    if call.version < 3 {
        return LeaveGroupResponse::default().with_error_code(code(&leave(&request.member_id, None)));
    }
    let answer = |member: MemberIdentity| {
        let outcome = leave(&member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(&outcome))
    };
    LeaveGroupResponse::default().with_members(request.members.into_iter().map(answer).collect())
}

/// Every group of the states and kinds that are asked for.
pub(super) fn list_groups(call: &Call<'_>, request: &ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], value: &str| filter.is_empty() || filter.iter().any(|name| name.eq_ignore_ascii_case(value));
    let groups = call.broker.groups.all().into_iter().filter_map(|(id, shared)| {
        let (state, protocol_type) = shared.look(|group| (group.state().name(), group.protocol_type().to_owned()));
        let listed = ListedGroup::default()
            .with_group_id(GroupId(text(id)))
            .with_protocol_type(text(protocol_type))
            .with_group_state(state.into())
            .with_group_type(CLASSIC.into());
        (wanted(&request.states_filter, state) && wanted(&request.types_filter, CLASSIC)).then_some(listed)
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

/// Groups with their members and assignments; one that does not exist is `Dead`.
pub(super) fn describe_groups(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| match call.broker.groups.get(&id) {
        Some(shared) => shared.look(describe_group).with_group_id(id),
        None => DescribedGroup::default().with_group_id(id).with_group_state("Dead".into()),
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_group(group: &Group) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_state(group.state().name().into())
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(group.protocol()))
        .with_members(group.members().map(|(id, member)| describe_member(id, member, group.protocol())).collect())
}

fn describe_member(id: &str, member: &Member, protocol: &str) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(id))
        .with_group_instance_id(member.join.instance.clone().map(text))
        .with_client_id(text(member.join.client_id.clone()))
        .with_client_host(text(member.join.client_host.clone()))
        .with_member_metadata(member.metadata(protocol))
        .with_member_assignment(member.assignment.clone())
}

/// Deletes groups that have no members.
pub(super) fn delete_groups(call: &Call<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let outcome = call.broker.groups.delete(&call.broker.journal, &id);
        DeletableGroupResult::default().with_group_id(id).with_error_code(code(&outcome))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
