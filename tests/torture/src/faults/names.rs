//! Names that are not resolved: to the services, hosts have names that the resolver knows from a file, and asks nobody for who answers.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;

use super::{Fault, Part, Proof, TROUBLE, Wound};
use crate::watch::Sign;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Unresolved)]
}

/// No name is resolved, and connections have ended, so that new ones are wanted.
struct Unresolved;

#[async_trait]
impl Fault for Unresolved {
    fn name(&self) -> String {
        "dns_failing".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::KafkaLinks, Part::Registry, Part::PostgresLink]
    }

    fn shows(&self) -> &'static [Sign] {
        TROUBLE
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        world.outside.names.can_fail()
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        world.outside.names.forget();
        let before = connections(world);
        for link in &world.outside.links {
            link.interrupt().await;
        }
        let lasts = Duration::from_secs_f64(world.random.random_range(2.0..10.0));
        Some(Box::new(Forgotten { before, during: usize::MAX, lasts }))
    }
}

fn connections(world: &World) -> usize {
    world.outside.links.iter().map(|link| link.connections().len()).sum()
}

struct Forgotten {
    before: usize,
    during: usize,
    lasts: Duration,
}

#[async_trait]
impl Wound for Forgotten {
    fn what(&self) -> String {
        format!("for {:?}", self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn heal(mut self: Box<Self>, world: &mut World) -> Proof {
        self.during = connections(world);
        world.outside.names.tell();
        let (before, during) = (self.before, self.during);
        Proof::of(before > 0 && during * 4 < before, format!("{before} connections before it, {during} after a while"))
    }
}
