//! The ledger: one line of JSON for each epoch of a run, added up over runs and machines.

mod hot_paths;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::outside::scripts::sources;
use crate::recovery::Spread;

/// Where the ledger is in the sources.
const PATH: &str = "tests/torture/ledger.jsonl";

/// An epoch of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it began.
    pub(crate) at: String,
    pub(crate) seed: u64,
    /// The commit of the sources; with `+` where they were changed.
    pub(crate) commit: String,
    /// The hash over the code of the hot paths.
    pub(crate) hot_paths: String,
    pub(crate) minutes: f64,
    /// How often each fault was proven to bite.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Faults that nothing shows to have bitten.
    pub(crate) unproven: u64,
    pub(crate) records: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
    /// What else went wrong: an instance that ended by itself or did not recover.
    pub(crate) broken: Vec<String>,
    /// Faults that an operator was to see, and did not.
    pub(crate) unseen: Vec<String>,
    /// The seconds until all was well again, by the fault that came alone, and of storms.
    pub(crate) recovery: BTreeMap<String, Vec<f64>>,
}

impl Entry {
    /// Of a run of the sources as they are now.
    pub(crate) fn begin(seed: u64) -> Self {
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self { at, seed, commit: commit(), hot_paths: hot_paths::hash(), ..Self::default() }
    }

    /// Whether another can take the sources that it is of from their history.
    fn is_of_a_commit(&self) -> bool {
        !self.commit.ends_with('+')
    }
}

fn path() -> PathBuf {
    sources().join(PATH)
}

/// Appends an epoch; one of sources that no commit has is not.
pub(crate) fn append(entry: &Entry) {
    if !entry.is_of_a_commit() {
        println!("the sources have changes that are not committed: the run does not go into the ledger");
        return;
    }
    let line = serde_json::to_string(entry).expect("an entry is JSON");
    let mut file = File::options().create(true).append(true).open(path()).expect("the ledger can be written");
    writeln!(file, "{line}").expect("the ledger can be written");
}

fn entries() -> Vec<Entry> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("the ledger has {line}: {error}"))).collect()
}

/// The totals over the runs of the present hot paths, and over all.
pub(crate) fn totals() -> String {
    let (entries, present) = (entries(), hot_paths::hash());
    let current: Vec<&Entry> = entries.iter().filter(|entry| entry.hot_paths == present).collect();
    let all: Vec<&Entry> = entries.iter().collect();
    format!("{}\n{}", total(&format!("hot paths as they are ({present})"), &current), total("all runs", &all))
}

fn total(title: &str, entries: &[&Entry]) -> String {
    let sum = |of: fn(&Entry) -> u64| entries.iter().map(|entry| of(entry)).sum::<u64>();
    let faults = sum(|entry| entry.faults.values().sum());
    let minutes: f64 = entries.iter().map(|entry| entry.minutes).sum();
    let lines = [
        format!("{title}: {} epochs, {minutes:.0} minutes, {} records, {faults} faults proven", entries.len(), sum(|entry| entry.records)),
        format!(
            "  {} lost, {} doubled, {} reordered, {} corrupted, {} otherwise broken, {} unseen",
            sum(|entry| entry.lost),
            sum(|entry| entry.doubled),
            sum(|entry| entry.reordered),
            sum(|entry| entry.corrupted),
            sum(|entry| entry.broken.len() as u64),
            sum(|entry| entry.unseen.len() as u64)
        ),
        recovered("an instance restarted in place", entries, |fault| fault.starts_with("process_kill_")),
        recovered("one that never returns", entries, |fault| fault == "process_lost"),
        recovered("any fault alone", entries, |fault| fault != "storm"),
        recovered("storms", entries, |fault| fault == "storm"),
    ];
    lines.join("\n") + "\n" + &by_fault(entries)
}

/// How long it took until all was well after such faults.
fn recovered(what: &str, entries: &[&Entry], such: impl Fn(&str) -> bool) -> String {
    let times = entries.iter().flat_map(|entry| &entry.recovery).filter(|(fault, _)| such(fault));
    match Spread::of(times.flat_map(|(_, times)| times).copied().collect()) {
        Some(Spread { count, p50, p99, max }) => {
            format!("  recovery, {what}: p50 {p50:.1} s, p99 {p99:.1} s, longest {max:.1} s of {count}")
        }
        None => format!("  recovery, {what}: none"),
    }
}

fn by_fault(entries: &[&Entry]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (fault, count) in entries.iter().flat_map(|entry| &entry.faults) {
        *counts.entry(fault).or_default() += count;
    }
    let mut said = String::new();
    for (fault, count) in counts {
        let times = entries.iter().filter_map(|entry| entry.recovery.get(fault)).flatten().copied().collect();
        let slowest = Spread::of(times)
            .map(|spread| format!("   alone {:4} times, p50 {:5.1} s, longest {:5.1} s", spread.count, spread.p50, spread.max));
        writeln!(said, "  {fault:36} {count:6}{}", slowest.unwrap_or_default()).expect("a text can be written");
    }
    said
}

/// The commit of the sources. The ledger itself may have changed.
fn commit() -> String {
    let git = |words: &[&str]| Command::new("git").arg("-C").arg(sources()).args(words).output().ok();
    let text = |words: &[&str]| git(words).map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default();
    let others = format!(":(top,exclude){PATH}");
    let changed = !text(&["status", "--porcelain", "--untracked-files=no", "--", ":/", &others]).is_empty();
    format!("{}{}", text(&["rev-parse", "--short=12", "HEAD"]), if changed { "+" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(faults: &[(&str, u64)], lost: u64) -> Entry {
        let recovery = BTreeMap::from([("process_lost".to_owned(), vec![3.0, 21.0])]);
        let faults = faults.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Entry { seed: 1, minutes: 2.0, faults, records: 10, lost, recovery, ..Entry::default() }
    }

    #[test]
    fn runs_add_up() {
        let (one, two) = (entry(&[("process_lost", 2), ("cut", 1)], 0), entry(&[("process_lost", 3)], 4));
        let said = total("all", &[&one, &two]);
        assert!(said.starts_with("all: 2 epochs, 4 minutes, 20 records, 6 faults proven\n  4 lost, 0 doubled"), "{said}");
        assert!(said.lines().any(|line| line.split_whitespace().take(2).eq(["process_lost", "5"])), "{said}");
        assert!(said.contains("one that never returns: p50 3.0 s, p99 21.0 s, longest 21.0 s of 4"), "{said}");
        assert!(said.contains("an instance restarted in place: none"), "{said}");
    }

    #[test]
    fn a_run_of_changed_sources_is_of_no_commit() {
        assert!(!Entry { commit: "abc+".to_owned(), ..Entry::default() }.is_of_a_commit());
        assert!(Entry { commit: "abc".to_owned(), ..Entry::default() }.is_of_a_commit());
    }

    #[test]
    fn the_ledger_can_be_read() {
        entries();
    }
}
