//! A run: epochs, each with a project of its own; in an epoch rounds of faults; at its end the comparison of everything.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::check::{Counts, Seen, Wrong, judge};
use crate::deck::Deck;
use crate::faults::Fault;
use crate::ledger::Entry;
use crate::outcome::{Outcome, TOLD};
use crate::recovery;
use crate::rounds;
use crate::world::{History, Outside, World};

/// An epoch lasts about so long.
const EPOCH: Duration = Duration::from_mins(8);
/// How long what is missing at the end may take to come while more of it comes.
const SETTLE: Duration = Duration::from_mins(3);

/// What a run is to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    /// At most so many rounds.
    pub(crate) rounds: Option<usize>,
    pub(crate) mode: Mode,
}

/// How faults come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Some alone, others in storms in which several last at once.
    Mixed,
    /// Each alone.
    Alone,
    /// In long storms only: the most faults in a time.
    Storms,
    /// One storm of faults that are over soon. It fails where a record is lost, doubled, reordered or corrupted, or an instance ends by itself or does not come
    /// back, and is no entry of the ledger.
    Short,
}

impl Plan {
    /// How much of the time for faults is left.
    pub(crate) fn left(&self, history: &History) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0).saturating_sub(history.elapsed())
    }

    fn is_done(&self, outcome: &Outcome, history: &History) -> bool {
        self.left(history).is_zero()
            || (self.mode == Mode::Short && outcome.rounds > 0)
            || self.rounds.is_some_and(|rounds| outcome.rounds >= rounds)
    }
}

/// Runs until the time is over or something is wrong; all that came of it. Each epoch has an entry of its own, handed to `note` when it ends.
pub(crate) async fn run(plan: &Plan, faults: impl Fn() -> Vec<Box<dyn Fault>>, mut note: impl FnMut(&Entry)) -> Outcome {
    let (mut outside, mut history) = (Some(Outside::of_this_run().await), History::begin());
    let mut all = Outcome::default();
    for epoch in 0.. {
        let seed = plan.seed.wrapping_add(epoch);
        history.note(format!("epoch {epoch}, seed {seed}"));
        let (entry, began, mut outcome) = (Entry::begin(seed), Instant::now(), Outcome::after(all.rounds));
        let world = World::new(outside.take().expect("it comes back from each epoch"), seed, history).await;
        (outside, history) = run_epoch(plan, seed, world, &mut Deck::new(seed, faults()), &mut outcome).await;
        note(&outcome.entry(entry, began.elapsed()));
        all.add(outcome);
        if !all.is_clean() || plan.is_done(&all, &history) {
            break;
        }
    }
    all
}

async fn run_epoch(plan: &Plan, seed: u64, mut world: World, deck: &mut Deck, outcome: &mut Outcome) -> (Option<Outside>, History) {
    let began = Instant::now();
    match recovery::wait(&mut world).await {
        Ok(time) => world.history.note(format!("all runs after {time:.1?}: {} instances", world.fleet.instances.len())),
        Err(broken) => outcome.broken.push(format!("the start: {broken}")),
    }
    while outcome.is_clean() && began.elapsed() < EPOCH && !plan.is_done(outcome, &world.history) {
        rounds::run(plan, &mut world, deck, outcome).await;
    }
    if outcome.is_clean() {
        world.history.note(format!("{} faults were proven; everybody stops sending", outcome.all_proven()));
        world.senders.stop().await;
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
