//! The steps of one pipeline, compiled, one after the other.

use std::sync::Arc;

use millrace_model::{Applied, Batch, Fault, Rejection, Result, Schema, Stage, Step};

use crate::config::StepConfig;
use crate::steps;

/// Compiled steps; none at all passes batches as they are.
pub(crate) struct Chain {
    steps: Vec<(Stage, Box<dyn Step>)>,
    output: Schema,
}

/// What one step rejected.
type RejectedBy = (Stage, Vec<Rejection>);

impl Chain {
    /// Compiles `configs` for batches of `input`.
    pub(crate) fn compile(configs: &[StepConfig], input: &Schema) -> Result<Self> {
        let compiled = steps::compile(configs, input).map_err(|error| {
            let step = configs.get(error.step).map_or("", StepConfig::kind);
            Fault::operator(error.code, format!("step {} ({step}): {}", error.step, error.message))
        })?;
        let output = compiled.last().map_or(input, |step| step.output()).clone();
        let stages = configs.iter().enumerate().map(|(index, config)| Stage::Step(Arc::from(format!("{index}:{}", config.kind()))));
        Ok(Self { steps: stages.zip(compiled).collect(), output })
    }

    /// The schema of what comes out.
    pub(crate) fn output(&self) -> &Schema {
        &self.output
    }

    /// Takes a batch through the steps; returns what comes out, and what each step rejected.
    pub(crate) fn apply(&self, mut batch: Batch) -> Result<(Batch, Vec<RejectedBy>)> {
        let mut rejected = Vec::new();
        for (stage, step) in &self.steps {
            let Applied { out, rejected: refused } = step.apply(batch)?;
            batch = out;
            if !refused.is_empty() {
                rejected.push((stage.clone(), refused));
            }
        }
        Ok((batch, rejected))
    }
}
