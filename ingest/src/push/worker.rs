//! Requests without a key: groups of them into the transactions of this instance.
//!
//! Each group has a number, which is kept in its transaction. When a commit's outcome is not known (the broker went away
//! meanwhile) the next run reads the number of the last group that was committed: the group is then either answered, or
//! written again. So a request is written once even when Kafka fails in the middle.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::Result;
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;

use super::gateway::GRACE;
use super::group::{Group, Inbox};
use super::writing::{Draft, Writing, blames_a_request};
use crate::crash_points as points;
use crate::positions;
use crate::service::Ingest;

/// Runs the pipeline until the gateway has closed; to be called again after a fault.
pub(crate) async fn run(
    ingest: &Arc<Ingest>,
    inbox: &mut Inbox,
    cluster: &Cluster,
    registry: &Registry,
    pipeline: &Pipeline,
) -> Result<()> {
    positions::ensure(cluster, &ingest.topics).await?;
    let producer = ingest.open_producer(cluster, &format!("{}.{}", pipeline.id, cluster.instance()))?;
    // Read after the producer has been opened, so that nothing is open any more.
    let committed = last_committed(cluster, &pipeline.id).await?;
    let writing = Writing::open(ingest, registry, pipeline, producer).await?;
    let mut worker = Worker { writing, instance: cluster.instance(), committed };
    pipeline.health.running();
    while let Some(mut group) = next(inbox, &worker.writing.producer, pipeline).await {
        match worker.commit(&mut group) {
            Ok(()) => {
                points::PUSH_ANSWER_BEFORE.passed();
                group.answer();
                points::PUSH_ANSWER_AFTER.passed();
            }
            Err(fault) if blames_a_request(&fault) => {
                inbox.isolate(group, &fault);
                worker.writing.abandon()?;
            }
            Err(fault) => {
                inbox.give_back(group);
                return Err(fault);
            }
        }
    }
    Ok(())
}

/// The next group; `None` when the gateway has closed, or should have: a connection that stands still does not hold the process.
async fn next(inbox: &mut Inbox, producer: &Producer, pipeline: &Pipeline) -> Option<Group> {
    let overdue = async {
        pipeline.shutdown.requested().await;
        tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    };
    tokio::select! {
        biased;
        group = inbox.next_from(producer.settled_at()) => group,
        () = overdue => None,
    }
}

/// One run of a pipeline.
struct Worker<'a> {
    writing: Writing,
    instance: &'a str,
    /// The number of the last committed group of this instance.
    committed: u64,
}

impl Worker<'_> {
    /// Commits the group and gives it its replies. After a fault the group is as it was.
    fn commit(&mut self, group: &mut Group) -> Result<()> {
        if group.number == Some(self.committed) {
            return Ok(());
        }
        group.drop_abandoned();
        let number = self.committed + 1;
        group.number = Some(number);
        self.attempt(group, number)
    }

    fn attempt(&mut self, group: &mut Group, number: u64) -> Result<()> {
        points::PUSH_SEND_BEFORE.reached()?;
        let mut draft = Draft::default();
        group.replies = self.writing.write_all(&group.requests, &mut draft)?;
        points::PUSH_SEND_AFTER.reached()?;
        self.writing.begin()?;
        self.writing.before_progress()?;
        send(&mut self.writing.producer, &self.writing.pipeline.id, self.instance, number)?;
        points::PUSH_NUMBER_AFTER.reached()?;
        self.writing.commit_draft(draft)?;
        self.committed = number;
        Ok(())
    }
}

async fn last_committed(cluster: &Cluster, pipeline: &str) -> Result<u64> {
    let values = positions::read(cluster, pipeline).await?;
    Ok(values.get(&name(cluster.instance())).and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default())
}

fn send(producer: &mut Producer, pipeline: &str, instance: &str, number: u64) -> Result<()> {
    positions::send(producer, pipeline, &name(instance), Some(&number))
}

fn name(instance: &str) -> String {
    format!("push/{instance}")
}
