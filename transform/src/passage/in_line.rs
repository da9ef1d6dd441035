//! The same way where keys are parked: what waits is left out before the steps, and what comes behind a rejected record of its key is
//! not written.

use std::sync::Arc;

use millrace_model::{Records, Rejection, Result, Stage};
use millrace_runtime::codec::Decoded;
use millrace_runtime::kafka::Producer;
use millrace_runtime::parking::keys::{Behind, Known, Line, Lineup, ParkedKeys};
use millrace_runtime::telemetry::BatchTrace;

use super::{Passage, Passed, Stepped, Steps};

type RejectedBy = (Stage, Vec<Rejection>);

impl Passage {
    /// Takes the records through that do not wait; `Passed::rejected` has none that does.
    pub(crate) fn pass_in_line(
        &mut self,
        records: &Arc<Records>,
        producer: &mut Producer,
        trace: &BatchTrace,
        parked: &ParkedKeys,
    ) -> Result<(Passed, Line)> {
        let Stepped { batch, tombstones, filtered, mut rejected } = self.steps.apply_in_line(records, parked)?;
        let written = self.writer.write_through(producer, &batch, &tombstones, trace, Behind::new(records))?;
        rejected.push((Stage::Encode, written.rejected));
        let line = line_up(records, parked, &rejected);
        leave(&mut rejected, &line);
        Ok((Passed { records: written.records, bytes: written.bytes, filtered, rejected }, line))
    }
}

impl Steps {
    /// What comes out of the records that do not wait.
    fn apply_in_line(&mut self, records: &Arc<Records>, parked: &ParkedKeys) -> Result<Stepped> {
        let Decoded { batch, tombstones, rejected } = self.input.decode(records)?;
        let mut line = line_up(records, parked, &[(Stage::Decode, rejected.clone())]);
        // What a step rejects holds more back; it is not counted as if it had been through.
        loop {
            let tombstones = tombstones.iter().copied().filter(|&tombstone| !line.waits(tombstone)).collect();
            let going = Decoded { batch: line.without(&batch)?, tombstones, rejected: rejected.clone() };
            let mut stepped = self.step(going)?;
            let lined_up = line_up(records, parked, &stepped.rejected);
            if lined_up.waiting == line.waiting {
                leave(&mut stepped.rejected, &line);
                return Ok(stepped);
            }
            line = lined_up;
        }
    }
}

fn line_up(records: &Records, parked: &ParkedKeys, rejected: &[RejectedBy]) -> Line {
    let rejected = rejected.iter().flat_map(|(_, rejections)| rejections).map(|rejection| rejection.record).collect();
    Lineup::default().line_up(parked, records, Known { rejected, ..Known::default() })
}

/// Leaves those that wait out: whether they are rejected shows when it is their turn.
fn leave(rejected: &mut [RejectedBy], line: &Line) {
    rejected.iter_mut().for_each(|(_, rejections)| rejections.retain(|rejection| !line.waits(rejection.record)));
}
