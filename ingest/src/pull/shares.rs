//! The shares of a pipeline's work that this instance has, and the right to write for them.

use std::collections::{BTreeMap, BTreeSet};

use millrace_connectors::Split;
use millrace_model::{Code, Fault, Offsets, Result, TopicPartition};
use millrace_runtime::kafka::{Assigned, Cluster, Producer, groups, topics};
use millrace_runtime::output::Writer;
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;

use super::manifest::Manifest;
use crate::agreement::{Agreement, Work, grown};
use crate::crash_points as points;
use crate::positions::{self, ASSIGNMENTS};
use crate::service::Ingest;
use crate::spread::share_of;

/// The writing end of one share.
pub(super) struct Share {
    pub(super) producer: Producer,
    pub(super) writer: Writer,
    /// Where the pipeline keeps one.
    pub(super) manifest: Option<Manifest>,
}

/// The shares that the group has given to this instance.
pub(super) struct Shares<'a> {
    ingest: &'a Ingest,
    cluster: &'a Cluster,
    registry: &'a Registry,
    pipeline: &'a Pipeline,
    /// The topic of the manifest, if the pipeline keeps one.
    manifest: Option<&'a str>,
    /// How many shares there are in all.
    count: i32,
    mine: BTreeSet<i32>,
    /// Those of mine that have splits.
    open: BTreeMap<i32, Share>,
}

impl<'a> Shares<'a> {
    pub(super) async fn new(
        ingest: &'a Ingest,
        cluster: &'a Cluster,
        registry: &'a Registry,
        pipeline: &'a Pipeline,
        manifest: Option<&'a str>,
    ) -> Result<Self> {
        let count = topics::partitions(cluster, ASSIGNMENTS).await?;
        let shares = Self { ingest, cluster, registry, pipeline, manifest, count, mine: BTreeSet::new(), open: BTreeMap::new() };
        shares.agreement().make().await?;
        Ok(shares)
    }

    fn agreement(&self) -> Agreement<'_> {
        Agreement { ingest: self.ingest, cluster: self.cluster, pipeline: &self.pipeline.id, work: Work::Shares, parts: self.count }
    }

    /// What the group has noted with the shares that have come.
    ///
    /// # Errors
    /// [`Code::KafkaTopicAnother`] when that is another topic of positions than there is.
    pub(super) async fn noted(&self, assigned: &Assigned) -> Result<Offsets> {
        groups::committed(self.cluster, &self.pipeline.id, assigned.partitions.clone(), assigned.topic).await
    }

    /// Takes shares in.
    ///
    /// # Errors
    /// [`Code::KafkaFenced`] when there are more of them than this instance knows of.
    pub(super) fn add(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if partitions.iter().any(|partition| partition.partition >= self.count) {
            return Err(grown(&self.pipeline.id));
        }
        self.mine.extend(partitions.iter().map(|partition| partition.partition));
        Ok(())
    }

    /// The partitions of this instance, each with the offset that nothing is beyond.
    pub(super) fn mine(&self) -> Offsets {
        self.mine.iter().map(|&number| (TopicPartition::new(ASSIGNMENTS, number), 0)).collect()
    }

    /// Gives shares up. Nothing is in flight: every pull is committed before the next event is looked at.
    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.mine.remove(&partition.partition);
            self.open.remove(&partition.partition);
        }
    }

    pub(super) fn any(&self) -> bool {
        !self.mine.is_empty()
    }

    /// Whether all the work is this instance's.
    pub(super) fn are_all_mine(&self) -> bool {
        self.mine.len() == self.count as usize
    }

    /// Whether the split is in one of this instance's shares.
    pub(super) fn has(&self, split: &str) -> bool {
        self.mine.contains(&share_of(split.as_bytes(), self.count))
    }

    /// Takes the shares of these splits over, and then reads how far each split has been read: in this order, so that
    /// no predecessor can move a position after it has been read.
    pub(super) async fn open(&mut self, splits: &[Split]) -> Result<BTreeMap<String, Vec<u8>>> {
        for split in splits {
            let share = share_of(split.name.as_bytes(), self.count);
            if !self.open.contains_key(&share) {
                let opened = self.open_share(share).await?;
                self.open.insert(share, opened);
            }
        }
        points::PULL_FENCE_AFTER.reached()?;
        self.agreement().check().await?;
        let standings = self.standings().await?;
        points::PULL_POSITIONS_AFTER.reached()?;
        Ok(standings)
    }

    /// Where the splits stand, by the newest that is committed.
    pub(super) async fn standings(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        positions::read(self.cluster, &self.pipeline.id).await
    }

    async fn open_share(&self, share: i32) -> Result<Share> {
        let producer = self.ingest.open_producer(self.cluster, &Work::Shares.producer(&self.pipeline.id, share))?;
        let topic = &self.ingest.config.to.topic;
        let writer = Writer::open(self.registry, topic, &self.ingest.schema, &self.ingest.key).await?;
        let manifest = match self.manifest {
            Some(topic) => Some(Manifest::open(self.registry, topic).await?),
            None => None,
        };
        Ok(Share { producer, writer, manifest })
    }

    /// The writing end of a split.
    pub(super) fn of(&mut self, split: &str) -> Result<&mut Share> {
        let none = || Fault::fatal(Code::Internal, format!("the share of {split} is not open"));
        self.open.get_mut(&share_of(split.as_bytes(), self.count)).ok_or_else(none)
    }
}
