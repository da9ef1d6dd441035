//! The way of records through a pipeline: decoded, taken through the steps, encoded. What the service does with the records of its
//! topic, and a replay with those of dead letters.

use std::sync::Arc;

use millrace_model::{Batch, Records, Rejection, Result, Stage};
use millrace_runtime::codec::Decoder;
use millrace_runtime::input;
use millrace_runtime::kafka::Producer;
use millrace_runtime::output::Writer;
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::BatchTrace;

use crate::chain::Chain;
use crate::service::Transform;

/// The first part of the way, which needs no Kafka: records in, rows out.
pub struct Steps {
    decoder: Decoder,
    chain: Chain,
}

/// What came out of the steps.
pub struct Stepped {
    /// The rows.
    pub batch: Batch,
    /// The indices of the records without a value, which pass the steps by.
    pub tombstones: Vec<u32>,
    /// How many rows were dropped on purpose.
    pub filtered: u64,
    /// What fell out, and where.
    pub rejected: Vec<(Stage, Vec<Rejection>)>,
}

impl Steps {
    /// Those of a pipeline, compiled.
    pub fn compile(transform: &Transform) -> Result<Self> {
        let chain = Chain::compile(&transform.config.steps, &transform.input)?;
        Ok(Self { decoder: Decoder::new(&transform.input)?, chain })
    }

    /// Learns the schemas that the records were written with; to be called before they are taken through.
    pub async fn learn(&mut self, registry: &Registry, records: &Records) -> Result<()> {
        input::learn(&mut self.decoder, registry, records).await
    }

    /// Takes the records through decoding and the steps.
    pub fn apply(&mut self, records: &Arc<Records>) -> Result<Stepped> {
        let decoded = self.decoder.decode(records)?;
        let mut rejected = vec![(Stage::Decode, decoded.rejected)];
        let entering = decoded.batch.len();
        let (batch, refused) = self.chain.apply(decoded.batch)?;
        let refusals: usize = refused.iter().map(|(_, rejections)| rejections.len()).sum();
        let filtered = (entering - batch.len() - refusals) as u64;
        rejected.extend(refused);
        Ok(Stepped { batch, tombstones: decoded.tombstones, filtered, rejected })
    }
}

/// The whole way.
pub struct Passage {
    steps: Steps,
    writer: Writer,
}

/// What became of records.
pub struct Passed {
    /// How many were written.
    pub records: u64,
    /// How many bytes of values they have.
    pub bytes: u64,
    /// How many were dropped on purpose.
    pub filtered: u64,
    /// What fell out, and where.
    pub rejected: Vec<(Stage, Vec<Rejection>)>,
}

impl Passage {
    /// That of a pipeline; registers the schemas of its output.
    pub async fn open(transform: &Transform, registry: &Registry, producer: &mut Producer) -> Result<Self> {
        let steps = Steps::compile(transform)?;
        let writer = Writer::open(registry, producer, &transform.config.to.topic, &transform.output, &transform.key).await?;
        Ok(Self { steps, writer })
    }

    /// Learns the schemas that the records were written with; to be called before they pass.
    pub async fn learn(&mut self, registry: &Registry, records: &Records) -> Result<()> {
        self.steps.learn(registry, records).await
    }

    /// Takes the records through, and sends what comes out, in the producer's transaction if it is in one.
    pub fn pass(&mut self, records: &Arc<Records>, producer: &Producer, trace: &BatchTrace) -> Result<Passed> {
        let Stepped { batch, tombstones, filtered, mut rejected } = self.steps.apply(records)?;
        let written = self.writer.write(producer, &batch, &tombstones, trace)?;
        rejected.push((Stage::Encode, written.rejected));
        Ok(Passed { records: written.records, bytes: written.bytes, filtered, rejected })
    }
}
