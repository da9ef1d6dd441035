//! The faults: each has a name, a way to inflict it, a way to end it, and a proof that it bit.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::watch::Sign;
use crate::world::World;

/// What trouble with a target or the registry shows by.
const TROUBLE: &[Sign] = &[Sign::Retries, Sign::Waiting, Sign::ConnectionFailures, Sign::BreakerOpen];

mod brokers;
mod database;
mod links;
mod process;
mod registry;

/// A kind of fault.
#[async_trait]
pub(crate) trait Fault: Send + Sync {
    /// Its name, in which the group comes first.
    fn name(&self) -> String;

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

/// All faults.
pub(crate) fn all() -> Vec<Box<dyn Fault>> {
    [process::all(), brokers::all(), links::all(), database::all(), registry::all()].into_iter().flatten().collect()
}
