//! A round: one fault alone, or a storm of them; then all must be well again.

use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio::time::sleep;

use crate::deck::Deck;
use crate::faults::{Part, Wound};
use crate::outcome::Outcome;
use crate::recovery;
use crate::run::{Mode, Plan};
use crate::watch::{Sign, Watch};
use crate::world::World;

/// Of the rounds so many have one fault alone.
const ALONE: f64 = 0.6;
/// How long new faults come in a storm, in seconds.
const STORM: std::ops::Range<f64> = 20.0..40.0;
/// The same where there is nothing but storms.
const LONG_STORM: std::ops::Range<f64> = 80.0..120.0;
/// How many faults last at once in a storm.
const AT_ONCE: usize = 3;
/// The seconds between two faults of a storm.
const PAUSE: std::ops::Range<f64> = 0.5..2.0;
/// How long faults come in a short run.
const SHORT: Duration = Duration::from_secs(30);
/// What is over so soon may always come.
const SOON: Duration = Duration::from_secs(12);
/// How often it is looked while faults last, and how often at what an operator sees.
const LOOK: Duration = Duration::from_millis(200);
const WATCH: Duration = Duration::from_millis(800);
/// Under this name storms are told.
const STORMS: &str = "storm";

/// A fault that lasts.
struct Lasting {
    name: String,
    hits: Vec<Part>,
    wound: Box<dyn Wound>,
    since: Instant,
}

impl Lasting {
    fn is_over(&self) -> bool {
        self.since.elapsed() >= self.wound.lasts() || self.wound.is_done()
    }
}

pub(crate) async fn run(plan: &Plan, world: &mut World, deck: &mut Deck, outcome: &mut Outcome) {
    outcome.rounds += 1;
    let storms = match plan.mode {
        Mode::Short => return storm(world, deck, outcome, SHORT, SHORT).await,
        Mode::Alone => None,
        Mode::Mixed => (!deck.random.random_bool(ALONE)).then_some(STORM),
        Mode::Storms => Some(LONG_STORM),
    };
    let Some(storms) = storms else { return alone(plan, world, deck, outcome).await };
    let left = plan.left(&world.history);
    let lasts = Duration::from_secs_f64(deck.random.random_range(storms)).min(left);
    storm(world, deck, outcome, lasts, left).await;
}

/// One fault, whose time to recover and whose signs are its own.
async fn alone(plan: &Plan, world: &mut World, deck: &mut Deck, outcome: &mut Outcome) {
    let mut watch = Watch::begin(&world.fleet).await;
    let Some(fault) = deck.draw(world, &[], plan.left(&world.history).max(SOON)) else {
        world.history.note("no fault is possible here and now");
        sleep(Duration::from_secs(1)).await;
        return;
    };
    let (name, shows) = (fault.name(), fault.shows());
    let Some(wound) = fault.inflict(world).await else {
        world.history.note(format!("{name}: nothing to hit"));
        return;
    };
    let mut lasting = Lasting { hits: fault.hits(), name: name.clone(), wound, since: Instant::now() };
    world.history.note(format!("{name}: {}", lasting.wound.what()));
    let mut watched = Instant::now();
    while !lasting.is_over() {
        lasting.wound.look(world).await;
        if watched.elapsed() >= WATCH {
            watch.look(&world.fleet).await;
            watched = Instant::now();
        }
        sleep(LOOK.min(lasting.wound.lasts())).await;
    }
    watch.look(&world.fleet).await;
    let bit = heal(world, lasting, outcome).await;
    recover(world, &name, outcome).await;
    watch.look(&world.fleet).await;
    let seen = watch.seen.iter().map(|sign| sign.name()).collect::<Vec<_>>();
    world.history.note(format!("  seen: {}", seen.join(", ")));
    outcome.saw(&name, &watch.seen);
    if bit && !shows.is_empty() && !shows.iter().any(|sign| watch.seen.contains(sign)) {
        let wanted = shows.iter().map(|sign: &Sign| sign.name()).collect::<Vec<_>>();
        outcome.unseen.push(format!("{name}: an operator saw none of {wanted:?}"));
    }
}

/// Faults come one after the other for so long, and some last while others come and go; of those that are over within `left`.
async fn storm(world: &mut World, deck: &mut Deck, outcome: &mut Outcome, lasts: Duration, left: Duration) {
    let (began, mut next, mut lasting) = (Instant::now(), Instant::now(), Vec::<Lasting>::new());
    world.history.note(format!("a storm of {lasts:.0?}"));
    while began.elapsed() < lasts || !lasting.is_empty() {
        heal_those_that_are_over(world, &mut lasting, outcome).await;
        if began.elapsed() < lasts && Instant::now() >= next && lasting.len() < AT_ONCE {
            let left = left.saturating_sub(began.elapsed()).max(SOON);
            lasting.extend(begin(world, deck, &lasting, left).await);
            next = Instant::now() + Duration::from_secs_f64(deck.random.random_range(PAUSE));
        }
        sleep(LOOK).await;
    }
    recover(world, STORMS, outcome).await;
}

async fn begin(world: &mut World, deck: &mut Deck, lasting: &[Lasting], left: Duration) -> Option<Lasting> {
    let busy: Vec<Part> = lasting.iter().flat_map(|one| one.hits.clone()).collect();
    let fault = deck.draw(world, &busy, left)?;
    let (name, hits) = (fault.name(), fault.hits());
    let wound = fault.inflict(world).await?;
    world.history.note(format!("{name}: {}", wound.what()));
    Some(Lasting { name, hits, wound, since: Instant::now() })
}

async fn heal_those_that_are_over(world: &mut World, lasting: &mut Vec<Lasting>, outcome: &mut Outcome) {
    for one in lasting.iter_mut() {
        one.wound.look(world).await;
    }
    while let Some(place) = lasting.iter().position(Lasting::is_over) {
        heal(world, lasting.remove(place), outcome).await;
    }
}

/// Ends a fault; whether it bit.
async fn heal(world: &mut World, lasting: Lasting, outcome: &mut Outcome) -> bool {
    let Lasting { name, wound, .. } = lasting;
    let proof = wound.heal(world).await;
    world.history.note(format!("  {name} is over; {proof}"));
    outcome.take(&name, proof)
}

async fn recover(world: &mut World, name: &str, outcome: &mut Outcome) {
    match recovery::wait(world).await {
        Ok(time) => {
            outcome.times.add(name, time);
            world.history.note(format!("  all is well after {time:.1?}"));
        }
        Err(broken) => {
            world.history.note(&broken);
            outcome.broken.push(format!("{name}: {broken}"));
        }
    }
}
