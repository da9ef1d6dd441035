//! Consumer groups of the classic protocol, and the waiting of their members for each other.

pub(crate) mod group;
mod member;
pub(crate) mod offsets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::journal::{Event, Image, Journal};
use group::{Caller, Group, Join, Joined, Joining};
use offsets::{Commits, TopicPartition};

/// A group behind its lock, and those that wait for it to change.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    group: Mutex<Group>,
    changed: Notify,
}

/// How a join ended.
#[derive(Debug)]
pub(crate) enum JoinEnd {
    Joined(Joined),
    /// Join again with this id.
    Again(String),
}

impl Shared {
    /// Looks at the group or changes it, and wakes who waits.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Group) -> T) -> T {
        let result = act(&mut self.group.lock());
        self.changed.notify_waiters();
        result
    }

    /// Looks at the group.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Group) -> T) -> T {
        look(&self.group.lock())
    }

    /// Joins, and waits until the member's generation has formed.
    pub(crate) async fn join(&self, join: Join) -> Result<JoinEnd, ResponseError> {
        let instance = join.instance.clone();
        let new_id = format!("{}-{}", instance.as_deref().unwrap_or(&join.client_id), Uuid::new_v4());
        let member_id = match self.with(|group| group.join(join, new_id, Instant::now()))? {
            Joining::Again(id) => return Ok(JoinEnd::Again(id)),
            Joining::Wait(id) => id,
        };
        let caller = Caller { member_id: &member_id, instance: instance.as_deref() };
        self.wait(|group| group.joined(caller).transpose()).await.map(JoinEnd::Joined)
    }

    /// Hands the leader's assignments over, and waits for one's own.
    pub(crate) async fn sync(
        &self,
        caller: Caller<'_>,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Bytes, ResponseError> {
        self.with(|group| group.assign(caller, generation, assignments, Instant::now()))?;
        self.wait(|group| group.assignment(caller, generation, Instant::now()).transpose()).await
    }

    async fn wait<T>(&self, mut ask: impl FnMut(&mut Group) -> Option<Result<T, ResponseError>>) -> Result<T, ResponseError> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let answer = ask(&mut self.group.lock());
            match answer {
                Some(answer) => return answer,
                None => changed.await,
            }
        }
    }
}

/// The groups of a broker.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_id: Mutex<BTreeMap<String, Arc<Shared>>>,
}

impl Groups {
    /// The groups of an image: their offsets are known, their members come again.
    pub(crate) fn open(image: &Image) -> Self {
        let shared =
            |offsets: &offsets::Offsets| Shared { group: Mutex::new(Group::with_offsets(offsets.clone())), changed: Notify::new() };
        let groups = image.groups.iter().map(|(id, offsets)| (id.clone(), Arc::new(shared(offsets))));
        Self { by_id: Mutex::new(groups.collect()) }
    }

    /// A group that exists.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Shared>> {
        self.by_id.lock().get(id).cloned()
    }

    /// A group, made if there is none.
    pub(crate) fn get_or_create(&self, id: &str) -> Result<Arc<Shared>, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        Ok(Arc::clone(self.by_id.lock().entry(id.to_owned()).or_default()))
    }

    /// Every group by id.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Shared>)> {
        self.by_id.lock().iter().map(|(id, group)| (id.clone(), Arc::clone(group))).collect()
    }

    /// Commits offsets.
    pub(crate) fn commit(
        &self,
        journal: &Journal,
        id: &str,
        caller: Caller<'_>,
        generation: i32,
        commits: Commits,
    ) -> Result<(), ResponseError> {
        self.get_or_create(id)?.with(|group| {
            group.check_commit(caller, generation, false, Instant::now())?;
            journal.write(&Event::OffsetsCommitted { group: id.to_owned(), commits: commits.clone() })?;
            group.offsets.commit(commits);
            Ok(())
        })
    }

    /// Keeps offsets until the producer's transaction ends.
    pub(crate) fn pend(
        &self,
        journal: &Journal,
        id: &str,
        caller: Caller<'_>,
        generation: i32,
        producer_id: i64,
        commits: Commits,
    ) -> Result<(), ResponseError> {
        self.get_or_create(id)?.with(|group| {
            group.check_commit(caller, generation, true, Instant::now())?;
            journal.write(&Event::OffsetsPending { group: id.to_owned(), producer_id, commits: commits.clone() })?;
            group.offsets.pend(producer_id, commits);
            Ok(())
        })
    }

    /// The producer's transaction ended.
    pub(crate) fn settle(&self, journal: &Journal, id: &str, producer_id: i64, committed: bool) -> Result<(), ResponseError> {
        self.get_or_create(id)?.with(|group| {
            journal.write(&Event::OffsetsSettled { group: id.to_owned(), producer_id, committed })?;
            group.offsets.settle(producer_id, committed);
            Ok(())
        })
    }

    /// Forgets a group's offsets for partitions.
    pub(crate) fn forget(&self, journal: &Journal, id: &str, partitions: &[TopicPartition]) -> Result<(), ResponseError> {
        self.get(id).ok_or(ResponseError::GroupIdNotFound)?.with(|group| {
            journal.write(&Event::OffsetsForgotten { group: id.to_owned(), partitions: partitions.to_vec() })?;
            group.offsets.forget(|partition| partitions.contains(partition));
            Ok(())
        })
    }

    /// A topic was deleted: the journal says so itself.
    pub(crate) fn forget_topic(&self, topic: &str) {
        for (_, shared) in self.all() {
            shared.with(|group| group.offsets.forget(|(name, _)| name == topic));
        }
    }

    /// Deletes a group that has no members.
    pub(crate) fn delete(&self, journal: &Journal, id: &str) -> Result<(), ResponseError> {
        let mut by_id = self.by_id.lock();
        let shared = by_id.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        if shared.look(|group| group.members().next().is_some()) {
            return Err(ResponseError::NonEmptyGroup);
        }
        journal.write(&Event::GroupDeleted { group: id.to_owned() })?;
        by_id.remove(id);
        Ok(())
    }

    /// Ends the sessions of silent members and waiting that took too long.
    pub(crate) fn expire(&self, now: Instant) {
        for (_, shared) in self.all() {
            let changed = shared.group.lock().expire(now);
            if changed {
                shared.changed.notify_waiters();
            }
        }
    }
}
