//! A consumer group of the classic protocol: who its members are and what each is assigned. Pure: time comes as an argument.
//!
//! Members join; once all have, a generation forms and its leader assigns partitions, which each member fetches by a sync. Whoever comes,
//! leaves or falls silent starts this over.

mod generation;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;

pub(crate) use super::member::{Join, Joined, Listed, Member};
use super::offsets::Offsets;

/// Where a group stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// No members.
    #[default]
    Empty,
    /// Members join.
    Preparing,
    /// A generation has formed; its leader assigns.
    Completing,
    /// Every member can have its assignment.
    Stable,
}

impl State {
    /// The name that clients know it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What a join leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Wait until [`Group::joined`] answers for this member.
    Wait(String),
    /// Join again with this id.
    Again(String),
}

/// Who asks: a member's id and, of a static member, its instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance: Option<&'a str>,
}

/// One consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids given out, whose members have not joined yet, and when they are taken back.
    promised: BTreeMap<String, Instant>,
    /// When a rebalance goes on without those that have not joined, or have not asked for their assignment.
    deadline: Option<Instant>,
    /// Committed offsets; they outlive the members.
    pub(crate) offsets: Offsets,
}

impl Group {
    /// A group that committed these offsets in an earlier life.
    pub(crate) fn with_offsets(offsets: Offsets) -> Self {
        Self { offsets, ..Self::default() }
    }

    /// Where the group stands.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// What kind of members it has, `consumer` for consumers; empty when it never had any.
    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    /// The assignment strategy of its generation.
    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Its members by id.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// Takes a member in, or takes note that it is still there. `new_id` is the id it gets if it has none.
    pub(crate) fn join(&mut self, join: Join, new_id: String, now: Instant) -> Result<Joining, ResponseError> {
        self.check_protocols(&join)?;
        if !join.member_id.is_empty() {
            return self.rejoin(join, now);
        }
        let predecessor = join.instance.as_deref().and_then(|instance| self.member_of_instance(instance));
        match predecessor {
            Some(old_id) => Ok(self.replace(&old_id, join, new_id, now)),
            None if join.id_first && join.instance.is_none() => {
                self.promised.insert(new_id.clone(), now + join.session);
                Ok(Joining::Again(new_id))
            }
            None => Ok(self.add(join, new_id, now)),
        }
    }

    /// What the member is told about its generation; `None` while that forms.
    pub(crate) fn joined(&self, caller: Caller<'_>) -> Result<Option<Joined>, ResponseError> {
        self.check_member(caller)?;
        let member = self.members.get(caller.member_id).ok_or(ResponseError::UnknownMemberId)?;
        match &member.answer {
            None if !member.joining => Err(ResponseError::RebalanceInProgress),
            answer => Ok(answer.clone()),
        }
    }

    /// Takes the leader's assignments, if they come from the leader of a generation that waits for them.
    pub(crate) fn assign(
        &mut self,
        caller: Caller<'_>,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check_generation(caller, generation)?;
        if self.state != State::Completing || caller.member_id != self.leader {
            return Ok(());
        }
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            member.answer_sync(now);
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        self.deadline = None;
        Ok(())
    }

    /// A member's assignment; `None` while the leader has not assigned yet.
    pub(crate) fn assignment(&mut self, caller: Caller<'_>, generation: i32, now: Instant) -> Result<Option<Bytes>, ResponseError> {
        self.check_generation(caller, generation)?;
        let member = self.members.get_mut(caller.member_id).ok_or(ResponseError::UnknownMemberId)?;
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::Preparing => Err(ResponseError::RebalanceInProgress),
            State::Completing => {
                member.awaiting_sync = true;
                Ok(None)
            }
            State::Stable => {
                member.alive(now);
                Ok(Some(member.assignment.clone()))
            }
        }
    }

    /// A sign of life; the answer tells a member to join again.
    pub(crate) fn heartbeat(&mut self, caller: Caller<'_>, generation: i32, now: Instant) -> Result<(), ResponseError> {
        self.check_generation(caller, generation)?;
        self.alive(caller.member_id, now);
        if self.state == State::Preparing { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }

    /// A member leaves. An operator may name a static member by its instance alone.
    pub(crate) fn leave(&mut self, caller: Caller<'_>, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(caller.member_id).is_some() {
            self.complete_if_ready(now);
            return Ok(());
        }
        let named = caller.instance.filter(|_| caller.member_id.is_empty());
        let id = match named {
            Some(instance) => self.member_of_instance(instance).ok_or(ResponseError::UnknownMemberId)?,
            None => caller.member_id.to_owned(),
        };
        self.check_member(Caller { member_id: &id, ..caller })?;
        self.remove(&id, now);
        Ok(())
    }

    /// Whether the caller may commit offsets; in a transaction also while a generation forms (KIP-447).
    pub(crate) fn check_commit(
        &mut self,
        caller: Caller<'_>,
        generation: i32,
        transactional: bool,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let anonymous = generation < 0 && caller.member_id.is_empty() && caller.instance.is_none();
        if anonymous && (transactional || self.state == State::Empty) || (generation < 0 && self.state == State::Empty) {
            return Ok(());
        }
        if self.members.is_empty() && generation >= 0 {
            return Err(ResponseError::IllegalGeneration);
        }
        self.check_generation(caller, generation)?;
        if !transactional && self.state == State::Completing {
            return Err(ResponseError::RebalanceInProgress);
        }
        self.alive(caller.member_id, now);
        Ok(())
    }

    /// Removes silent members and ends waiting that took too long. Says whether something changed.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let gone = |member: &Member| member.is_dead(now) || self.is_late_to_sync(member, now);
        let dead: Vec<String> = self.members.iter().filter(|(_, member)| gone(member)).map(|(id, _)| id.clone()).collect();
        for id in &dead {
            self.remove(id, now);
        }
        let promised = self.promised.len();
        self.promised.retain(|_, deadline| *deadline > now);
        let before = self.state;
        self.complete_if_ready(now);
        !dead.is_empty() || promised != self.promised.len() || before != self.state
    }

    /// A leader that lives but never assigns would keep the others waiting.
    fn is_late_to_sync(&self, member: &Member, now: Instant) -> bool {
        self.state == State::Completing && !member.awaiting_sync && self.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn check_protocols(&self, join: &Join) -> Result<(), ResponseError> {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if self.members.is_empty() {
            return Ok(());
        }
        let common = join.protocols.iter().any(|(name, _)| self.members.values().all(|member| member.knows(name)));
        if common && join.protocol_type == self.protocol_type { Ok(()) } else { Err(ResponseError::InconsistentGroupProtocol) }
    }

    fn check_member(&self, caller: Caller<'_>) -> Result<(), ResponseError> {
        let holder = caller.instance.and_then(|instance| self.member_of_instance(instance));
        match holder {
            Some(holder) if holder == caller.member_id => Ok(()),
            Some(_) => Err(ResponseError::FencedInstanceId),
            None if caller.instance.is_none() && self.members.contains_key(caller.member_id) => Ok(()),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    fn check_generation(&self, caller: Caller<'_>, generation: i32) -> Result<(), ResponseError> {
        self.check_member(caller)?;
        if generation == self.generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    fn member_of_instance(&self, instance: &str) -> Option<String> {
        self.members.iter().find(|(_, member)| member.join.instance.as_deref() == Some(instance)).map(|(id, _)| id.clone())
    }

    fn alive(&mut self, member_id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.alive(now);
        }
    }

    fn add(&mut self, join: Join, id: String, now: Instant) -> Joining {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        self.members.insert(id.clone(), Member::new(join, now));
        self.enter(id, now)
    }

    /// A member that has its id joins: for the first time, or again.
    fn rejoin(&mut self, join: Join, now: Instant) -> Result<Joining, ResponseError> {
        let id = join.member_id.clone();
        if self.promised.remove(&id).is_some() {
            return Ok(self.add(join, id, now));
        }
        self.check_member(Caller { member_id: &id, instance: join.instance.as_deref() })?;
        let (state, leads) = (self.state, self.leader == id);
        let Some(member) = self.members.get_mut(&id) else { return Err(ResponseError::UnknownMemberId) };
        let unchanged = member.join.protocols == join.protocols;
        member.join = join;
        member.alive(now);
        let repeated = member.answer.is_some() && unchanged;
        match state {
            State::Completing if repeated => Ok(Joining::Wait(id)),
            State::Stable if repeated && !leads => Ok(Joining::Wait(id)),
            _ => Ok(self.enter(id, now)),
        }
    }

    /// A static member came back under a new id: the old one is fenced. A stable group goes on as it is.
    fn replace(&mut self, old_id: &str, join: Join, new_id: String, now: Instant) -> Joining {
        let Some(old) = self.members.remove(old_id) else { return self.add(join, new_id, now) };
        let member = Member { assignment: old.assignment, ..Member::new(join, now) };
        let may_skip = member.join.may_skip;
        self.members.insert(new_id.clone(), member);
        let led = self.leader == old_id;
        if led {
            self.leader.clone_from(&new_id);
        }
        if self.state != State::Stable || self.common_protocol().as_deref() != Some(&self.protocol) {
            return self.enter(new_id, now);
        }
        let mut answer = self.answer_for(&new_id);
        answer.skip_assignment = led && may_skip;
        if led && !may_skip {
            // A client that can't skip would assign anew: it is told that its former self leads.
            old_id.clone_into(&mut answer.leader);
            answer.members.clear();
        }
        self.answer(&new_id, answer);
        Joining::Wait(new_id)
    }

    /// The member waits for a generation, which begins to form if it has not yet.
    fn enter(&mut self, id: String, now: Instant) -> Joining {
        self.prepare(now);
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = true;
            member.awaiting_sync = false;
            member.answer = None;
        }
        self.complete_if_ready(now);
        Joining::Wait(id)
    }

    fn prepare(&mut self, now: Instant) {
        if self.state == State::Preparing {
            return;
        }
        self.state = State::Preparing;
        self.deadline = Some(now + self.rebalance_timeout());
        for member in self.members.values_mut().filter(|member| member.awaiting_sync) {
            member.answer_sync(now);
        }
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.join.rebalance).max().unwrap_or_default()
    }

    fn remove(&mut self, id: &str, now: Instant) {
        self.members.remove(id);
        self.prepare(now);
        self.complete_if_ready(now);
    }
}

#[cfg(test)]
mod tests;
