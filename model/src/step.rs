//! What changes batches.

use crate::batch::Batch;
use crate::fault::Result;
use crate::rejected::Rejection;
use crate::schema::Schema;

/// What a step made of a batch. Each row of the input is in `out`, or in `rejected`, or was dropped on purpose.
#[derive(Debug)]
pub struct Applied {
    /// The rows that go on, in the order of the input, each with the origin of the row it was made of.
    pub out: Batch,
    /// The rows that can't be processed.
    pub rejected: Vec<Rejection>,
}

/// One step of a transform pipeline, compiled for its input schema: synchronous, pure, and deterministic
/// within a batch. Driven by the transform loop, which runs steps in their order.
///
/// A row that fails is rejected alone. A fault says that the step itself is broken, and halts the pipeline.
pub trait Step: Send + Sync {
    /// Applies the step to a batch of its input schema.
    fn apply(&self, batch: Batch) -> Result<Applied>;

    /// The schema of what comes out.
    fn output(&self) -> &Schema;
}
