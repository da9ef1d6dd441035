//! A push pipeline: groups of requests into transactions.
//!
//! Each group has a number, which is kept in its transaction. When a commit's outcome is not known (the broker went away
//! meanwhile) the next run reads the number of the last group that was committed: the group is then either answered, or
//! written again. So a request is written once even when Kafka fails in the middle.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jiff::Timestamp;
use millrace_model::{Code, Fault, Rejection, Result, Stage};
use millrace_runtime::formats::Refusal;
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::output::Writer;
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::Tally;

use super::answer::{Answer, Refused};
use super::gateway::GRACE;
use super::group::{Group, Inbox};
use super::ledger::{self, Given, Ledger};
use super::request::{Reply, Request};
use crate::positions;
use crate::service::Ingest;

/// Runs the pipeline until the gateway has closed; to be called again after a fault.
pub(crate) async fn run(ingest: &Ingest, inbox: &mut Inbox, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline) -> Result<()> {
    positions::ensure(cluster, &ingest.topics).await?;
    let mut producer = ingest.open_producer(cluster, &format!("{}.{}", pipeline.id, cluster.instance()))?;
    let ledger = Ledger::read(cluster, &pipeline.id).await?;
    let writer = Writer::open(registry, &mut producer, &ingest.config.to.topic, &ingest.schema, &ingest.key).await?;
    let rejecter = Rejecter::new(&pipeline.id, &ingest.config.dead_letters, ingest.config.on_error);
    let instance = cluster.instance();
    let mut worker = Worker { ingest, pipeline, instance, producer, writer, rejecter, ledger };
    pipeline.health.running();
    while let Some(mut group) = next(inbox, pipeline).await {
        match worker.commit(&mut group) {
            Ok(()) => group.answer(),
            Err(fault) if blames_a_request(&fault) => {
                inbox.isolate(group, &fault);
                worker.producer.abort()?;
                worker.rejecter.abandoned();
            }
            Err(fault) => {
                inbox.give_back(group);
                return Err(fault);
            }
        }
    }
    Ok(())
}

/// Whether a group failed for what one of its requests holds.
fn blames_a_request(fault: &Fault) -> bool {
    matches!(fault.code(), Code::KafkaTooLarge | Code::KeyInvalid | Code::RejectionQuota)
}

/// The next group; `None` when the gateway has closed, or should have: a connection that stands still does not hold the process.
async fn next(inbox: &mut Inbox, pipeline: &Pipeline) -> Option<Group> {
    let overdue = async {
        pipeline.shutdown.requested().await;
        tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    };
    tokio::select! {
        biased;
        group = inbox.next() => group,
        () = overdue => None,
    }
}

/// One run of a pipeline.
struct Worker<'a> {
    ingest: &'a Ingest,
    pipeline: &'a Pipeline,
    instance: &'a str,
    producer: Producer,
    writer: Writer,
    rejecter: Rejecter,
    ledger: Ledger,
}

/// What a group's transaction writes, beside the records.
#[derive(Default)]
struct Draft {
    replies: Vec<Reply>,
    /// The answers to be remembered.
    given: Vec<(String, Given)>,
    /// The place in the group of the first request of each key.
    first: HashMap<String, usize>,
    /// What it will have done when it is committed.
    tally: Tally,
}

impl Worker<'_> {
    /// Commits the group and gives it its replies. After a fault the group is as it was.
    fn commit(&mut self, group: &mut Group) -> Result<()> {
        if group.number == Some(self.ledger.group) {
            return Ok(());
        }
        group.drop_abandoned();
        let number = self.ledger.group + 1;
        group.number = Some(number);
        self.attempt(group, number)
    }

    fn attempt(&mut self, group: &mut Group, number: u64) -> Result<()> {
        let started = Instant::now();
        let mut draft = Draft::default();
        for request in &group.requests {
            let reply = self.reply(request, &mut draft)?;
            draft.replies.push(reply);
        }
        group.replies = std::mem::take(&mut draft.replies);
        let outworn = self.ledger.outworn(draft.given.len(), Timestamp::now());
        self.ingest.begin(&mut self.producer)?;
        self.ingest.before_progress(&self.producer)?;
        ledger::send(&mut self.producer, &self.pipeline.id, self.instance, number, &outworn, &draft.given)?;
        let committing = Instant::now();
        self.ingest.commit(&mut self.producer)?;
        self.ledger.committed(number, &outworn, draft.given);
        let metrics = &self.pipeline.metrics;
        draft.tally.commit(metrics);
        self.rejecter.committed(metrics);
        metrics.commit_seconds(committing.elapsed().as_secs_f64());
        metrics.batch_seconds(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Writes a request, unless it was written before.
    fn reply(&mut self, request: &Request, draft: &mut Draft) -> Result<Reply> {
        let Some(key) = &request.idempotency_key else { return self.write(request, draft) };
        if let Some(answer) = self.ledger.answer(key) {
            return Ok(Ok(answer.clone()));
        }
        if let Some(&first) = draft.first.get(key) {
            return Ok(draft.replies[first].clone());
        }
        draft.first.insert(key.clone(), draft.replies.len());
        let reply = self.write(request, draft)?;
        if let Ok(answer) = &reply {
            draft.given.push((key.clone(), Given::new(Timestamp::now(), answer)));
        }
        Ok(reply)
    }

    fn write(&mut self, request: &Request, draft: &mut Draft) -> Result<Reply> {
        let parsed = &request.parsed;
        if let (true, Some(refusal)) = (self.rejecter.halts(), parsed.refused.first()) {
            return Ok(Err(refused_whole(refusal)));
        }
        if self.rejecter.room_for(parsed.refused.len()).is_err() {
            return Ok(Err(Refused::over_quota()));
        }
        let records = parsed.batch.origin().records();
        draft.tally.read(records);
        self.ingest.begin(&mut self.producer)?;
        // The records carry the contexts of their spans already: see `Entry`.
        let mut trace = self.pipeline.hop.untraced();
        let written = self.writer.write(&self.producer, &parsed.batch, &[], &trace)?;
        if let (true, Some(first)) = (self.rejecter.halts(), written.rejected.first()) {
            return Err(Fault::operator(first.code, first.reason.clone()));
        }
        let read: Vec<Rejection> = parsed.refused.iter().map(Refusal::rejection).collect();
        self.rejecter.reject(&mut self.producer, records, &Stage::Read, read, &mut trace)?;
        let answer = Answer::new(written.records, &parsed.refused, &written.rejected);
        self.rejecter.reject(&mut self.producer, records, &Stage::Encode, written.rejected, &mut trace)?;
        self.producer.poll();
        draft.tally.written(written.records, written.bytes);
        Ok(Ok(answer))
    }
}

fn refused_whole(refusal: &Refusal) -> Refused {
    let reason = format!("record {}: {}; nothing of this request was written", refusal.record, refusal.text());
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.code, reason)
}
