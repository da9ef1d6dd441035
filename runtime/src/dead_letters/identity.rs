//! What makes two copies of a dead letter one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A dead letter's identity: the same wherever, and however often, it is written.
///
/// All parts are text, as the headers have them: a letter of another program may have anything there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "[String; 5]", into = "[String; 5]")]
pub struct Identity {
    /// The pipeline that rejected the record, as `<project>.<pipeline>`, or Kafka Connect's connector.
    pub pipeline: String,
    /// The topic, or the source, that the record was read from.
    pub topic: String,
    /// Its partition there.
    pub partition: String,
    /// Its offset there.
    pub offset: String,
    /// Where in the pipeline it was rejected.
    pub stage: String,
}

impl From<[String; 5]> for Identity {
    fn from([pipeline, topic, partition, offset, stage]: [String; 5]) -> Self {
        Self { pipeline, topic, partition, offset, stage }
    }
}

impl From<Identity> for [String; 5] {
    fn from(identity: Identity) -> Self {
        [identity.pipeline, identity.topic, identity.partition, identity.offset, identity.stage]
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pipeline, topic, partition, offset, stage } = self;
        write!(f, "{topic}-{partition} offset {offset}, rejected by {pipeline} at {stage}")
    }
}
