//! The way of records through a pipeline: decoded, taken through the steps, encoded. What the service does with the records of its
//! topic, and a replay with those of dead letters.

mod in_line;

use std::sync::Arc;

use millrace_model::{Batch, Code, Fault, Records, Rejection, Result, Retry, Schema, Stage};
use millrace_runtime::codec::Decoded;
use millrace_runtime::input::{Change, Input};
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::output::{Fitted, Sifted, Writer};
use millrace_runtime::project::flow;
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::{BatchTrace, Hop};

use crate::chain::Chain;
use crate::config::StepConfig;
use crate::crash_points::SCHEMA_AFTER;
use crate::service::Transform;

/// The first part of the way: records in, rows out.
struct Steps {
    input: Input,
    chain: Chain,
    configs: Vec<StepConfig>,
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
    fn compile(transform: &Transform) -> Result<Self> {
        let config = &transform.config;
        let chain = Chain::compile(&config.steps, &transform.input)?;
        let input = Input::new(&config.from, &transform.input, config.schema_changes, config.on_incompatible)?;
        Ok(Self { input, chain, configs: config.steps.clone() })
    }

    fn compiled(&self, change: &Change) -> Result<Chain> {
        Chain::compile(&self.configs, change.schema())
    }

    fn follow(&mut self, change: Change, chain: Chain) -> Result<()> {
        self.input.follow(change)?;
        self.chain = chain;
        Ok(())
    }

    /// Takes the records through decoding and the steps.
    fn apply(&mut self, records: &Arc<Records>) -> Result<Stepped> {
        let decoded = self.input.decode(records)?;
        self.step(decoded)
    }

    fn step(&self, decoded: Decoded) -> Result<Stepped> {
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
    output: Output,
    key: Vec<String>,
}

/// What is written, and what decides it.
enum Output {
    /// A file: what the steps make must fit it.
    Declared(Schema),
    /// What the steps make, named after the topic.
    Made { topic: String, schema: Schema },
}

/// Records that have come through all but the sending, which nothing of it knows of.
pub struct Prepared {
    fitted: Fitted,
    filtered: u64,
    rejected: Vec<(Stage, Vec<Rejection>)>,
}

impl Prepared {
    /// The records.
    pub fn records(&self) -> &Arc<Records> {
        self.fitted.records()
    }

    /// Sends what came out, in the producer's transaction if it is in one.
    pub fn send(self, producer: &mut Producer, trace: &BatchTrace) -> Result<Passed> {
        let written = self.fitted.send(producer, trace)?;
        let mut rejected = self.rejected;
        rejected.push((Stage::Encode, written.rejected));
        Ok(Passed { records: written.records, bytes: written.bytes, filtered: self.filtered, rejected })
    }
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
    pub async fn open(transform: &Transform, registry: &Registry) -> Result<Self> {
        let steps = Steps::compile(transform)?;
        let topic = &transform.config.to.topic;
        let writer = Writer::open(registry, topic, &transform.output, &transform.key).await?;
        let schema = transform.output.clone();
        let output = if transform.output_declared { Output::Declared(schema) } else { Output::Made { topic: topic.clone(), schema } };
        Ok(Self { steps, writer, output, key: transform.key.clone() })
    }

    /// Learns the schemas that the records were written with; to be called before they pass. Where the topic's schema has changed, the
    /// steps are compiled for the new one, and what comes out by it is registered.
    pub async fn learn(&mut self, registry: &Registry, records: &Records) -> Result<()> {
        while let Some(change) = self.steps.input.learn(registry, records).await? {
            match self.adopt(&change, registry).await {
                Ok(chain) => self.steps.follow(change, chain)?,
                Err(fault) if is_unfit(&fault) => self.steps.input.decline(&change, &fault.to_string())?,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Compiles the steps for a change, and registers what they then make.
    async fn adopt(&mut self, change: &Change, registry: &Registry) -> Result<Chain> {
        let chain = self.steps.compiled(change)?;
        match &mut self.output {
            Output::Declared(declared) => {
                let misfits = flow::misfits(chain.output(), declared);
                if let Some(misfit) = misfits.first() {
                    return Err(Fault::operator(Code::SchemaIncompatible, misfit.clone()));
                }
            }
            Output::Made { topic, schema } => {
                let made = flow::named_after(chain.output(), topic);
                if made != *schema {
                    self.writer.follow(registry, &made, &self.key).await?;
                    SCHEMA_AFTER.reached()?;
                    *schema = made;
                }
            }
        }
        Ok(chain)
    }

    /// Takes the records through up to the bytes that the output's topic gets.
    pub fn prepare(&mut self, records: &Arc<Records>) -> Result<Prepared> {
        let Stepped { batch, tombstones, filtered, rejected } = self.steps.apply(records)?;
        Ok(Prepared { fitted: self.writer.fit(batch, tombstones)?, filtered, rejected })
    }

    /// Takes the records through, and sends what comes out, in the producer's transaction if it is in one.
    pub fn pass(&mut self, records: &Arc<Records>, producer: &mut Producer, trace: &BatchTrace) -> Result<Passed> {
        self.prepare(records)?.send(producer, trace)
    }

    /// The same of records some of which may be larger than their topic takes: those are rejected. Tells whether any is. Tries are transactions of
    /// their own: the one that is open is aborted, and another begun.
    pub(crate) fn pass_sifted(
        &mut self,
        records: &Arc<Records>,
        producer: &mut Producer,
        trace: &BatchTrace,
        hop: &Hop,
    ) -> Result<(Passed, bool)> {
        let Stepped { batch, tombstones, filtered, mut rejected } = self.steps.apply(records)?;
        let Sifted { batch, rejected: too_large } = self.writer.sift(producer, &batch, hop)?;
        producer.begin()?;
        let written = self.writer.write(producer, &batch, &tombstones, trace)?;
        let any = !too_large.is_empty();
        rejected.push((Stage::Encode, too_large.into_iter().chain(written.rejected).collect()));
        Ok((Passed { records: written.records, bytes: written.bytes, filtered, rejected }, any))
    }

    /// Takes the records through and sends nothing; what would be rejected on the way out is among the rejected.
    pub fn rehearse(&mut self, records: &Arc<Records>, cluster: &Cluster) -> Result<Stepped> {
        let mut stepped = self.steps.apply(records)?;
        let rejected = self.writer.fit(stepped.batch.clone(), stepped.tombstones.clone())?.rejected(cluster)?;
        stepped.rejected.push((Stage::Encode, rejected));
        Ok(stepped)
    }
}

/// Whether the fault says that the pipeline can't work with a schema, not that the registry can't be asked.
fn is_unfit(fault: &Fault) -> bool {
    fault.retry() == Retry::Operator && fault.code() != Code::RegistryUnavailable
}
