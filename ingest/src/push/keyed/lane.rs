//! One owned partition: groups of requests with a key into transactions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use millrace_model::{Code, Fault, Result};
use millrace_runtime::pipeline;
use millrace_runtime::service::Shutdown;
use tokio::sync::mpsc;

use super::super::answer::{Answer, Refused};
use super::super::group::{Group, Inbox};
use super::super::request::{Reply, Request};
use super::super::writing::{Draft, Writing, blames_a_request};
use super::clock::{Clock, Moment};
use super::forward::Key;
use super::window::{self, Given, Known, Window};
use crate::crash_points as points;

/// How soon a request that met a hand-over should come again.
pub(super) const SOON: Duration = Duration::from_secs(2);

/// A partition that this replica owns.
pub(super) struct Lane {
    pub(super) writing: Writing,
    window: Window,
    clock: Clock,
    partition: i32,
    /// Keys whose time is over, until the topic has forgotten them as well.
    forgotten: Vec<Arc<str>>,
}

/// A lane that was started.
pub(super) struct Running {
    stop: Shutdown,
    thread: pipeline::Running,
}

impl Running {
    /// Ends it when the transaction that is open, if one is, has been committed.
    pub(super) async fn stop(self) {
        self.stop.request();
        self.thread.ended().await;
    }
}

impl Lane {
    /// Of a partition that was taken over, with the answers that its predecessors have given.
    pub(super) fn new(writing: Writing, window: Window, partition: i32) -> Self {
        let clock = Clock::new(window.span());
        Self { writing, window, clock, partition, forgotten: Vec::new() }
    }

    /// Runs it on a thread of its own: commits block.
    pub(super) fn start(mut self, requests: mpsc::Receiver<Request>, failed: mpsc::UnboundedSender<Fault>) -> Result<Running> {
        let stop = Shutdown::new();
        let (stopped, name) = (stop.clone(), format!("{}/{}", self.writing.pipeline.name, self.partition));
        let thread = pipeline::on_a_thread(&name, async move || {
            if let Err(fault) = self.run(Inbox::new(requests), &stopped).await {
                // Who would hear it may be ending as well.
                failed.send(fault).ok();
            }
        })?;
        Ok(Running { stop, thread })
    }

    /// Requests that wait when it ends get no reply: their senders are told to come again.
    async fn run(&mut self, mut inbox: Inbox, stop: &Shutdown) -> Result<()> {
        while let Some(Some(mut group)) = stop.or(inbox.next_from(self.writing.producer.settled_at())).await {
            match self.commit(&mut group) {
                Ok(()) => {
                    points::KEYED_ANSWER_BEFORE.passed();
                    group.answer();
                    points::KEYED_ANSWER_AFTER.passed();
                }
                Err(fault) if blames_a_request(&fault) => {
                    inbox.isolate(group, &fault);
                    self.writing.abandon()?;
                }
                // Whether it was committed shows when the window is read again: with their keys all may be repeated.
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Commits the group, each key with the answer that its request gets.
    fn commit(&mut self, group: &mut Group) -> Result<()> {
        group.drop_abandoned();
        let now = self.clock.read();
        if self.forgotten.is_empty() {
            self.forgotten = self.window.forget(now.over);
        }
        points::KEYED_SEND_BEFORE.reached()?;
        let mut keyed = Keyed::default();
        for request in &group.requests {
            let reply = self.reply(request, &mut keyed, now)?;
            keyed.replies.push(reply);
        }
        if !(keyed.given.is_empty() && self.forgotten.is_empty()) {
            points::KEYED_SEND_AFTER.reached()?;
            self.write_keys(&keyed.given)?;
            points::KEYED_KEY_AFTER.reached()?;
            self.writing.commit_draft(keyed.draft)?;
            self.forgotten.clear();
        }
        group.replies = keyed.replies;
        keyed.given.into_iter().for_each(|(key, given)| self.window.add(key, given));
        Ok(())
    }

    fn write_keys(&mut self, given: &[(Arc<str>, Given)]) -> Result<()> {
        self.writing.begin()?;
        self.writing.before_progress()?;
        let pipeline = Arc::clone(&self.writing.pipeline.id);
        let producer = &mut self.writing.producer;
        self.forgotten.iter().try_for_each(|key| window::send(producer, &pipeline, self.partition, key, None))?;
        given.iter().try_for_each(|(key, given)| window::send(producer, &pipeline, self.partition, key, Some(given)))
    }

    /// Writes a request, unless it was written before.
    fn reply(&mut self, request: &Request, keyed: &mut Keyed, now: Moment) -> Result<Reply> {
        let Some(Key { text, fingerprint }) = &request.key else {
            return Err(Fault::fatal(Code::Internal, "a request without a key came to a partition of keys"));
        };
        if let Some(reply) = keyed.twin(text, *fingerprint) {
            return Ok(reply);
        }
        match self.window.look(text, *fingerprint, keyed.bytes, now.over) {
            Known::Answered(answer) => return Ok(Ok(answer.clone())),
            Known::Otherwise => return Ok(Err(reused())),
            Known::NoRoom(wait) => return Ok(Err(no_room(wait))),
            Known::No => {}
        }
        let reply = self.writing.write(request, &mut keyed.draft)?;
        if let Ok(answer) = &reply {
            keyed.remember(text, *fingerprint, answer, now);
        }
        Ok(reply)
    }
}

/// A group on its way.
#[derive(Default)]
struct Keyed {
    replies: Vec<Reply>,
    /// The answers to be remembered.
    given: Vec<(Arc<str>, Given)>,
    /// For each of their keys the request's fingerprint, and the place of its reply.
    first: HashMap<Arc<str>, (u128, usize)>,
    /// The memory that they will take.
    bytes: usize,
    draft: Draft,
}

impl Keyed {
    /// The reply to a request whose key has come in this group already, and was taken.
    fn twin(&self, key: &str, fingerprint: u128) -> Option<Reply> {
        let &(first, place) = self.first.get(key)?;
        Some(if first == fingerprint { self.replies[place].clone() } else { Err(reused()) })
    }

    fn remember(&mut self, key: &str, fingerprint: u128, answer: &Answer, now: Moment) {
        let key: Arc<str> = key.into();
        self.bytes += window::cost(&key, Some(answer));
        self.first.insert(Arc::clone(&key), (fingerprint, self.replies.len()));
        self.given.push((key, Given::new(now.given, fingerprint, answer)));
    }
}

fn reused() -> Refused {
    let message = format!("this Idempotency-Key was used with another request; {}", Code::KeyReused.help());
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, Code::KeyReused, message)
}

fn no_room(wait: Duration) -> Refused {
    let message = format!("no further Idempotency-Key can be remembered, and nothing was written; {}", Code::KeysFull.help());
    Refused::new(StatusCode::TOO_MANY_REQUESTS, Code::KeysFull, message).retry_after(wait)
}
