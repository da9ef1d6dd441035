//! A figure: what one program did in one job.

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use crate::measured::Measured;

/// What one program did in one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) job: String,
    /// The program: `millrace`, a reference or a peer.
    pub(crate) who: String,
    /// Which time of several that the job was run.
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) measured: Measured,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

impl Figure {
    pub(crate) fn new(job: &str, who: &str, measured: Measured) -> Self {
        Self { job: job.to_owned(), who: who.to_owned(), round: 1, measured, findings: Vec::new() }
    }

    /// With something found about it.
    pub(crate) fn found(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }
}
