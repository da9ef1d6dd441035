//! A registry that answers, and answers nonsense. That it is away or slow is a matter of its link.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;

use super::links::restart_one;
use super::{Fault, Proof, TROUBLE, Wound};
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

    fn shows(&self) -> &'static [Sign] {
        if self.manner == Manner::Broken { TROUBLE } else { &[Sign::Halted, Sign::Retries, Sign::ConnectionFailures] }
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let before = world.outside.registry.made_up();
        world.outside.registry.answers(self.manner);
        let comes = restart_one(world).await?;
        let lasts = Duration::from_secs_f64(world.random.random_range(4.0..14.0));
        Some(Box::new(Lied { before, comes, lasts }))
    }
}

struct Lied {
    before: u64,
    comes: String,
    lasts: Duration,
}

#[async_trait]
impl Wound for Lied {
    fn what(&self) -> String {
        format!("for {:?}, {} started anew", self.lasts, self.comes)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        world.outside.registry.answers(Manner::Honest);
        let made_up = world.outside.registry.made_up() - self.before;
        Proof::of(made_up > 0, format!("{made_up} answers were made up"))
    }
}
