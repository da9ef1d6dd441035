//! Requests with an `Idempotency-Key`: each belongs to the replica that owns its key's partition of `millrace.idempotency`.
//!
//! ```text
//!  millrace.idempotency ──partition──► producer `<project>.<pipeline>.key.<partition>` opened: the predecessor is fenced
//!                                      window read from the partition ──► address told in millrace.gateways ──► lane opens
//!  request ─► entrance: here? ─► lane ─► one transaction: records, dead letters, key and answer
//!                       else  ─► forward to the address ─► the owner's entrance
//! ```
//!
//! The pipeline's consumer group divides the partitions among the replicas, as it does with the shares of a source
//! ([`crate::positions::ASSIGNMENTS`]). A key is written in the transaction of its records, to the owner's partition: who owns that
//! next reads it there before it takes a request. So a repetition finds the first answer wherever it comes in, after any restart.

mod clock;
mod entrance;
mod forward;
mod lane;
mod owners;
mod place;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use millrace_model::{Code, Fault, Result, TopicPartition};
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Assigned, Cluster, Consumer, Event, Producer, Revoked, Subscription};
use millrace_runtime::own_topics::GATEWAYS;
pub use millrace_runtime::own_topics::IDEMPOTENCY;
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;
use tokio::sync::{mpsc, watch};

pub(super) use entrance::{Entrance, Way};
pub(super) use forward::{Forwarder, Hop, Key, handed_over, is_elsewhere};
pub(super) use owners::Owners;
pub(crate) use place::Places;

use self::lane::{Lane, Running};
use self::window::Window;
use super::gateway::GRACE;
use super::writing::Writing;
use crate::agreement::{Agreement, Work, grown};
use crate::crash_points as points;
use crate::service::Ingest;

/// The topics that the gateway keeps for idempotency keys, the first with so many partitions.
pub fn key_topics(partitions: i32) -> [Declared; 2] {
    [Declared::compacted(IDEMPOTENCY, partitions), Declared::compacted(GATEWAYS, 1)]
}

/// How many requests wait for one partition; further senders wait for a place.
const WAITING: usize = 256;

/// What the owner of partitions needs to be one.
pub(crate) struct Membership {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) cluster: Cluster,
    pub(crate) registry: Registry,
    /// Where other replicas reach this one's gateway.
    pub(crate) address: String,
    /// How many partitions the topic is made with.
    pub(crate) partitions: i32,
    /// Where the entrance sees what is owned.
    pub(crate) places: watch::Sender<Places>,
}

impl Membership {
    /// Runs until the gateway has closed; to be called again after a fault.
    pub(crate) async fn run(&self, pipeline: &Pipeline) -> Result<()> {
        topics::ensure(&self.cluster, &[&key_topics(self.partitions)[..], &self.ingest.topics].concat()).await?;
        let count = topics::partitions(&self.cluster, IDEMPOTENCY).await?;
        self.agreement(pipeline, count).make().await?;
        let subscription = Subscription { topic: IDEMPOTENCY.to_owned(), group: pipeline.id.to_string() };
        let mut consumer = Consumer::subscribe(&self.cluster, &subscription)?;
        self.places.send_replace(Places::new(count));
        pipeline.health.running();
        let (failed, faults) = mpsc::unbounded_channel();
        let mut member = Member { membership: self, pipeline, count, lanes: BTreeMap::new(), failed };
        let ended = member.work(&mut consumer, faults).await;
        self.places.send_replace(Places::default());
        member.close(|_| true).await;
        consumer.close().await;
        ended
    }
}

impl Membership {
    fn agreement<'a>(&'a self, pipeline: &'a Pipeline, parts: i32) -> Agreement<'a> {
        Agreement { ingest: &self.ingest, cluster: &self.cluster, pipeline: &pipeline.id, work: Work::Keys, parts }
    }
}

/// One run of a membership.
struct Member<'a> {
    membership: &'a Membership,
    pipeline: &'a Pipeline,
    count: i32,
    lanes: BTreeMap<i32, Running>,
    /// Where a lane says that it has failed.
    failed: mpsc::UnboundedSender<Fault>,
}

impl Member<'_> {
    async fn work(&mut self, consumer: &mut Consumer, mut faults: mpsc::UnboundedReceiver<Fault>) -> Result<()> {
        loop {
            let event = tokio::select! {
                biased;
                () = self.gateway_closed() => return Ok(()),
                Some(fault) = faults.recv() => return Err(fault),
                event = consumer.next() => event?,
            };
            match event {
                Event::Assigned(assigned) => self.open(assigned).await?,
                Event::Revoked(revoked) => self.hand_over(revoked).await,
                // Some may have been on their way when the partitions were put on hold.
                Event::Records(_) => {}
            }
        }
    }

    /// The gateway has closed, or should have: a connection that stands still does not hold the process.
    async fn gateway_closed(&self) {
        let overdue = async {
            self.pipeline.shutdown.requested().await;
            tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
        };
        tokio::select! {
            () = self.membership.places.closed() => {}
            () = overdue => {}
        }
    }

    /// Takes partitions over, in this order: their predecessors are fenced, what they have remembered is read, and the other replicas
    /// are told the address.
    async fn open(&mut self, assigned: Assigned) -> Result<()> {
        let partitions: Vec<i32> = assigned.partitions.iter().map(|partition| partition.partition).collect();
        assigned.hold();
        if partitions.iter().any(|&partition| partition >= self.count) {
            return Err(grown(&self.pipeline.id));
        }
        self.membership.places.send_modify(|places| places.opening(&partitions));
        let producers = try_join_all(partitions.iter().map(|&partition| self.producer(partition))).await?;
        points::KEYED_FENCE_AFTER.reached()?;
        self.membership.agreement(self.pipeline, self.count).check().await?;
        let windows = self.windows(&partitions).await?;
        points::KEYED_WINDOW_AFTER.reached()?;
        for ((partition, producer), window) in partitions.into_iter().zip(producers).zip(windows) {
            let lane = self.lane(partition, producer, window).await?;
            let (requests, inbox) = mpsc::channel(WAITING);
            self.lanes.insert(partition, lane.start(inbox, self.failed.clone())?);
            self.membership.places.send_modify(|places| places.open(partition, requests));
        }
        Ok(())
    }

    /// The producer that fences whoever had the partition before. Opening it blocks, each for itself.
    async fn producer(&self, partition: i32) -> Result<Producer> {
        let (ingest, cluster) = (Arc::clone(&self.membership.ingest), self.membership.cluster.clone());
        let id = Work::Keys.producer(&self.pipeline.id, partition);
        let opened = tokio::task::spawn_blocking(move || ingest.open_producer(&cluster, &id)).await;
        opened.map_err(|error| Fault::fatal(Code::Internal, "opening a producer panicked").because(error))?
    }

    async fn windows(&self, partitions: &[i32]) -> Result<Vec<Window>> {
        let limits = window::Limits::of(&self.membership.ingest, self.count);
        window::read(&self.membership.cluster, &self.pipeline.id, partitions, self.count, limits).await
    }

    async fn lane(&self, partition: i32, producer: Producer, window: Window) -> Result<Lane> {
        let Membership { ingest, registry, address, .. } = self.membership;
        let mut writing = Writing::open(ingest, registry, self.pipeline, producer).await?;
        writing.begin()?;
        owners::announce(&mut writing.producer, &self.pipeline.id, partition, address)?;
        writing.commit()?;
        points::KEYED_ADDRESS_AFTER.reached()?;
        Ok(Lane::new(writing, window, partition))
    }

    /// Lets partitions go: what is being committed is, and what waits is told to come again.
    async fn hand_over(&mut self, revoked: Revoked) {
        let goes = |partition: i32| revoked.partitions.iter().any(|gone: &TopicPartition| gone.partition == partition);
        self.membership.places.send_modify(|places| places.close(goes));
        self.close(goes).await;
    }

    async fn close(&mut self, goes: impl Fn(i32) -> bool) {
        let leaving: Vec<i32> = self.lanes.keys().copied().filter(|&partition| goes(partition)).collect();
        for running in leaving.iter().filter_map(|partition| self.lanes.remove(partition)) {
            running.stop().await;
        }
    }
}
