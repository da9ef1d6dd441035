//! How many parts work is cut into, which all instances of a pipeline must agree on: the part of a name is told by it, and two owners of one
//! name would both write what it brings.
//!
//! The number is that of a topic's partitions, which can grow while instances run, and which each learns when it does. So it is also kept in
//! `millrace.positions`. Whoever finds another number there writes its own, and then fences the producers of all parts as they were before.
//! Whoever takes a part over opens its producer first, and reads the number then: an instance that goes by the old number was fenced, or reads
//! that it has changed, before it has written anything.

use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::Cluster;

use crate::positions;
use crate::service::Ingest;

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The splits of a source.
    Shares,
    /// Idempotency keys.
    Keys,
}

impl Work {
    /// The name among the pipeline's positions. Neither a split's nor an instance's begins with two slashes.
    const fn name(self) -> &'static str {
        match self {
            Self::Shares => "//shares",
            Self::Keys => "//keys",
        }
    }

    /// The transactional id of a part's producer.
    pub(crate) fn producer(self, pipeline: &str, part: i32) -> String {
        match self {
            Self::Shares => format!("{pipeline}.{part}"),
            Self::Keys => format!("{pipeline}.key.{part}"),
        }
    }
}

/// That the work of a pipeline is cut into so many parts.
pub(crate) struct Agreement<'a> {
    pub(crate) ingest: &'a Ingest,
    pub(crate) cluster: &'a Cluster,
    pub(crate) pipeline: &'a str,
    pub(crate) work: Work,
    pub(crate) parts: i32,
}

impl Agreement<'_> {
    /// Comes to it, before anything is written by it.
    pub(crate) async fn make(&self) -> Result<()> {
        let Some(former) = self.kept().await? else { return self.keep() };
        if former != self.parts {
            tracing::info!(pipeline = self.pipeline, former, now = self.parts, "work is cut into another number of parts");
            self.keep()?;
            for part in 0..former {
                self.ingest.open_producer(self.cluster, &self.work.producer(self.pipeline, part))?;
            }
        }
        Ok(())
    }

    /// Whether it still stands; to be asked after the producers of parts were opened, before anything is written by them.
    ///
    /// # Errors
    /// [`Code::KafkaFenced`]: another instance goes by another number since. Starting over learns it.
    pub(crate) async fn check(&self) -> Result<()> {
        match self.kept().await? {
            Some(parts) if parts == self.parts => Ok(()),
            _ => Err(grown(self.pipeline)),
        }
    }

    async fn kept(&self) -> Result<Option<i32>> {
        let kept = positions::read(self.cluster, self.pipeline).await?.remove(self.work.name());
        let unreadable = |error| Fault::fatal(Code::Internal, "the number of parts can't be read back").because(error);
        kept.map(|value| serde_json::from_slice(&value).map_err(unreadable)).transpose()
    }

    fn keep(&self) -> Result<()> {
        let mut producer = self.ingest.open_producer(self.cluster, &format!("{}.{}", self.pipeline, &self.work.name()[2..]))?;
        self.ingest.begin(&mut producer)?;
        positions::send(&mut producer, self.pipeline, self.work.name(), Some(&self.parts))?;
        self.ingest.commit(&mut producer)
    }
}

/// The fault of an instance that goes by a number of parts which is not that of the others.
pub(crate) fn grown(pipeline: &str) -> Fault {
    let message = format!("the topic that divides the work of {pipeline} has another number of partitions now; its instances start over");
    Fault::passing(Code::KafkaFenced, message)
}
