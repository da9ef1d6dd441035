//! Links that are slow, that break, and that lead nowhere.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use super::{Bites, Fault, Part, Proof, TROUBLE, Wound};
use crate::outside::links::{Link, Traffic};
use crate::watch::Sign;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let harms = [Harm::Latency, Harm::Jitter, Harm::Bandwidth, Harm::Cut, Harm::Reset, Harm::HalfOpen, Harm::Refused];
    let links = ["kafka", "registry", "postgres"];
    links.into_iter().flat_map(|link| harms.map(|harm| Box::new(Harmed { link, harm }) as Box<dyn Fault>)).collect()
}

/// What is done to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Every piece comes late.
    Latency,
    /// Pieces come late by very different times.
    Jitter,
    /// 10 kB a second.
    Bandwidth,
    /// Connections end after so many bytes, in the middle of a message.
    Cut,
    /// Connections are reset.
    Reset,
    /// Connections stand, and nothing comes over them.
    HalfOpen,
    /// No connection is taken, and those that there are end.
    Refused,
}

impl Harm {
    fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Jitter => "jitter",
            Self::Bandwidth => "bandwidth",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::HalfOpen => "half_open",
            Self::Refused => "refused",
        }
    }

    /// Whether it ends connections.
    fn ends_connections(self) -> bool {
        matches!(self, Self::Cut | Self::Reset | Self::Refused)
    }

    /// Toxiproxy's toxic for it, with its attributes.
    fn toxic(self, random: &mut impl rand::Rng) -> Option<(&'static str, Value)> {
        Some(match self {
            Self::Latency => ("latency", json!({ "latency": random.random_range(300..3_000), "jitter": 0 })),
            Self::Jitter => ("latency", json!({ "latency": 250, "jitter": 249 })),
            Self::Bandwidth => ("bandwidth", json!({ "rate": 10 })),
            Self::Cut => ("limit_data", json!({ "bytes": random.random_range(20..20_000) })),
            Self::Reset => ("reset_peer", json!({ "timeout": random.random_range(0..400) })),
            Self::HalfOpen => ("timeout", json!({ "timeout": 0 })),
            Self::Refused => return None,
        })
    }
}

/// A link, or one of those to the brokers, or all of those, is harmed.
struct Harmed {
    link: &'static str,
    harm: Harm,
}

#[async_trait]
impl Fault for Harmed {
    fn name(&self) -> String {
        format!("link_{}_{}", self.link, self.harm.name())
    }

    fn hits(&self) -> Vec<Part> {
        vec![match self.link {
            "kafka" => Part::KafkaLinks,
            "registry" => Part::Registry,
            _ => Part::PostgresLink,
        }]
    }

    fn shows(&self) -> &'static [Sign] {
        if self.link == "postgres" && self.harm == Harm::Refused { TROUBLE } else { &[] }
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let mut links = world.outside.links(self.link);
        if links.len() > 1 && world.random.random_bool(0.5) {
            links = vec![links.choose(&mut world.random)?.clone()];
        }
        let stream = if world.random.random_bool(0.5) { "upstream" } else { "downstream" };
        let toxic = self.harm.toxic(&mut world.random);
        let mut sick = Vec::new();
        for link in links {
            sick.push(Sick { before: link.traffic().await, seen: link.connections(), gone: 0, link });
        }
        for Sick { link, .. } in &sick {
            match &toxic {
                Some((kind, attributes)) => link.poison(kind, stream, attributes).await,
                None => link.refuse().await,
            }
        }
        // The registry is asked for little: someone must come and ask.
        let comes = if self.link == "registry" { restart_one(world).await } else { None };
        let long = world.random.random_bool(0.25);
        let lasts = Duration::from_secs_f64(if long { world.random.random_range(4.0..12.0) } else { world.random.random_range(1.0..4.0) });
        let bites = Bites::within(lasts);
        Some(Box::new(Poisoned { harm: self.harm, sick, stream, comes, bites }))
    }
}

/// Kills an instance and starts it at once, so that it asks the registry; returns its name.
pub(super) async fn restart_one(world: &mut World) -> Option<String> {
    let place = world.fleet.any(&mut world.random, None)?;
    let one = &mut world.fleet.instances[place];
    one.kill();
    one.restart();
    Some(one.name.clone())
}

struct Sick {
    link: Link,
    before: Traffic,
    seen: BTreeSet<u16>,
    gone: usize,
}

struct Poisoned {
    harm: Harm,
    sick: Vec<Sick>,
    stream: &'static str,
    comes: Option<String>,
    bites: Bites,
}

#[async_trait]
impl Wound for Poisoned {
    fn what(&self) -> String {
        let links = self.sick.iter().map(|sick| sick.link.name.as_str()).collect::<Vec<_>>().join(", ");
        let comes = self.comes.as_ref().map(|name| format!(", {name} started anew")).unwrap_or_default();
        format!("{links} {} for {:?}{comes}", self.stream, self.bites.lasts)
    }

    fn lasts(&self) -> Duration {
        self.bites.longest()
    }

    async fn look(&mut self, _world: &World) {
        for sick in &mut self.sick {
            let now = sick.link.connections();
            sick.gone += sick.seen.difference(&now).count();
            sick.seen = now;
        }
        if self.bites.is_time() {
            self.bites.bit = matches!(self.proof().await, Proof::Bit(_));
        }
    }

    fn is_done(&self) -> bool {
        self.bites.is_done()
    }

    async fn heal(mut self: Box<Self>, world: &mut World) -> Proof {
        self.look(world).await;
        let proof = self.proof().await;
        for sick in &self.sick {
            sick.link.heal().await;
        }
        proof
    }
}

impl Poisoned {
    async fn proof(&self) -> Proof {
        let (mut gone, mut came, mut swallowed) = (0, 0, 0);
        for sick in &self.sick {
            let after = sick.link.traffic().await;
            gone += sick.gone;
            // Toxiproxy's counts are not taken at one instant, and may lack a connection's for one: what they do not show does not count.
            came += after.came.saturating_sub(sick.before.came);
            swallowed += after.swallowed().saturating_sub(sick.before.swallowed());
        }
        match self.harm {
            harm if harm.ends_connections() => Proof::of(gone > 0, format!("{gone} connections ended")),
            Harm::HalfOpen => Proof::of(swallowed > 0, format!("{swallowed} bytes came and went nowhere")),
            _ => Proof::of(came > 0, format!("{came} bytes went over it")),
        }
    }
}
