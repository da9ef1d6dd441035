//! A consumer group of the classic protocol: who its members are and what each is assigned. Pure: time comes as an argument.
//!
//! Members join; once all have, a generation forms and its leader assigns partitions, which each member fetches by a sync. Whoever comes,
//! leaves or falls silent starts this over.

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
    rebalance_deadline: Option<Instant>,
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
        Ok(self.members.get(caller.member_id).and_then(|member| member.answer.clone()))
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
            member.alive(now);
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        Ok(())
    }

    /// A member's assignment; `None` while the leader has not assigned yet.
    pub(crate) fn assignment(&mut self, caller: Caller<'_>, generation: i32, now: Instant) -> Result<Option<Bytes>, ResponseError> {
        self.check_generation(caller, generation)?;
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::Preparing => Err(ResponseError::RebalanceInProgress),
            State::Completing => Ok(None),
            State::Stable => Ok(self.members.get_mut(caller.member_id).map(|member| {
                member.alive(now);
                member.assignment.clone()
            })),
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
        let dead: Vec<String> = self.members.iter().filter(|(_, member)| member.is_dead(now)).map(|(id, _)| id.clone()).collect();
        for id in &dead {
            self.remove(id, now);
        }
        let promised = self.promised.len();
        self.promised.retain(|_, deadline| *deadline > now);
        let before = self.state;
        self.complete_if_ready(now);
        !dead.is_empty() || promised != self.promised.len() || before != self.state
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
            member.answer = None;
        }
        self.complete_if_ready(now);
        Joining::Wait(id)
    }

    fn prepare(&mut self, now: Instant) {
        if self.state != State::Preparing {
            self.state = State::Preparing;
            self.rebalance_deadline = Some(now + self.rebalance_timeout());
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

    fn complete_if_ready(&mut self, now: Instant) {
        if self.state != State::Preparing {
            return;
        }
        let late = self.rebalance_deadline.is_none_or(|deadline| now >= deadline);
        if late {
            // A static member keeps its place until its session ends.
            self.members.retain(|_, member| member.joining || member.join.instance.is_some());
            self.promised.clear();
        }
        let all = self.promised.is_empty() && self.members.values().all(|member| member.joining);
        let any = self.members.values().any(|member| member.joining);
        if self.members.is_empty() {
            self.close();
        } else if all || (late && any) {
            self.form(now);
        }
    }

    /// The last member left.
    fn close(&mut self) {
        self.state = State::Empty;
        self.generation += 1;
        self.leader.clear();
        self.protocol.clear();
        self.rebalance_deadline = None;
    }

    /// Forms a generation of the members that are there.
    fn form(&mut self, now: Instant) {
        self.generation += 1;
        self.state = State::Completing;
        self.rebalance_deadline = None;
        self.protocol = self.common_protocol().unwrap_or_default();
        if !self.members.get(&self.leader).is_some_and(|leader| leader.joining) {
            self.leader = self.members.iter().find(|(_, member)| member.joining).map(|(id, _)| id.clone()).unwrap_or_default();
        }
        let joining: Vec<String> = self.members.iter().filter(|(_, member)| member.joining).map(|(id, _)| id.clone()).collect();
        for id in joining {
            let answer = self.answer_for(&id);
            self.answer(&id, answer);
            self.alive(&id, now);
        }
    }

    fn answer(&mut self, id: &str, answer: Joined) {
        if let Some(member) = self.members.get_mut(id) {
            member.joining = false;
            member.answer = Some(answer);
        }
    }

    /// The first strategy of the leader, or of any member if there is none, that all members know.
    fn common_protocol(&self) -> Option<String> {
        let chooser = self.members.get(&self.leader).or_else(|| self.members.values().next())?;
        let known = |name: &&String| self.members.values().all(|member| member.knows(name));
        chooser.join.protocols.iter().map(|(name, _)| name).find(known).cloned()
    }

    fn answer_for(&self, id: &str) -> Joined {
        let members = if self.leader == id { self.listed() } else { Vec::new() };
        Joined {
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members,
            skip_assignment: false,
        }
    }

    fn listed(&self) -> Vec<Listed> {
        let list = |(id, member): (&String, &Member)| Listed {
            member_id: id.clone(),
            instance: member.join.instance.clone(),
            metadata: member.metadata(&self.protocol),
        };
        self.members.iter().map(list).collect()
    }
}

#[cfg(test)]
mod tests;
