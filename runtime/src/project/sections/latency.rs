//! How soon records are to be seen at the other end.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How soon a record is handed on, against what that costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Many records share a commit: a transform commits every 100 ms, a load every second. What costs least.
    #[default]
    Balanced,
    /// Whatever is there is committed at once, and what comes meanwhile makes the next commit. A lone record is through all services in
    /// some tens of milliseconds; a steady trickle costs a commit for each few records. Loads into a lake are as they are without it.
    Low,
}

impl Latency {
    /// How long records gather before they are committed, where nothing else is said: `usual`, or not at all.
    pub const fn commit_interval(self, usual: Duration) -> Duration {
        match self {
            Self::Balanced => usual,
            Self::Low => Duration::ZERO,
        }
    }

    /// How long a producer waits for more records before it sends some (`linger.ms`), in milliseconds.
    pub const fn linger_ms(self) -> &'static str {
        match self {
            Self::Balanced => "5",
            Self::Low => "0",
        }
    }
}
