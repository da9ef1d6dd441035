//! The faults: each has a name, a way to inflict it, a way to end it, and a proof that it bit.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::watch::Sign;
use crate::world::World;

/// What trouble with a target or the registry shows by.
const TROUBLE: &[Sign] = &[Sign::Retries, Sign::Waiting, Sign::ConnectionFailures, Sign::BreakerOpen];

mod brokers;
mod database;
mod failover;
mod links;
mod names;
mod partitions;
mod poison;
mod process;
mod registry;

/// A part of the world. Two faults that hit the same part do not come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The instances of a service.
    Service(&'static str),
    /// Which instances there are.
    Fleet,
    Brokers,
    /// How many partitions topics have.
    Partitions,
    KafkaLinks,
    /// The registry, and the link to it.
    Registry,
    Postgres,
    PostgresLink,
    /// What goes in.
    Stream,
}

/// A kind of fault.
#[async_trait]
pub(crate) trait Fault: Send + Sync {
    /// Its name, in which the group comes first.
    fn name(&self) -> String;

    /// What it hits.
    fn hits(&self) -> Vec<Part>;

    /// How long it, and what it leaves behind by design, last at most.
    fn longest(&self) -> Duration {
        Duration::from_secs(12)
    }

    /// How often it comes while another one comes once: what is over soon comes often.
    fn share(&self) -> usize {
        2
    }

    /// Whether it can be inflicted here and now; if not, why.
    fn possible(&self, _world: &World) -> Result<(), String> {
        Ok(())
    }

    /// The signs of which an operator must see one, where the fault comes alone; nothing where it may pass unseen.
    fn shows(&self) -> &'static [Sign] {
        &[]
    }

    /// Inflicts it; `None` when it turned out to be impossible.
    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>>;
}

/// A fault that was inflicted.
#[async_trait]
pub(crate) trait Wound: Send {
    /// What was hit.
    fn what(&self) -> String;

    /// How long it lasts.
    fn lasts(&self) -> Duration;

    /// Looks at it from time to time while it lasts.
    async fn look(&mut self, _world: &World) {}

    /// Whether it has done what it was to do, and need not last any longer.
    fn is_done(&self) -> bool {
        false
    }

    /// Ends it; returns whether, and how, it bit.
    async fn heal(self: Box<Self>, world: &mut World) -> Proof;
}

/// Whether a fault bit.
#[derive(Debug)]
pub(crate) enum Proof {
    /// It did, as this shows.
    Bit(String),
    /// Nothing shows that it did; it does not count.
    Missed(String),
    /// Millrace did what it must not.
    Broken(String),
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bit(what) => write!(f, "it bit: {what}"),
            Self::Missed(what) => write!(f, "nothing shows that it bit: {what}"),
            Self::Broken(what) => write!(f, "BROKEN: {what}"),
        }
    }
}

impl Proof {
    /// A proof if there is one.
    fn of(bit: bool, what: String) -> Self {
        if bit { Self::Bit(what) } else { Self::Missed(what) }
    }
}

/// How long a fault lasts that waits for somebody to meet it: as long as was drawn, and longer where nobody has.
#[derive(Debug)]
struct Bites {
    since: Instant,
    lasts: Duration,
    bit: bool,
}

impl Bites {
    /// Nobody is waited for any longer.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn within(lasts: Duration) -> Self {
        Self { since: Instant::now(), lasts, bit: false }
    }

    fn longest(&self) -> Duration {
        self.lasts.max(Self::PATIENCE)
    }

    /// Whether it need not last any longer if it has bitten.
    fn is_time(&self) -> bool {
        self.since.elapsed() >= self.lasts
    }

    fn is_done(&self) -> bool {
        self.bit && self.is_time()
    }
}

/// All faults.
pub(crate) fn all() -> Vec<Box<dyn Fault>> {
    let groups = [process::all(), brokers::all(), partitions::all(), links::all(), database::all(), failover::all(), registry::all()];
    groups.into_iter().chain([names::all(), poison::all()]).flatten().collect()
}
