//! The parked keys of a load, and a round of records that may have to wait for one another.
//!
//! Which rows a target refuses shows when they are settled, with later rows of their keys staged behind them. The round is staged once more then,
//! without those that wait: nothing of it is committed yet.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use millrace_model::{Offsets, ParkedHeads, Records, Rejected, Result, Sink, TopicPartition};
use millrace_runtime::dead_letters::Marks;
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::parking::Parking;
use millrace_runtime::parking::keys::{Known, Line, Lineup};
use millrace_runtime::parking::rebuild::Truth;
use millrace_runtime::project::OnError;

use crate::reading::Read;
use crate::service::Load;

/// Parked keys, and the round in hand.
pub(crate) struct Lot {
    pub(crate) parking: Parking,
    batches: Vec<Staged>,
    /// What was rejected in this round, by its place; some of it waits.
    rejected: BTreeMap<(i32, i64), Rejected>,
    lineup: Lineup,
}

/// A batch of the round, and what of it was not staged.
struct Staged {
    records: Arc<Records>,
    read: Read,
    line: Line,
}

impl Lot {
    /// That of a pipeline which parks keys.
    pub(crate) async fn open(load: &Load, cluster: &Cluster, pipeline: &str) -> Result<Option<Self>> {
        if load.config.on_error != OnError::ParkKey {
            return Ok(None);
        }
        let parking = Parking::open(cluster, pipeline, &load.config.from, &load.config.parked).await?;
        Ok(Some(Self { parking, batches: Vec::new(), rejected: BTreeMap::new(), lineup: Lineup::default() }))
    }

    /// Waits for what is to be released; for ever where no key can be parked.
    pub(crate) async fn marks(lot: &mut Option<Self>) -> Result<Marks> {
        match lot {
            Some(lot) => lot.parking.marks().await,
            None => std::future::pending().await,
        }
    }

    /// Takes claimed partitions over; returns what goes on first.
    pub(crate) async fn take_over(
        &mut self,
        cluster: &Cluster,
        partitions: &[TopicPartition],
        claimed: &Offsets,
        heads: &ParkedHeads,
    ) -> Result<Option<Arc<Records>>> {
        self.parking.take_over(cluster, partitions, claimed, Truth::Target(heads)).await
    }

    /// Stages what of the records need not wait; `rejected` is what is known of them to be bad.
    pub(crate) async fn stage(&mut self, records: &Arc<Records>, read: Read, rejected: Vec<Rejected>, sink: &mut dyn Sink) -> Result<()> {
        self.note(rejected);
        let line = self.lineup.line_up(self.parking.keys(), records, self.known(records, &read));
        let refused =
            if line.waiting.is_empty() { read.stage(sink).await? } else { read.without(|record| line.waits(record))?.stage(sink).await? };
        self.note(refused.into_iter().map(|refused| Rejected::new(records, millrace_model::Stage::Write, refused)).collect());
        self.batches.push(Staged { records: Arc::clone(records), read, line });
        Ok(())
    }

    /// Takes what the target refused when it settled; whether rows have been staged that have to wait for one of them.
    pub(crate) fn refuse(&mut self, refused: Vec<Rejected>) -> bool {
        self.note(refused);
        let mut lineup = Lineup::default();
        let mut is_out_of_line = false;
        for number in 0..self.batches.len() {
            let Staged { records, read, .. } = &self.batches[number];
            let line = lineup.line_up(self.parking.keys(), records, self.known(records, read));
            is_out_of_line |= line.waiting != self.batches[number].line.waiting;
            self.batches[number].line = line;
        }
        is_out_of_line
    }

    /// Stages the round once more, as it is lined up now and without what was rejected.
    pub(crate) async fn stage_again(&mut self, sink: &mut dyn Sink) -> Result<()> {
        for number in 0..self.batches.len() {
            let Staged { records, read, line } = &self.batches[number];
            let (records, rejected) = (Arc::clone(records), self.rejected_of(records));
            let refused = read.without(|record| line.waits(record) || rejected.contains(&record))?.stage(sink).await?;
            self.note(refused.into_iter().map(|refused| Rejected::new(&records, millrace_model::Stage::Write, refused)).collect());
        }
        Ok(())
    }

    /// Keeps what waits, and gives what is rejected, of the round as it was settled. It ends here.
    pub(crate) fn end_round(&mut self, producer: &mut Producer) -> Result<Ended> {
        self.lineup = Lineup::default();
        let mut ended = Ended { rejected: Vec::new(), rows: 0 };
        for Staged { records, read, line } in std::mem::take(&mut self.batches) {
            let is_out = |row: u32| line.waits(row) || self.rejected.contains_key(&place(&records, row));
            ended.rows += read.rows_but(is_out);
            let own = (0..records.len() as u32).filter(|&row| !line.waits(row));
            ended.rejected.extend(own.filter_map(|row| self.rejected.remove(&place(&records, row))));
            self.parking.hold_back(producer, &records, &line)?;
        }
        self.rejected.clear();
        Ok(ended)
    }

    fn note(&mut self, rejected: Vec<Rejected>) {
        for rejected in rejected {
            let record = rejected.record();
            self.rejected.entry((record.partition, record.offset)).or_insert(rejected);
        }
    }

    fn known(&self, records: &Records, read: &Read) -> Known {
        Known { rejected: self.rejected_of(records), clears: read.clears() }
    }

    /// The indices of those of the records that are rejected.
    fn rejected_of(&self, records: &Records) -> HashSet<u32> {
        if self.rejected.is_empty() {
            return HashSet::new();
        }
        (0..records.len() as u32).filter(|&row| self.rejected.contains_key(&place(records, row))).collect()
    }
}

/// What became of a round beside its staged rows.
pub(crate) struct Ended {
    /// What becomes dead letters, in the order of the round.
    pub(crate) rejected: Vec<Rejected>,
    /// How many rows come.
    pub(crate) rows: usize,
}

fn place(records: &Records, row: u32) -> (i32, i64) {
    (records.partitions()[row as usize], records.offsets()[row as usize])
}
