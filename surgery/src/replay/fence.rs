//! One at a time: whoever settles letters of a pipeline ends what another had begun.

use millrace_model::Result;
use millrace_runtime::dead_letters::{self, Marks};
use millrace_runtime::kafka::{Cluster, Producer};

use crate::crash_points::FENCE_AFTER;

/// Takes the right to settle the letters of `pipeline`, and then reads what is settled: in this order, so that no predecessor can mark
/// one after it has been read.
pub(crate) async fn take(cluster: &Cluster, pipeline: &str) -> Result<(Producer, Marks)> {
    let producer = Producer::transactional(cluster, &format!("{pipeline}.dead-letters"))?;
    let marks = dead_letters::resolutions(cluster).await?;
    FENCE_AFTER.reached()?;
    Ok((producer, marks))
}
