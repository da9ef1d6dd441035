//! How a generation forms: of whom, under which strategy and leader, and what its members are told.

use std::time::Instant;

use super::{Group, Joined, Listed, Member, State};

impl Group {
    pub(super) fn complete_if_ready(&mut self, now: Instant) {
        if self.state != State::Preparing {
            return;
        }
        let late = self.deadline.is_none_or(|deadline| now >= deadline);
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
        self.deadline = None;
    }

    /// Forms a generation of the members that are there.
    fn form(&mut self, now: Instant) {
        self.generation += 1;
        self.state = State::Completing;
        self.deadline = Some(now + self.rebalance_timeout());
        self.protocol = self.common_protocol().unwrap_or_default();
        if !self.members.get(&self.leader).is_some_and(|leader| leader.joining) {
            self.leader = self.members.iter().find(|(_, member)| member.joining).map(|(id, _)| id.clone()).unwrap_or_default();
        }
        let (joining, absent): (Vec<String>, Vec<String>) = self.members.keys().cloned().partition(|id| self.members[id].joining);
        for id in joining {
            let answer = self.answer_for(&id);
            self.answer(&id, answer);
            self.alive(&id, now);
        }
        self.forget_answers(&absent);
    }

    /// A static member that kept its place without joining: what it was told holds for a generation that is over.
    fn forget_answers(&mut self, absent: &[String]) {
        for id in absent {
            if let Some(member) = self.members.get_mut(id) {
                member.answer = None;
            }
        }
    }

    pub(super) fn answer(&mut self, id: &str, answer: Joined) {
        if let Some(member) = self.members.get_mut(id) {
            member.joining = false;
            member.answer = Some(answer);
        }
    }

    /// The first strategy of the leader, or of any member if there is none, that all members know.
    pub(super) fn common_protocol(&self) -> Option<String> {
        let chooser = self.members.get(&self.leader).or_else(|| self.members.values().next())?;
        let known = |name: &&String| self.members.values().all(|member| member.knows(name));
        chooser.join.protocols.iter().map(|(name, _)| name).find(known).cloned()
    }

    pub(super) fn answer_for(&self, id: &str) -> Joined {
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
