//! The ledger: one line of JSON for each run, added up over runs and machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::check::Counts;
use crate::outside::scripts::sources;
use crate::recovery::Spread;

/// What moves records and what makes each hop exactly once. A change in here starts the count anew.
const HOT_PATHS: [&str; 10] = [
    "runtime/src/kafka",
    "runtime/src/codec",
    "runtime/src/input",
    "runtime/src/output",
    "runtime/src/dead_letters",
    "ingest/src",
    "transform/src",
    "loader/src",
    "connectors/src/files",
    "connectors/src/postgres",
];

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it ended.
    pub(crate) at: String,
    pub(crate) seed: u64,
    /// The commit of the sources; with `+` where they were changed.
    pub(crate) commit: String,
    /// The hash over the hot paths' sources.
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
    /// Seconds until all was well again, over all faults.
    pub(crate) recovery: Option<Spread>,
    /// The same by fault, of those that came alone.
    pub(crate) recovery_by_fault: BTreeMap<String, Spread>,
}

impl Entry {
    pub(crate) fn counted(mut self, counts: Counts) -> Self {
        let Counts { lost, doubled, reordered, corrupted } = counts;
        [self.lost, self.doubled, self.reordered, self.corrupted] = [lost, doubled, reordered, corrupted].map(|count| count as u64);
        self
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.reordered + self.corrupted == 0 && self.broken.is_empty()
    }
}

fn path() -> PathBuf {
    sources().join("tests/torture/ledger.jsonl")
}

/// Appends a run.
pub(crate) fn append(entry: &Entry) {
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
    let (entries, present) = (entries(), hot_paths());
    let current: Vec<&Entry> = entries.iter().filter(|entry| entry.hot_paths == present).collect();
    format!(
        "{}\n{}",
        total(&format!("hot paths as they are ({present})"), &current),
        total("all runs", &entries.iter().collect::<Vec<_>>())
    )
}

fn total(title: &str, entries: &[&Entry]) -> String {
    let sum = |of: fn(&Entry) -> u64| entries.iter().map(|entry| of(entry)).sum::<u64>();
    let mut faults: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for entry in entries {
        for (fault, count) in &entry.faults {
            let known = faults.entry(fault).or_default();
            known.0 += count;
            known.1 = known.1.max(entry.recovery_by_fault.get(fault).map_or(0.0, |spread| spread.max));
        }
    }
    let count: u64 = faults.values().map(|(count, _)| count).sum();
    let minutes: f64 = entries.iter().map(|entry| entry.minutes).sum();
    let broken: usize = entries.iter().map(|entry| entry.broken.len()).sum();
    let mut said =
        format!("{title}: {} runs, {minutes:.0} minutes, {} records, {count} faults proven\n", entries.len(), sum(|entry| entry.records));
    writeln!(
        said,
        "  {} lost, {} doubled, {} reordered, {} corrupted, {broken} otherwise broken",
        sum(|entry| entry.lost),
        sum(|entry| entry.doubled),
        sum(|entry| entry.reordered),
        sum(|entry| entry.corrupted)
    )
    .expect("a text can be written");
    for (fault, (count, slowest)) in faults {
        writeln!(said, "  {fault:36} {count:6}   slowest recovery {slowest:6.1} s").expect("a text can be written");
    }
    said
}

/// The hash over the hot paths' sources.
pub(crate) fn hot_paths() -> String {
    let mut files: Vec<PathBuf> = HOT_PATHS.iter().flat_map(|path| files_in(&sources().join(path))).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.strip_prefix(sources()).expect("it is in the sources").to_string_lossy().as_bytes());
        hash.update(fs::read(&file).expect("a source can be read"));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    paths.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// The commit of the sources.
pub(crate) fn commit() -> String {
    let git = |words: &[&str]| Command::new("git").arg("-C").arg(sources()).args(words).output().ok();
    let text = |words: &[&str]| git(words).map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default();
    let changed = !text(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{}{}", text(&["rev-parse", "--short=12", "HEAD"]), if changed { "+" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(faults: &[(&str, u64)], lost: u64) -> Entry {
        Entry {
            at: String::new(),
            seed: 1,
            commit: String::new(),
            hot_paths: String::new(),
            minutes: 2.0,
            faults: faults.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            unproven: 0,
            records: 10,
            lost,
            doubled: 0,
            reordered: 0,
            corrupted: 0,
            broken: Vec::new(),
            recovery: None,
            recovery_by_fault: BTreeMap::new(),
        }
    }

    #[test]
    fn runs_add_up() {
        let (one, two) = (entry(&[("kill", 2), ("cut", 1)], 0), entry(&[("kill", 3)], 4));
        let said = total("all", &[&one, &two]);
        assert!(said.starts_with("all: 2 runs, 4 minutes, 20 records, 6 faults proven\n  4 lost, 0 doubled"), "{said}");
        assert!(said.lines().any(|line| line.split_whitespace().take(2).eq(["kill", "5"])), "{said}");
    }

    #[test]
    fn the_ledger_can_be_read() {
        entries();
        assert_eq!(hot_paths().len(), 16);
    }
}
