//! Processes that die, stand still, come and go.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;

use super::{Fault, Part, Proof, Wound};
use crate::fleet::{MOST, SERVICES};
use crate::watch::Sign;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    let ends = [End::Kill, End::Terminate, End::Freeze];
    let of_services = ends.into_iter().flat_map(|end| SERVICES.map(|service| Box::new(Ended { end, service }) as Box<dyn Fault>));
    of_services
        .chain([Box::new(Grown) as Box<dyn Fault>, Box::new(Shrunk { kill: true }), Box::new(Shrunk { kill: false }), Box::new(Massacre)])
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    Terminate,
    Freeze,
}

/// An instance of a service is killed, or asked to end, and started again; or it is stopped for longer than its session and its
/// transaction last, and then goes on as if nothing had happened.
struct Ended {
    end: End,
    service: &'static str,
}

#[async_trait]
impl Fault for Ended {
    fn name(&self) -> String {
        let end = match self.end {
            End::Kill => "kill",
            End::Terminate => "terminate",
            End::Freeze => "freeze",
        };
        format!("process_{end}_{}", self.service)
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Service(self.service)]
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(if self.end == End::Freeze { 27 } else { 9 })
    }

    fn share(&self) -> usize {
        if self.end == End::Freeze { 1 } else { 5 }
    }

    fn shows(&self) -> &'static [Sign] {
        if self.end == End::Freeze { &[Sign::NotReady] } else { &[] }
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let place = world.fleet.any(&mut world.random, Some(self.service))?;
        let random = &mut world.random;
        let lasts = match self.end {
            End::Freeze => Duration::from_millis(random.random_range(17_000..27_000)),
            _ => Duration::from_millis(if random.random_bool(0.8) {
                random.random_range(0..2_500)
            } else {
                random.random_range(2_500..9_000)
            }),
        };
        let one = &mut world.fleet.instances[place];
        let ended = match self.end {
            End::Kill => {
                one.kill();
                Ok(())
            }
            End::Terminate => one.terminate().await,
            End::Freeze => {
                one.freeze().await;
                Ok(())
            }
        };
        Some(Box::new(Down { name: one.name.clone(), end: self.end, lasts, ended, stopped: true }))
    }
}

struct Down {
    name: String,
    end: End,
    lasts: Duration,
    ended: Result<(), String>,
    /// Whether a frozen one was seen stopped each time.
    stopped: bool,
}

#[async_trait]
impl Wound for Down {
    fn what(&self) -> String {
        format!("{} for {:?}", self.name, self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn look(&mut self, world: &World) {
        let one = &world.fleet.instances[world.fleet.place(&self.name)];
        self.stopped &= self.end != End::Freeze || one.state() == Some('T');
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let place = world.fleet.place(&self.name);
        let one = &mut world.fleet.instances[place];
        if self.end == End::Freeze {
            one.thaw();
            return Proof::of(self.stopped, format!("{} stood still for {:?}", self.name, self.lasts));
        }
        let gone = !one.runs();
        one.restart();
        match self.ended {
            Ok(()) => Proof::of(gone, format!("{} was dead", self.name)),
            Err(broken) => Proof::Broken(broken),
        }
    }
}

/// A service gets another instance.
struct Grown;

#[async_trait]
impl Fault for Grown {
    fn name(&self) -> String {
        "process_added".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Fleet]
    }

    fn share(&self) -> usize {
        6
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        let room = SERVICES.iter().any(|service| world.fleet.alive(service) < MOST);
        room.then_some(()).ok_or_else(|| "there are as many as may be".to_owned())
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let room: Vec<&'static str> = SERVICES.into_iter().filter(|service| world.fleet.alive(service) < MOST).collect();
        let service = *room.choose(&mut world.random)?;
        let place = world.fleet.add(&world.project, service);
        Some(Box::new(Changed { name: world.fleet.instances[place].name.clone(), is_there: true }))
    }
}

/// A service loses an instance for good, killed or asked to end.
struct Shrunk {
    kill: bool,
}

#[async_trait]
impl Fault for Shrunk {
    fn name(&self) -> String {
        if self.kill { "process_lost".to_owned() } else { "process_removed".to_owned() }
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Fleet]
    }

    fn share(&self) -> usize {
        4
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        let spare = SERVICES.iter().any(|service| world.fleet.spare(service));
        spare.then_some(()).ok_or_else(|| "there is but one of each".to_owned())
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let spare: Vec<&'static str> = SERVICES.into_iter().filter(|service| world.fleet.spare(service)).collect();
        let service = *spare.choose(&mut world.random)?;
        let place = world.fleet.any(&mut world.random, Some(service))?;
        let one = &mut world.fleet.instances[place];
        let name = one.name.clone();
        if self.kill {
            one.kill();
        } else if let Err(broken) = one.terminate().await {
            return Some(Box::new(Unwilling { broken }));
        }
        world.fleet.forget(&name);
        Some(Box::new(Changed { name, is_there: false }))
    }
}

struct Changed {
    name: String,
    is_there: bool,
}

#[async_trait]
impl Wound for Changed {
    fn what(&self) -> String {
        format!("{} {}", self.name, if self.is_there { "comes" } else { "goes for good" })
    }

    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let found = world.fleet.instances.iter().any(|one| one.name == self.name);
        Proof::of(found == self.is_there, self.what())
    }
}

/// An instance that does not end.
struct Unwilling {
    broken: String,
}

#[async_trait]
impl Wound for Unwilling {
    fn what(&self) -> String {
        self.broken.clone()
    }

    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    async fn heal(self: Box<Self>, _world: &mut World) -> Proof {
        Proof::Broken(self.broken)
    }
}

/// All instances of all services are killed at once.
struct Massacre;

#[async_trait]
impl Fault for Massacre {
    fn name(&self) -> String {
        "process_kill_all".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        SERVICES.map(Part::Service).into_iter().chain([Part::Fleet]).collect()
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let mut names = Vec::new();
        for one in world.fleet.instances.iter_mut().filter(|one| one.is_alive() && !one.is_frozen()) {
            one.kill();
            names.push(one.name.clone());
        }
        let lasts = Duration::from_millis(world.random.random_range(0..4_000));
        Some(Box::new(AllDown { names, lasts }))
    }
}

struct AllDown {
    names: Vec<String>,
    lasts: Duration,
}

#[async_trait]
impl Wound for AllDown {
    fn what(&self) -> String {
        format!("{} instances for {:?}", self.names.len(), self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let mut dead = 0;
        for name in &self.names {
            let place = world.fleet.place(name);
            let one = &mut world.fleet.instances[place];
            dead += usize::from(!one.runs());
            one.restart();
        }
        Proof::of(dead == self.names.len() && dead > 0, format!("{dead} instances were dead"))
    }
}
