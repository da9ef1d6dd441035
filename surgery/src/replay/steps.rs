//! Records through a transform pipeline's steps, into its output topic.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::{Records, Rejection, Result, Stage};
use millrace_runtime::dead_letters::{DeadLetter, Identity, Resolution};
use millrace_runtime::kafka::Producer;
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::Hop;
use millrace_transform::passage::Passage;
use millrace_transform::service::Transform;

use super::{Destination, each_rejected, send_marks};
use crate::Theatre;

/// A transform pipeline's output topic.
pub(super) struct Steps {
    registry: Registry,
    passage: Passage,
    producer: Producer,
    hop: Hop,
}

impl Steps {
    pub(super) async fn open(theatre: &Theatre, transform: &Transform, producer: Producer) -> Result<Self> {
        let passage = Passage::open(transform, &theatre.registry).await?;
        let hop = Hop::new("transform", &transform.config.from);
        Ok(Self { registry: theatre.registry.clone(), passage, producer, hop })
    }
}

#[async_trait(?Send)]
impl Destination for Steps {
    async fn attempt(&mut self, _letters: &[DeadLetter], records: &Arc<Records>) -> Result<Vec<(Stage, Rejection)>> {
        self.passage.learn(&self.registry, records).await?;
        self.producer.begin()?;
        let passed = self.passage.pass(records, &mut self.producer, &self.hop.untraced())?;
        Ok(each_rejected(passed.rejected))
    }

    async fn commit(&mut self, marks: &[(Identity, Resolution)]) -> Result<()> {
        send_marks(&mut self.producer, marks)?;
        self.producer.commit()
    }

    async fn abandon(&mut self) -> Result<()> {
        self.producer.abort()
    }

    async fn mark(&mut self, marks: &[(Identity, Resolution)]) -> Result<()> {
        self.commit(marks).await
    }
}
