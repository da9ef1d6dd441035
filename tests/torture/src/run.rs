//! A run: epochs, each with a project of its own; in an epoch rounds of faults; at its end the comparison of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use tokio::time::sleep;

use crate::check::{Counts, Finding, Seen, Wrong, judge};
use crate::faults::{Fault, Proof, Wound};
use crate::ledger::{self, Entry};
use crate::recovery::{self, Times};
use crate::watch::{Sign, Watch};
use crate::workload::senders::Senders;
use crate::world::{History, Outside, World};

/// An epoch lasts about so long.
const EPOCH: Duration = Duration::from_mins(8);
/// Of the rounds so many have two or three faults at once.
const MIXED: f64 = 0.3;
/// How often it is looked while faults last.
const LOOK: Duration = Duration::from_millis(300);
/// How long what is missing at the end may take to come while more of it comes.
const SETTLE: Duration = Duration::from_mins(3);
/// How many findings are told with the record's whole way.
const TOLD: usize = 10;

/// What a run is to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    /// At most so many rounds.
    pub(crate) rounds: Option<usize>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    proven: BTreeMap<String, u64>,
    unproven: BTreeMap<String, Vec<String>>,
    signs: BTreeMap<String, BTreeMap<Sign, u64>>,
    times: Times,
    broken: Vec<String>,
    findings: Vec<Finding>,
    records: u64,
    rounds: usize,
}

/// Runs until the time is over or something is wrong; the entry for the ledger.
pub(crate) async fn run(plan: &Plan, faults: Vec<Box<dyn Fault>>) -> Entry {
    let (mut outcome, mut deck) = (Outcome::default(), Deck::new(plan.seed, faults));
    let (mut outside, mut history) = (Some(Outside::of_this_run().await), History::begin());
    for epoch in 0.. {
        let seed = plan.seed.wrapping_add(epoch);
        history.note(format!("epoch {epoch}, seed {seed}"));
        let world = World::new(outside.take().expect("it comes back from each epoch"), seed, history).await;
        (outside, history) = run_epoch(plan, seed, world, &mut deck, &mut outcome).await;
        if !outcome.is_clean() || outcome.is_done(plan, &history) {
            break;
        }
    }
    outcome.tell();
    outcome.entry(plan, &history)
}

async fn run_epoch(plan: &Plan, seed: u64, mut world: World, deck: &mut Deck, outcome: &mut Outcome) -> (Option<Outside>, History) {
    let folder = world.project.folder().join("in");
    let senders = Senders::start(seed, &world.produced, world.fleet.gateways(), folder);
    let began = Instant::now();
    match recovery::wait(&mut world).await {
        Ok(time) => world.history.note(format!("all runs after {time:.1?}: {} instances", world.fleet.instances.len())),
        Err(broken) => outcome.broken.push(format!("the start: {broken}")),
    }
    while outcome.is_clean() && began.elapsed() < EPOCH && !outcome.is_done(plan, &world.history) {
        run_round(&mut world, deck, outcome).await;
    }
    if outcome.is_clean() {
        world.history.note("everybody stops sending");
        senders.stop().await;
        settle(seed, &mut world, outcome).await;
    }
    if outcome.is_clean() {
        end(&mut world, outcome).await;
    }
    if !outcome.is_clean() {
        keep(seed, &world, outcome);
    }
    let World { outside, history, .. } = world;
    (Some(outside), history)
}

/// One fault, or a few at once; each ends when its time is over, then all must be well again.
async fn run_round(world: &mut World, deck: &mut Deck, outcome: &mut Outcome) {
    outcome.rounds += 1;
    let (mut wounds, mut shows) = (Vec::new(), Vec::new());
    let mut watch = Watch::begin(&world.fleet).await;
    for fault in deck.draw(world) {
        let name = fault.name();
        shows = fault.shows().to_vec();
        match fault.inflict(world).await {
            Some(wound) => {
                world.history.note(format!("{name}: {}", wound.what()));
                wounds.push((name, wound));
            }
            None => world.history.note(format!("{name}: nothing to hit")),
        }
    }
    let (names, mixed) = (wounds.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), wounds.len() > 1);
    let proven = outcome.all_proven();
    hold(world, wounds, &mut watch, outcome).await;
    let bit = outcome.all_proven() > proven;
    let recovered = recovery::wait(world).await;
    watch.look(&world.fleet).await;
    for name in &names {
        let signs = outcome.signs.entry(if mixed { "mixed".to_owned() } else { name.clone() }).or_default();
        watch.seen.iter().for_each(|sign| *signs.entry(*sign).or_default() += 1);
    }
    let alone_and_unseen = !mixed && bit && !shows.is_empty() && !shows.iter().any(|sign| watch.seen.contains(sign));
    if alone_and_unseen {
        let wanted = shows.iter().map(|sign| sign.name()).collect::<Vec<_>>();
        outcome.broken.push(format!("{}: an operator saw none of {wanted:?}", names.join(" and ")));
    }
    match recovered {
        Ok(time) => {
            outcome.times.add(if mixed { "mixed" } else { names.first().map_or("none", String::as_str) }, time);
            let signs = watch.seen.iter().map(|sign| sign.name()).collect::<Vec<_>>().join(", ");
            world.history.note(format!("  all is well after {time:.1?}; seen: {signs}"));
        }
        Err(broken) => {
            world.history.note(&broken);
            outcome.broken.push(format!("{}: {broken}", names.join(" and ")));
        }
    }
}

/// Watches the wounds and heals each when its time is over.
async fn hold(world: &mut World, mut wounds: Vec<(String, Box<dyn Wound>)>, watch: &mut Watch, outcome: &mut Outcome) {
    let began = Instant::now();
    while !wounds.is_empty() {
        for (_, wound) in &mut wounds {
            wound.look(world).await;
        }
        watch.look(&world.fleet).await;
        let over = |(_, wound): &(String, Box<dyn Wound>)| began.elapsed() >= wound.lasts();
        while let Some(place) = wounds.iter().position(over) {
            let (name, wound) = wounds.remove(place);
            let proof = wound.heal(world).await;
            world.history.note(format!("  {name} is over; {proof}"));
            outcome.take(&name, proof);
        }
        sleep(LOOK).await;
    }
}

/// Compares until everything is there, or nothing more comes.
async fn settle(seed: u64, world: &mut World, outcome: &mut Outcome) {
    let records = world.produced.records(seed);
    let (mut fewest, mut since) = (usize::MAX, Instant::now());
    loop {
        let seen = Seen::now(world).await;
        let findings = judge(&records, &seen);
        let lost = findings.iter().filter(|finding| finding.wrong == Wrong::Lost).count();
        if lost < fewest {
            (fewest, since) = (lost, Instant::now());
        }
        if lost == findings.len() && lost > 0 && since.elapsed() < SETTLE {
            sleep(Duration::from_secs(2)).await;
            continue;
        }
        let letters = seen.letters.len();
        world.history.note(format!("{} records went in, {letters} dead letters came out: {:?}", records.len(), Counts::of(&findings)));
        for finding in findings.iter().take(TOLD) {
            world.history.note(finding);
            seen.way(&finding.id).into_iter().for_each(|step| world.history.note(format!("    {step}")));
        }
        outcome.records += records.len() as u64;
        outcome.findings.extend(findings);
        return;
    }
}

/// Every instance ends well when it is asked to, and the project leaves nothing behind.
async fn end(world: &mut World, outcome: &mut Outcome) {
    for one in world.fleet.instances.iter_mut().filter(|one| one.is_alive()) {
        if let Err(broken) = one.terminate().await {
            outcome.broken.push(broken);
        }
    }
    world.outside.database.dismiss(&world.project).await;
}

/// Keeps what the next look at it needs: the project's folder with all logs, and the history.
fn keep(seed: u64, world: &World, outcome: &Outcome) {
    let folder = std::env::temp_dir().join(format!("millrace-torture-{seed}"));
    let copied = std::process::Command::new("cp").arg("-a").arg(world.project.folder()).arg(&folder).status();
    std::fs::write(folder.join("history.txt"), world.history.lines.join("\n")).ok();
    println!("\nseed {seed}; the project's folder with all logs and the history: {} ({copied:?})", folder.display());
    outcome.broken.iter().for_each(|broken| println!("BROKEN {broken}"));
    outcome.findings.iter().take(3 * TOLD).for_each(|finding| println!("WRONG {finding}"));
}

impl Outcome {
    fn is_clean(&self) -> bool {
        self.broken.is_empty() && self.findings.is_empty()
    }

    fn is_done(&self, plan: &Plan, history: &History) -> bool {
        history.elapsed().as_secs_f64() > plan.minutes * 60.0 || plan.rounds.is_some_and(|rounds| self.rounds >= rounds)
    }

    fn all_proven(&self) -> u64 {
        self.proven.values().sum()
    }

    fn take(&mut self, name: &str, proof: Proof) {
        match proof {
            Proof::Bit(_) => *self.proven.entry(name.to_owned()).or_default() += 1,
            Proof::Missed(why) => self.unproven.entry(name.to_owned()).or_default().push(why),
            Proof::Broken(what) => self.broken.push(format!("{name}: {what}")),
        }
    }

    fn tell(&self) {
        println!("\n{:36} {:>6} {:>8} {:>7} {:>7} {:>7}  seen", "fault", "proven", "unproven", "p50 s", "p99 s", "max s");
        let times = self.times.by_fault();
        let names: BTreeSet<&String> = self.proven.keys().chain(self.unproven.keys()).chain(times.keys()).collect();
        for name in names {
            let (proven, unproven) = (self.proven.get(name).copied().unwrap_or(0), self.unproven.get(name).map_or(0, Vec::len));
            let spread = times.get(name).map(|spread| format!("{:7.1} {:7.1} {:7.1}", spread.p50, spread.p99, spread.max));
            let signs = self.signs.get(name).into_iter().flatten().map(|(sign, count)| format!("{} {count}", sign.name()));
            let signs = signs.collect::<Vec<_>>().join(", ");
            println!("{name:36} {proven:6} {unproven:8} {:>23}  {signs}", spread.unwrap_or_default());
        }
    }

    fn entry(self, plan: &Plan, history: &History) -> Entry {
        let entry = Entry {
            at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seed: plan.seed,
            commit: ledger::commit(),
            hot_paths: ledger::hot_paths(),
            minutes: (history.elapsed().as_secs_f64() / 6.0).round() / 10.0,
            unproven: self.unproven.values().map(|missed| missed.len() as u64).sum(),
            faults: self.proven,
            records: self.records,
            lost: 0,
            doubled: 0,
            reordered: 0,
            corrupted: 0,
            broken: self.broken,
            recovery: self.times.all(),
            recovery_by_fault: self.times.by_fault(),
        };
        entry.counted(Counts::of(&self.findings))
    }
}

/// The faults in the order in which they come: each once, then each again.
struct Deck {
    faults: Vec<Box<dyn Fault>>,
    order: Vec<usize>,
    random: SmallRng,
}

impl Deck {
    fn new(seed: u64, faults: Vec<Box<dyn Fault>>) -> Self {
        Self { faults, order: Vec::new(), random: SmallRng::seed_from_u64(seed) }
    }

    /// The next fault, and now and then one or two of other groups with it.
    fn draw(&mut self, world: &mut World) -> Vec<&dyn Fault> {
        let mut drawn = Vec::new();
        while drawn.is_empty() {
            let next = self.next();
            match self.faults[next].possible(world) {
                Ok(()) => drawn.push(next),
                Err(why) => world.history.note(format!("{}: {why}", self.faults[next].name())),
            }
        }
        let others = if self.random.random_bool(MIXED) { self.random.random_range(1..=2) } else { 0 };
        for _ in 0..others {
            let other = self.random.random_range(0..self.faults.len());
            let fits = drawn.iter().all(|one| group(&self.faults[*one].name()) != group(&self.faults[other].name()));
            if fits && self.faults[other].possible(world).is_ok() {
                drawn.push(other);
            }
        }
        drawn.into_iter().map(|place| &*self.faults[place]).collect()
    }

    fn next(&mut self) -> usize {
        if self.order.is_empty() {
            self.order = (0..self.faults.len()).collect();
            self.order.shuffle(&mut self.random);
        }
        self.order.pop().expect("there are faults")
    }
}

/// Faults of one group hit the same thing: they do not come together.
fn group(name: &str) -> String {
    let words = if name.starts_with("link_") { 2 } else { 1 };
    name.split('_').take(words).collect::<Vec<_>>().join("_").replace("link_registry", "registry")
}
