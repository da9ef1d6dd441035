//! Topics that get more partitions while records go through them.

use std::time::Duration;

use async_trait::async_trait;
use rand::seq::IndexedRandom as _;

use super::{Fault, Part, Proof, Wound};
use crate::workload::pipelines::{DEAD, TOPICS};
use crate::world::World;

/// A topic gets so many more at a time, up to this number.
const MORE: usize = 2;
const MOST: usize = 10;
/// Producers ask for the number each 30 s.
const NOTICED: Duration = Duration::from_secs(50);

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Added)]
}

struct Added;

#[async_trait]
impl Fault for Added {
    fn name(&self) -> String {
        "broker_partitions_added".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Partitions]
    }

    fn longest(&self) -> Duration {
        NOTICED
    }

    fn share(&self) -> usize {
        1
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let topic = *[TOPICS[0], TOPICS[1], DEAD].choose(&mut world.random)?;
        let name = world.project.topic(topic);
        let before = world.outside.cluster.leaders(std::slice::from_ref(&name)).await?.len();
        let after = before + MORE;
        if after > MOST {
            return None;
        }
        // Brokers that do not answer in time may do it all the same.
        world.grown.insert(topic);
        if !world.outside.cluster.add_partitions(&name, after).await {
            return None;
        }
        Some(Box::new(Grown { name, before, after, written: false }))
    }
}

struct Grown {
    name: String,
    before: usize,
    after: usize,
    written: bool,
}

#[async_trait]
impl Wound for Grown {
    fn what(&self) -> String {
        format!("{} has {} partitions instead of {}", self.name, self.after, self.before)
    }

    fn lasts(&self) -> Duration {
        NOTICED
    }

    async fn look(&mut self, world: &World) {
        let new = self.before as i32..self.after as i32;
        self.written = self.written || world.outside.cluster.written(&self.name, new).await;
    }

    fn is_done(&self) -> bool {
        self.written
    }

    async fn heal(self: Box<Self>, _world: &mut World) -> Proof {
        Proof::of(self.written, format!("records go into the new partitions of {}", self.name))
    }
}
