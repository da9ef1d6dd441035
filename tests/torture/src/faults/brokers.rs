//! Brokers that die, stop, come back, and hand leadership over.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::{Fault, Part, Proof, Wound};
use crate::outside::cluster::{BROKERS, Leaders};
use crate::watch::Sign;
use crate::workload::pipelines::TOPICS;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let away = [Away::Killed, Away::Stopped, Away::Coordinator, Away::Two, Away::All];
    let away = away.into_iter().map(|away| Box::new(away) as Box<dyn Fault>);
    let moved = [Moved::Leaders, Moved::Coordinators].map(|moved| Box::new(moved) as Box<dyn Fault>);
    away.chain(moved).chain([Box::new(OutOfSync) as Box<dyn Fault>]).collect()
}

/// Which brokers are away, and how they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// One, by SIGKILL.
    Killed,
    /// One, by SIGTERM: it hands its leadership over first.
    Stopped,
    /// The one that coordinates the transactions of an instance.
    Coordinator,
    /// Two: nothing can be written, and the controllers have no majority.
    Two,
    /// All, for a minute.
    All,
}

#[async_trait]
impl Fault for Away {
    fn name(&self) -> String {
        let name = match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Coordinator => "coordinator_killed",
            Self::Two => "two_away",
            Self::All => "all_away",
        };
        format!("broker_{name}")
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Brokers]
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        world.outside.cluster.is_whole()
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(if *self == Self::All { 60 } else { 16 })
    }

    fn share(&self) -> usize {
        match self {
            Self::All | Self::Two => 1,
            _ => 3,
        }
    }

    fn shows(&self) -> &'static [Sign] {
        if *self == Self::All { &[Sign::Retries, Sign::Waiting] } else { &[] }
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let brokers = self.victims(world).await?;
        for broker in &brokers {
            match self {
                Self::Stopped => world.outside.cluster.stop(*broker).await,
                _ => world.outside.cluster.kill(*broker).await,
            }
        }
        let seconds = match self {
            Self::All => 60.0,
            Self::Two => world.random.random_range(6.0..16.0),
            _ if world.random.random_bool(0.8) => world.random.random_range(0.5..4.0),
            _ => world.random.random_range(4.0..16.0),
        };
        Some(Box::new(Gone { brokers, lasts: Duration::from_secs_f64(seconds), away: true }))
    }
}

impl Away {
    async fn victims(self, world: &mut World) -> Option<Vec<i32>> {
        let mut brokers = BROKERS.to_vec();
        brokers.shuffle(&mut world.random);
        match self {
            Self::Killed | Self::Stopped => brokers.truncate(1),
            Self::Two => brokers.truncate(2),
            Self::All => {}
            Self::Coordinator => brokers = vec![coordinator(world).await?],
        }
        Some(brokers)
    }
}

/// The coordinator of a transform's transactions; its id ends with the instance's name.
async fn coordinator(world: &mut World) -> Option<i32> {
    let place = world.fleet.any(&mut world.random, Some("transform"))?;
    let (project, instance) = (world.project.name(), &world.fleet.instances[place].name);
    world.outside.cluster.coordinator(&format!("{project}.worked.{project}-{instance}")).await
}

struct Gone {
    brokers: Vec<i32>,
    lasts: Duration,
    away: bool,
}

#[async_trait]
impl Wound for Gone {
    fn what(&self) -> String {
        format!("brokers {:?} for {:?}", self.brokers, self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn look(&mut self, world: &World) {
        for broker in &self.brokers {
            self.away &= !world.outside.cluster.serves(*broker).await;
        }
    }

    async fn heal(mut self: Box<Self>, world: &mut World) -> Proof {
        self.look(world).await;
        world.outside.cluster.begin_start();
        Proof::of(self.away, format!("brokers {:?} were dead", self.brokers))
    }
}

/// Other brokers lead the partitions of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// Of one that records go through.
    Leaders,
    /// Of one whose leaders coordinate transactions or groups.
    Coordinators,
}

impl Moved {
    fn topics(self, world: &World) -> Vec<String> {
        match self {
            Self::Leaders => {
                let own = ["millrace.positions", "millrace.assignments"].map(str::to_owned);
                TOPICS.map(|topic| world.project.topic(topic)).into_iter().chain(own).collect()
            }
            Self::Coordinators => ["__transaction_state", "__consumer_offsets"].map(str::to_owned).to_vec(),
        }
    }
}

#[async_trait]
impl Fault for Moved {
    fn name(&self) -> String {
        format!("broker_{}_moved", if *self == Self::Leaders { "leaders" } else { "coordinators" })
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Brokers]
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        world.outside.cluster.is_whole()
    }

    /// Kafka's tools take their time.
    fn longest(&self) -> Duration {
        Duration::from_secs(25)
    }

    fn share(&self) -> usize {
        1
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let topic = self.topics(world).choose(&mut world.random)?.clone();
        let before = world.outside.cluster.leaders(std::slice::from_ref(&topic)).await?;
        world.outside.cluster.move_leaders(&before).await;
        Some(Box::new(Elected { topic, before }))
    }
}

struct Elected {
    topic: String,
    before: Leaders,
}

#[async_trait]
impl Wound for Elected {
    fn what(&self) -> String {
        format!("the leaders of {}", self.topic)
    }

    fn lasts(&self) -> Duration {
        Duration::from_millis(500)
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let after = world.outside.cluster.leaders(std::slice::from_ref(&self.topic)).await.unwrap_or_default();
        let moved = self.before.iter().filter(|(partition, leader)| after.get(partition).is_some_and(|now| now != *leader)).count();
        Proof::of(moved > 0, format!("{moved} of {} partitions of {} have other leaders", self.before.len(), self.topic))
    }
}

/// Fewer replicas are in sync than a topic demands: one broker is away, and the topic wants all three.
struct OutOfSync;

#[async_trait]
impl Fault for OutOfSync {
    fn name(&self) -> String {
        "broker_too_few_in_sync".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Brokers]
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        world.outside.cluster.is_whole()
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(16)
    }

    fn share(&self) -> usize {
        1
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let topic = world.project.topic(TOPICS.choose(&mut world.random)?);
        let broker = *BROKERS.choose(&mut world.random)?;
        world.outside.cluster.demand_in_sync(&topic, Some("3")).await;
        world.outside.cluster.kill(broker).await;
        let lasts = Duration::from_secs_f64(world.random.random_range(6.0..16.0));
        Some(Box::new(Demanding { topic, gone: Gone { brokers: vec![broker], lasts, away: true } }))
    }
}

struct Demanding {
    topic: String,
    gone: Gone,
}

#[async_trait]
impl Wound for Demanding {
    fn what(&self) -> String {
        format!("{} wants 3 replicas without {}", self.topic, self.gone.what())
    }

    fn lasts(&self) -> Duration {
        self.gone.lasts
    }

    async fn look(&mut self, world: &World) {
        self.gone.look(world).await;
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let proof = Box::new(self.gone).heal(world).await;
        world.outside.cluster.started().await;
        world.outside.cluster.demand_in_sync(&self.topic, None).await;
        proof
    }
}
