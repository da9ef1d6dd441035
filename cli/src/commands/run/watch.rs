//! What a bounded run shows: how far it is, and at its end what came of it.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use millrace_ingest::{Progress, SplitProgress};
use millrace_runtime::service::{Health, State};

use crate::table::table;

/// How often the terminal is drawn anew.
const DRAWING: Duration = Duration::from_millis(200);
/// How often a line is printed where there is no terminal.
const TELLING: Duration = Duration::from_secs(10);

/// The pipelines of a run, by name.
pub(super) struct Watch {
    pipelines: BTreeMap<String, Progress>,
    health: Health,
}

impl Watch {
    pub(super) fn new(pipelines: BTreeMap<String, Progress>, health: &Health) -> Self {
        Self { pipelines, health: health.clone() }
    }

    /// Shows how far it is until `work` has ended: a bar on a terminal, lines elsewhere.
    pub(super) async fn until<T>(&self, work: impl Future<Output = T>) -> T {
        let bar = std::io::stderr().is_terminal().then(bar);
        let (mut work, mut told) = (std::pin::pin!(work), Instant::now());
        loop {
            tokio::select! {
                ended = &mut work => {
                    bar.iter().for_each(ProgressBar::finish_and_clear);
                    return ended;
                }
                () = tokio::time::sleep(DRAWING) => {}
            }
            let sum = self.sum();
            match &bar {
                Some(bar) => sum.draw(bar),
                None if told.elapsed() >= TELLING => {
                    told = Instant::now();
                    // What nobody reads, or a full disk does not take, ends no run.
                    writeln!(std::io::stderr(), "{}", sum.line()).ok();
                }
                None => {}
            }
        }
    }

    fn sum(&self) -> Sum {
        self.pipelines.values().flat_map(|progress| progress.splits().into_values()).fold(Sum::default(), |sum, split| sum.with(&split))
    }

    /// What came of each pipeline, and why of what is not done.
    pub(super) fn summary(&self) -> String {
        let mut table = table(["pipeline", "files", "done", "rows", "rejected", ""]);
        let mut halted = Vec::new();
        for (name, progress) in &self.pipelines {
            let splits = progress.splits();
            let sum = splits.values().fold(Sum::default(), Sum::with);
            let cells = [name.clone(), sum.splits.to_string(), sum.complete.to_string(), sum.records.to_string(), sum.rejected.to_string()];
            table.add_row(cells.into_iter().chain([self.word(name).to_owned()]));
            halted.extend(splits.into_iter().filter_map(|(split, progress)| Some(format!("{name}: {split}: {}", progress.halted?))));
            if let Some(State::Halted { fault, .. }) = self.state(name) {
                let line = format!("{name}: {fault}");
                if halted.iter().all(|known| !known.ends_with(&fault)) {
                    halted.push(line);
                }
            }
        }
        let lines = halted.iter().map(|line| format!("\n{line}")).collect::<String>();
        format!("{table}{lines}")
    }

    /// Whether everything that was there is durable.
    pub(super) fn is_complete(&self) -> bool {
        self.pipelines.keys().all(|name| matches!(self.state(name), Some(State::Complete)))
    }

    fn state(&self, pipeline: &str) -> Option<State> {
        self.health.states().remove(&format!("ingest/{pipeline}"))
    }

    fn word(&self, pipeline: &str) -> &'static str {
        match self.state(pipeline) {
            Some(State::Complete) => "complete",
            Some(State::Halted { .. }) => "HALTED",
            _ => "stopped",
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{bar:32} {percent:>3} %  {msg}  {elapsed}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Splits added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    splits: u64,
    complete: u64,
    records: u64,
    rejected: u64,
    bytes: u64,
    read: u64,
}

impl Sum {
    fn with(self, split: &SplitProgress) -> Self {
        let bytes = split.bytes.unwrap_or_default();
        // What was decompressed is more than the file.
        let read = if split.complete { bytes } else { split.read.min(bytes) };
        Self {
            splits: self.splits + 1,
            complete: self.complete + u64::from(split.complete),
            records: self.records + split.records,
            rejected: self.rejected + split.rejected,
            bytes: self.bytes + bytes,
            read: self.read + read,
        }
    }

    fn draw(&self, bar: &ProgressBar) {
        bar.set_length(self.bytes);
        bar.set_position(self.read);
        bar.set_message(self.line());
    }

    fn line(&self) -> String {
        format!("{} of {} files, {} rows, {} rejected", self.complete, self.splits, self.records, self.rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_add_up_and_none_counts_for_more_than_it_has() {
        let split = |read, complete| SplitProgress { bytes: Some(10), read, records: 2, rejected: 1, complete, halted: None };
        let sum = [split(25, false), split(3, false), split(0, true)].iter().fold(Sum::default(), Sum::with);
        assert_eq!(sum, Sum { splits: 3, complete: 1, records: 6, rejected: 3, bytes: 30, read: 23 });
        assert_eq!(sum.line(), "1 of 3 files, 6 rows, 3 rejected");
    }
}
