//! The splits that this instance reads, in their order.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Instant;

use millrace_connectors::{SourceConfig, Split};
use millrace_model::{Fault, Pulled, Result, Source};
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::retry::{Backoff, Next};

use super::standing::{Standing, Tally};
use crate::service::Ingest;

/// One split: where it stands, and the source once it has been opened.
#[derive(Default)]
pub(super) struct Entry {
    /// As it is durable.
    standing: Option<Standing>,
    /// As it was listed last.
    version: Option<String>,
    source: Option<Box<dyn Source>>,
    /// Whether all that was there has been brought. A split that has a version is not asked again until that is another.
    complete: bool,
    backoff: Backoff,
    trouble: Option<Trouble>,
}

/// Why a split is not read at present.
struct Trouble {
    fault: Fault,
    /// When it is tried again; never without.
    until: Option<Instant>,
    halted: bool,
}

impl Entry {
    /// What the split has next; nothing while it is left alone after a fault.
    pub(super) async fn pull(&mut self, source: &SourceConfig, split: &str, ingest: &Ingest) -> Result<Option<Pulled>> {
        if self.complete && self.version.is_some() {
            return Ok(None);
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.until.is_none_or(|until| until > Instant::now())) {
            return Ok(None);
        }
        self.backoff.attempt();
        let at = self.standing.as_ref().map(|standing| &standing.position);
        let opened = match self.source.take() {
            Some(opened) => opened,
            None => source.open(split, &ingest.schema, at, &ingest.connections).await?,
        };
        // A source that fails is opened anew.
        let opened = self.source.insert(opened);
        let pulled = opened.next().await?;
        self.complete = pulled.is_none() && opened.is_complete();
        if self.complete && self.version.is_some() {
            self.source = None;
        }
        self.trouble = None;
        Ok(pulled)
    }

    fn is_halted(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.halted)
    }

    /// What came of the split so far.
    pub(super) fn tally(&self) -> Tally {
        self.standing.as_ref().map(|standing| standing.tally.clone()).unwrap_or_default()
    }

    /// Whether the split was listed as it was read to its end: then there is nothing to open it for.
    fn is_read(&self) -> bool {
        let read = self.standing.as_ref().and_then(|standing| standing.tally.finished.as_ref());
        read.is_some() && read == self.version.as_ref()
    }

    /// The split was listed again. One that has something new is asked at once, whatever trouble its last version made.
    fn listed(&mut self, version: Option<String>) {
        if self.version != version {
            (self.version, self.complete) = (version, false);
            self.trouble = None;
        }
    }

    /// The split failed; the others go on.
    pub(super) fn failed(&mut self, fault: Fault) {
        let (until, halted) = match self.backoff.after(&fault) {
            Next::WaitFor(wait) => (Some(Instant::now() + wait), false),
            Next::HaltFor(wait) => (Some(Instant::now() + wait), true),
            Next::Halt => (None, true),
        };
        self.source = None;
        self.trouble = Some(Trouble { fault, until, halted });
    }
}

/// Splits by name, and how far this round of asking them has come.
#[derive(Default)]
pub(super) struct Splits {
    entries: BTreeMap<String, Entry>,
    /// The split asked last in this round that had nothing.
    passed: Option<String>,
}

impl Splits {
    pub(super) fn has(&self, split: &str) -> bool {
        self.entries.contains_key(split)
    }

    /// Takes a split in, where it stands. `reopens` says that one that was read to its end is looked at all the same.
    pub(super) fn add(&mut self, split: Split, standing: Option<Standing>, reopens: bool) {
        let mut entry = Entry { standing, version: split.version, ..Entry::default() };
        entry.complete = !reopens && entry.is_read();
        self.entries.insert(split.name, entry);
    }

    /// A split that is known was listed again.
    pub(super) fn listed(&mut self, split: Split) {
        if let Some(entry) = self.entries.get_mut(&split.name) {
            entry.listed(split.version);
        }
    }

    /// What came of a split so far.
    pub(super) fn tally(&self, split: &str) -> Tally {
        self.entries.get(split).map(Entry::tally).unwrap_or_default()
    }

    /// Whether nothing is left to do: each split is complete, or stands halted.
    pub(super) fn are_done(&self) -> bool {
        self.entries.values().all(|entry| entry.complete || entry.is_halted())
    }

    /// Whether a split stands halted.
    pub(super) fn any_halted(&self) -> bool {
        self.entries.values().any(Entry::is_halted)
    }

    /// Each split with whether it is complete, and why it is halted if it is.
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, bool, Option<&Fault>)> {
        self.entries.iter().map(|(split, entry)| {
            let fault = entry.trouble.as_ref().filter(|trouble| trouble.halted).map(|trouble| &trouble.fault);
            (split.as_str(), entry.complete, fault)
        })
    }

    pub(super) fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        self.entries.retain(|split, _| keep(split));
    }

    /// The split to ask: the one that had something last, else the next of this round.
    pub(super) fn next(&mut self) -> Option<(&str, &mut Entry)> {
        let after = self.passed.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range_mut::<str, _>((after, Bound::Unbounded)).next().map(|(split, entry)| (split.as_str(), entry))
    }

    /// The split that is asked now has nothing.
    pub(super) fn pass(&mut self) {
        self.passed = self.next().map(|(split, _)| split.to_owned());
    }

    /// A new round begins.
    pub(super) fn rewind(&mut self) {
        self.passed = None;
    }

    /// The position of a split is durable.
    pub(super) async fn settled(&mut self, split: &str, standing: Standing) -> Result<()> {
        let Some(entry) = self.entries.get_mut(split) else { return Ok(()) };
        let standing = entry.standing.insert(standing);
        match &mut entry.source {
            Some(source) => source.settled(&standing.position).await,
            None => Ok(()),
        }
    }

    /// Shows how the splits are: one that stands halted is the pipeline's matter. `ends` says that no others will come.
    pub(super) fn show(&self, pipeline: &Pipeline, has_shares: bool, ends: bool) {
        let troubles = || self.entries.values().filter_map(|entry| entry.trouble.as_ref());
        if let Some(halted) = troubles().find(|trouble| trouble.halted) {
            pipeline.health.halted(&halted.fault);
        } else if let Some(passing) = troubles().next() {
            pipeline.health.waiting(passing.fault.to_string());
        } else if has_shares && self.are_done() && ends {
            pipeline.health.complete();
        } else if has_shares {
            pipeline.health.running();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::Position;
    use serde_json::json;

    fn split(name: &str) -> Split {
        Split { name: name.into(), version: Some("v".into()), bytes: None }
    }

    #[test]
    fn a_split_that_was_read_rests_until_it_is_listed_as_another() {
        let tally = Tally { finished: Some("v".into()), ..Tally::default() };
        let standing = Standing { position: Position { split: "a".into(), at: json!({}) }, tally };
        let mut splits = Splits::default();
        splits.add(split("a"), Some(standing), false);
        splits.listed(split("a"));
        assert!(splits.are_done());
        splits.listed(Split { version: Some("w".into()), ..split("a") });
        assert!(!splits.are_done());
    }

    #[test]
    fn a_split_is_read_to_its_end_before_the_next_and_a_round_asks_each_once() {
        let mut splits = Splits::default();
        splits.add(split("b"), None, false);
        splits.add(split("a"), None, false);
        assert_eq!(splits.next().map(|(split, _)| split), Some("a"));
        assert_eq!(splits.next().map(|(split, _)| split), Some("a"));
        splits.pass();
        assert_eq!(splits.next().map(|(split, _)| split), Some("b"));
        splits.pass();
        assert!(splits.next().is_none());
        splits.rewind();
        assert_eq!(splits.next().map(|(split, _)| split), Some("a"));
    }
}
