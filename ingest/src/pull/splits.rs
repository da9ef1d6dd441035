//! The splits that this instance reads, in their order.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Instant;

use millrace_connectors::SourceConfig;
use millrace_model::{Fault, Position, Pulled, Result, Schema, Source};
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::retry::{Backoff, Next};

/// One split: where it stands, and the source once it has been opened.
#[derive(Default)]
pub(super) struct Entry {
    at: Option<Position>,
    source: Option<Box<dyn Source>>,
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
    pub(super) async fn pull(&mut self, source: &SourceConfig, split: &str, schema: &Schema) -> Result<Option<Pulled>> {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.until.is_none_or(|until| until > Instant::now())) {
            return Ok(None);
        }
        self.backoff.attempt();
        let opened = match self.source.take() {
            Some(opened) => opened,
            None => source.open(split, schema, self.at.as_ref()).await?,
        };
        // A source that fails is opened anew.
        let pulled = self.source.insert(opened).next().await?;
        self.trouble = None;
        Ok(pulled)
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

    pub(super) fn add(&mut self, split: String, at: Option<Position>) {
        self.entries.insert(split, Entry { at, ..Entry::default() });
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
    pub(super) async fn settled(&mut self, split: &str, position: &Position) -> Result<()> {
        let Some(entry) = self.entries.get_mut(split) else { return Ok(()) };
        entry.at = Some(position.clone());
        match &mut entry.source {
            Some(source) => source.settled(position).await,
            None => Ok(()),
        }
    }

    /// Shows how the splits are: one that stands halted is the pipeline's matter.
    pub(super) fn show(&self, pipeline: &Pipeline, has_shares: bool) {
        let troubles = || self.entries.values().filter_map(|entry| entry.trouble.as_ref());
        if let Some(halted) = troubles().find(|trouble| trouble.halted) {
            pipeline.health.halted(&halted.fault);
        } else if let Some(passing) = troubles().next() {
            pipeline.health.waiting(passing.fault.to_string());
        } else if has_shares {
            pipeline.health.running();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_read_to_its_end_before_the_next_and_a_round_asks_each_once() {
        let mut splits = Splits::default();
        splits.add("b".into(), None);
        splits.add("a".into(), None);
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
