//! One member of a consumer group.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// An assignment strategy that a member knows, with what it says about itself.
pub(crate) type Protocol = (String, Bytes);

/// What a member is told once a generation has formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    /// The leader's task: every member, with what it said about itself. Empty for the others.
    pub(crate) members: Vec<Listed>,
    /// The leader came back in the midst of a generation: its assignment stands.
    pub(crate) skip_assignment: bool,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) metadata: Bytes,
}

/// A wish to be a member.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty: a new member.
    pub(crate) member_id: String,
    /// Names a static member (KIP-345), which keeps its assignment when it comes back.
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<Protocol>,
    /// Whether the client is told its id first and joins with it (KIP-394).
    pub(crate) id_first: bool,
    /// Whether the client knows `skip_assignment` (KIP-814).
    pub(crate) may_skip: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) join: Join,
    pub(crate) assignment: Bytes,
    /// Without a sign of life until then it is removed.
    pub(super) deadline: Instant,
    /// Waits for the generation that is forming.
    pub(super) joining: bool,
    /// Waits for the leader's assignment.
    pub(super) awaiting_sync: bool,
    /// What it is told, until it joins again.
    pub(super) answer: Option<Joined>,
}

impl Member {
    pub(super) fn new(join: Join, now: Instant) -> Self {
        Self { deadline: now + join.session, join, assignment: Bytes::new(), joining: false, awaiting_sync: false, answer: None }
    }

    pub(super) fn alive(&mut self, now: Instant) {
        self.deadline = now + self.join.session;
    }

    /// It waits no longer for the leader's assignment: its session begins anew.
    pub(super) fn answer_sync(&mut self, now: Instant) {
        self.awaiting_sync = false;
        self.alive(now);
    }

    /// A member that waits for a generation to form, or for its leader, can't show signs of life.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        !self.joining && !self.awaiting_sync && now >= self.deadline
    }

    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.join.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.join.protocols.iter().any(|(name, _)| name == protocol)
    }
}
