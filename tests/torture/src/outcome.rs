//! What came of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::check::{Counts, Finding};
use crate::faults::Proof;
use crate::ledger::Entry;
use crate::recovery::Times;
use crate::watch::Sign;

/// How many findings are told with the record's whole way.
pub(crate) const TOLD: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    proven: BTreeMap<String, u64>,
    unproven: BTreeMap<String, Vec<String>>,
    signs: BTreeMap<String, BTreeMap<Sign, u64>>,
    pub(crate) times: Times,
    /// Instances that ended by themselves or did not recover.
    pub(crate) broken: Vec<String>,
    /// Faults that an operator did not see.
    pub(crate) unseen: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) records: u64,
    pub(crate) rounds: usize,
}

impl Outcome {
    /// Of an epoch that comes after so many rounds.
    pub(crate) fn after(rounds: usize) -> Self {
        Self { rounds, ..Self::default() }
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.broken.is_empty() && self.findings.is_empty()
    }

    /// Whether nothing was wrong, but that an operator may not have seen what was to be seen.
    pub(crate) fn is_seen(&self) -> bool {
        self.unseen.is_empty()
    }

    /// Takes the end of a fault; whether it bit.
    pub(crate) fn take(&mut self, name: &str, proof: Proof) -> bool {
        let bit = matches!(proof, Proof::Bit(_));
        match proof {
            Proof::Bit(_) => *self.proven.entry(name.to_owned()).or_default() += 1,
            Proof::Missed(why) => self.unproven.entry(name.to_owned()).or_default().push(why),
            Proof::Broken(what) => self.broken.push(format!("{name}: {what}")),
        }
        bit
    }

    /// Notes what an operator saw of a fault.
    pub(crate) fn saw(&mut self, name: &str, seen: &BTreeSet<Sign>) {
        let signs = self.signs.entry(name.to_owned()).or_default();
        seen.iter().for_each(|sign| *signs.entry(*sign).or_default() += 1);
    }

    /// Prints it, fault by fault.
    pub(crate) fn tell(&self) {
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
        println!("{:36} {:6}", "all", self.all_proven());
        println!("{} records, {:?}, {} otherwise broken", self.records, Counts::of(&self.findings), self.broken.len());
        self.unseen.iter().for_each(|unseen| println!("UNSEEN {unseen}"));
    }

    /// How many faults are proven to have bitten.
    pub(crate) fn all_proven(&self) -> u64 {
        self.proven.values().sum()
    }

    /// Adds what came of another epoch, which has counted on the rounds of this.
    pub(crate) fn add(&mut self, other: Self) {
        other.proven.into_iter().for_each(|(name, count)| *self.proven.entry(name).or_default() += count);
        other.unproven.into_iter().for_each(|(name, why)| self.unproven.entry(name).or_default().extend(why));
        for (name, signs) in other.signs {
            let known = self.signs.entry(name).or_default();
            signs.into_iter().for_each(|(sign, count)| *known.entry(sign).or_default() += count);
        }
        self.times.add_all(other.times);
        self.broken.extend(other.broken);
        self.unseen.extend(other.unseen);
        self.findings.extend(other.findings);
        self.records += other.records;
        self.rounds = other.rounds;
    }

    /// The entry that was begun, with all this.
    pub(crate) fn entry(&self, entry: Entry, lasted: Duration) -> Entry {
        let Counts { lost, doubled, reordered, corrupted } = Counts::of(&self.findings);
        let [lost, doubled, reordered, corrupted] = [lost, doubled, reordered, corrupted].map(|count| count as u64);
        Entry {
            minutes: (lasted.as_secs_f64() / 6.0).round() / 10.0,
            unproven: self.unproven.values().map(|missed| missed.len() as u64).sum(),
            faults: self.proven.clone(),
            records: self.records,
            lost,
            doubled,
            reordered,
            corrupted,
            broken: self.broken.clone(),
            unseen: self.unseen.clone(),
            recovery: self.times.seconds(),
            ..entry
        }
    }
}
