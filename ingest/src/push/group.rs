//! Requests that become one transaction.

use std::collections::VecDeque;
use std::time::Instant;

use axum::http::StatusCode;
use millrace_model::{Code, Fault};
use millrace_runtime::pipeline::until;
use tokio::sync::mpsc;

use super::answer::Refused;
use super::request::{Reply, Request};

/// The most requests in one transaction.
const REQUESTS: usize = 256;
/// With so many records a transaction takes no further request.
const RECORDS: usize = 10_000;

/// Requests that are committed together. While one group is being committed the next one gathers, so
/// that a lone sender does not wait and many share a commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) requests: Vec<Request>,
    /// Under which number it was last tried.
    pub(super) number: Option<u64>,
    /// The reply to each request, once it has been tried.
    pub(super) replies: Vec<Reply>,
}

impl Group {
    pub(super) fn of(request: Request) -> Self {
        Self { requests: vec![request], ..Self::default() }
    }

    fn is_full(&self) -> bool {
        self.requests.len() >= REQUESTS || self.requests.iter().map(Request::records).sum::<usize>() >= RECORDS
    }

    /// Those whose sender has given up are not written: the sender was told so.
    pub(super) fn drop_abandoned(&mut self) {
        self.requests.retain(|request| !request.is_abandoned());
    }

    /// Gives each request its reply.
    pub(super) fn answer(self) {
        for (request, reply) in self.requests.into_iter().zip(self.replies) {
            request.answer(reply);
        }
    }
}

/// A pipeline's end of the gateway. Outlives the runs of the pipeline: requests wait in it while Kafka is away.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: mpsc::Receiver<Request>,
    /// Groups that come before any new request.
    unfinished: VecDeque<Group>,
}

impl Inbox {
    pub(super) fn new(requests: mpsc::Receiver<Request>) -> Self {
        Self { requests, unfinished: VecDeque::new() }
    }

    /// The next group, once `start` is past: requests that come until then are in it.
    pub(super) async fn next_from(&mut self, start: Option<Instant>) -> Option<Group> {
        if start.is_some() {
            until(start).await;
        }
        self.next().await
    }

    /// A group that was given back, else the requests that are there; waits for the first. `None` when the gateway has closed.
    async fn next(&mut self) -> Option<Group> {
        if let Some(group) = self.unfinished.pop_front() {
            return Some(group);
        }
        let mut group = Group::of(self.requests.recv().await?);
        while !group.is_full()
            && let Ok(request) = self.requests.try_recv()
        {
            group.requests.push(request);
        }
        Some(group)
    }

    /// Takes a group back whose outcome is open.
    pub(super) fn give_back(&mut self, group: Group) {
        self.unfinished.push_front(group);
    }

    /// A group has a record that can't be written: each request goes alone, and the one with that record is refused.
    pub(super) fn isolate(&mut self, mut group: Group, fault: &Fault) {
        if group.requests.len() == 1 {
            group.replies = vec![Err(match fault.code() {
                Code::RejectionQuota => Refused::over_quota(),
                Code::KafkaTooLarge => Refused::too_large(fault),
                _ => Refused::new(StatusCode::UNPROCESSABLE_ENTITY, fault.code(), fault.message()),
            })];
            return group.answer();
        }
        for request in group.requests.into_iter().rev() {
            self.unfinished.push_front(Group::of(request));
        }
    }
}
