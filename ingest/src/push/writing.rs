//! Requests into the transactions of one producer.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use millrace_model::{Code, Fault, Records, Rejection, Result, Stage};
use millrace_runtime::formats::{JsonReader, Parsed, Refusal};
use millrace_runtime::kafka::Producer;
use millrace_runtime::output::{Writer, Written};
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::{BatchTrace, Tally};

use super::answer::{Answer, Refused};
use super::originals::Originals;
use super::reading::Content;
use super::request::{Reply, Request};
use crate::service::Ingest;

/// A producer, and what it writes of a pipeline's requests.
pub(super) struct Writing {
    ingest: Arc<Ingest>,
    pub(super) pipeline: Pipeline,
    pub(super) producer: Producer,
    writer: Writer,
    /// Reads what has come as text.
    pub(super) json: JsonReader,
    rejecter: Rejecter,
}

/// A transaction on its way: what it will have done when it is committed.
pub(super) struct Draft {
    started: Instant,
    tally: Tally,
}

impl Draft {
    /// Records were read.
    pub(super) fn read(&mut self, records: &Records) {
        self.tally.read(records);
    }
}

impl Default for Draft {
    fn default() -> Self {
        Self { started: Instant::now(), tally: Tally::default() }
    }
}

/// Whether a transaction failed for what one of its requests holds.
pub(super) fn blames_a_request(fault: &Fault) -> bool {
    matches!(fault.code(), Code::KafkaTooLarge | Code::KeyInvalid | Code::RejectionQuota)
}

impl Writing {
    pub(super) async fn open(ingest: &Arc<Ingest>, registry: &Registry, pipeline: &Pipeline, producer: Producer) -> Result<Self> {
        let writer = Writer::open(registry, &ingest.config.to.topic, &ingest.schema, &ingest.key).await?;
        let rejecter = Rejecter::new(&pipeline.id, &ingest.config.dead_letters, ingest.config.on_error);
        Ok(Self {
            ingest: Arc::clone(ingest),
            pipeline: pipeline.clone(),
            producer,
            writer,
            json: JsonReader::new(&ingest.schema)?,
            rejecter,
        })
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.ingest.begin(&mut self.producer)
    }

    /// Where progress can't be one transaction with the records, the records are made durable before it.
    pub(super) fn before_progress(&self) -> Result<()> {
        self.ingest.before_progress(&self.producer)
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        self.ingest.commit(&mut self.producer)
    }

    /// Commits, and counts what was done.
    pub(super) fn commit_draft(&mut self, mut draft: Draft) -> Result<()> {
        let committing = Instant::now();
        self.commit()?;
        let metrics = &self.pipeline.metrics;
        draft.tally.commit(metrics);
        self.rejecter.committed(metrics);
        metrics.commit_seconds(committing.elapsed().as_secs_f64());
        self.pipeline.health.works();
        metrics.batch_seconds(draft.started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Gives the transaction up.
    pub(super) fn abandon(&mut self) -> Result<()> {
        self.rejecter.abandoned();
        self.producer.abort()
    }

    /// Writes a request.
    pub(super) fn write(&mut self, request: &Request, draft: &mut Draft) -> Result<Reply> {
        match &request.read.content {
            Content::Parsed(parsed) => self.write_parsed(parsed, &request.read.originals, draft),
            Content::Json(records) => match self.json.read(records) {
                Ok(parsed) => self.write_parsed(&parsed, &request.read.originals, draft),
                Err(fault) => Ok(Err(Refused::broken(fault.message()))),
            },
        }
    }

    fn write_parsed(&mut self, parsed: &Parsed, originals: &Originals, draft: &mut Draft) -> Result<Reply> {
        if let (true, Some(refusal)) = (self.rejecter.halts(), parsed.refused.first()) {
            return Ok(Err(refused_whole(refusal)));
        }
        if self.rejecter.room_for(parsed.refused.len()).is_err() {
            return Ok(Err(Refused::over_quota()));
        }
        if let Err(fault) = originals.check(parsed.refused.len()) {
            return Ok(Err(Refused::too_large(&fault)));
        }
        let records = parsed.batch.origin().records();
        draft.read(records);
        // The records carry the contexts of their spans already: see `Entry`.
        let mut trace = self.pipeline.hop.untraced();
        let written = self.send(parsed, &trace, draft)?;
        originals.check(parsed.refused.len() + written.rejected.len())?;
        let read: Vec<Rejection> = parsed.refused.iter().map(Refusal::rejection).collect();
        self.reject(originals, records, &Stage::Read, read, &mut trace)?;
        let answer = Answer::new(written.records, &parsed.refused, &written.rejected);
        self.reject(originals, records, &Stage::Encode, written.rejected, &mut trace)?;
        Ok(Ok(answer))
    }

    /// Sends good records.
    ///
    /// # Errors
    /// With `on_error: halt`, that of the first one that can't be written.
    pub(super) fn send(&mut self, parsed: &Parsed, trace: &BatchTrace, draft: &mut Draft) -> Result<Written> {
        self.begin()?;
        let written = self.writer.write(&mut self.producer, &parsed.batch, &[], trace)?;
        if let (true, Some(first)) = (self.rejecter.halts(), written.rejected.first()) {
            return Err(Fault::operator(first.code, first.reason.clone()));
        }
        self.producer.poll();
        draft.tally.written(written.records, written.bytes);
        Ok(written)
    }

    pub(super) fn reject(
        &mut self,
        originals: &Originals,
        records: &Arc<Records>,
        stage: &Stage,
        rejections: Vec<Rejection>,
        trace: &mut BatchTrace,
    ) -> Result<()> {
        let (records, rejections) = originals.of(records, rejections);
        self.rejecter.reject(&mut self.producer, &records, stage, rejections, trace)
    }
}

fn refused_whole(refusal: &Refusal) -> Refused {
    let reason = format!("record {}: {}; nothing of this request was written", refusal.record, refusal.text());
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.code, reason)
}
