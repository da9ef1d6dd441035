//! A registry that answers, and answers nonsense. That it is away or slow is a matter of its link.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;

use super::links::restart_one;
use super::{Bites, Fault, Part, Proof, TROUBLE, Wound};
use crate::outside::registry::Manner;
use crate::watch::Sign;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Lying { manner: Manner::Broken }), Box::new(Lying { manner: Manner::Wrong })]
}

/// Every request is answered with an error, or with what no registry says.
struct Lying {
    manner: Manner,
}

#[async_trait]
impl Fault for Lying {
    fn name(&self) -> String {
        format!("registry_{}", if self.manner == Manner::Broken { "error_500" } else { "wrong_answer" })
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Registry]
    }

    /// A wrong answer halts a pipeline for a minute.
    fn longest(&self) -> Duration {
        Duration::from_secs(if self.manner == Manner::Broken { 12 } else { 72 })
    }

    fn share(&self) -> usize {
        if self.manner == Manner::Broken { 3 } else { 1 }
    }

    fn shows(&self) -> &'static [Sign] {
        if self.manner == Manner::Broken { TROUBLE } else { &[Sign::Halted, Sign::Retries, Sign::ConnectionFailures] }
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let before = world.outside.registry.made_up();
        world.outside.registry.answers(self.manner);
        let Some(comes) = restart_one(world).await else {
            // Nobody runs who would ask.
            world.outside.registry.answers(Manner::Honest);
            return None;
        };
        let lasts = Duration::from_secs_f64(world.random.random_range(2.0..8.0));
        Some(Box::new(Lied { before, comes, bites: Bites::within(lasts) }))
    }
}

struct Lied {
    before: u64,
    comes: String,
    bites: Bites,
}

#[async_trait]
impl Wound for Lied {
    fn what(&self) -> String {
        format!("for {:?}, {} started anew", self.bites.lasts, self.comes)
    }

    fn lasts(&self) -> Duration {
        self.bites.longest()
    }

    async fn look(&mut self, world: &World) {
        self.bites.bit = world.outside.registry.made_up() > self.before;
    }

    fn is_done(&self) -> bool {
        self.bites.is_done()
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        world.outside.registry.answers(Manner::Honest);
        let made_up = world.outside.registry.made_up() - self.before;
        Proof::of(made_up > 0, format!("{made_up} answers were made up"))
    }
}
