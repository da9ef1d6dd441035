//! Records into an ingest pipeline: read by schema, written to its topic.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_ingest::reread::Reread;
use millrace_ingest::service::Ingest;
use millrace_model::{Records, Rejection, Result, Stage};
use millrace_runtime::dead_letters::{DeadLetter, Identity, Resolution};
use millrace_runtime::formats::Refusal;
use millrace_runtime::kafka::Producer;
use millrace_runtime::output::Writer;
use millrace_runtime::telemetry::Hop;

use super::{Destination, send_marks};
use crate::Theatre;

/// An ingest pipeline's topic.
pub(super) struct Entry {
    reread: Reread,
    writer: Writer,
    producer: Producer,
    hop: Hop,
}

impl Entry {
    pub(super) async fn open(theatre: &Theatre, ingest: &Ingest, pipeline: &str, producer: Producer) -> Result<Self> {
        millrace_ingest::ensure_topics(&theatre.cluster, ingest).await?;
        let reread = Reread::open(ingest, &theatre.cluster, &theatre.registry, pipeline).await?;
        let topic = &ingest.config.to.topic;
        let writer = Writer::open(&theatre.registry, topic, &ingest.schema, &ingest.key).await?;
        Ok(Self { reread, writer, producer, hop: Hop::new("ingest", pipeline) })
    }
}

#[async_trait(?Send)]
impl Destination for Entry {
    async fn attempt(&mut self, _letters: &[DeadLetter], records: &Arc<Records>) -> Result<Vec<(Stage, Rejection)>> {
        let parsed = self.reread.read(records).await?;
        self.producer.begin()?;
        let written = self.writer.write(&mut self.producer, &parsed.batch, &[], &self.hop.untraced())?;
        let refused = parsed.refused.iter().map(Refusal::rejection).map(|rejection| (Stage::Read, rejection));
        let unwritten = written.rejected.into_iter().map(|rejection| (Stage::Encode, rejection));
        Ok(refused.chain(unwritten).collect())
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
