//! Records that Kafka does not take: their encoded form is over the limit, though the line was not.

use arrow::array::BooleanArray;
use millrace_model::{Batch, Code, Fault, Rejected, Rejection, Result, Stage};
use millrace_runtime::telemetry::Hop;

use super::shares::Share;
use crate::service::Ingest;

/// Parts a batch that Kafka refused: the rows that it takes, and the others, rejected. They are found by halving, each try a
/// transaction that is aborted.
pub(super) fn sift(ingest: &Ingest, hop: &Hop, share: &mut Share, batch: &Batch) -> Result<(Batch, Vec<Rejected>)> {
    share.producer.abort()?;
    let mut rows = Vec::new();
    find(ingest, hop, share, batch, 0, &mut rows)?;
    let keep: BooleanArray = (0..batch.len()).map(|row| Some(!rows.contains(&row))).collect();
    let kept = batch.filter(&keep).map_err(|error| Fault::fatal(Code::Internal, "parting a batch").because(error))?;
    let rejected = rows.iter().map(|&row| {
        let reason = "the encoded record is larger than Kafka takes";
        let rejection = Rejection::new(batch.origin().rows()[row], Code::KafkaTooLarge, reason);
        Rejected::new(batch.origin().records(), Stage::Encode, rejection)
    });
    Ok((kept, rejected.collect()))
}

/// Adds the rows of `batch` that Kafka does not take; `first` is the number of its first row.
fn find(ingest: &Ingest, hop: &Hop, share: &mut Share, batch: &Batch, first: usize, rows: &mut Vec<usize>) -> Result<()> {
    if batch.is_empty() || fits(ingest, hop, share, batch)? {
        return Ok(());
    }
    if batch.len() == 1 {
        rows.push(first);
        return Ok(());
    }
    let half = batch.len() / 2;
    find(ingest, hop, share, &batch.slice(0, half), first, rows)?;
    find(ingest, hop, share, &batch.slice(half, batch.len() - half), first + half, rows)
}

fn fits(ingest: &Ingest, hop: &Hop, share: &mut Share, batch: &Batch) -> Result<bool> {
    let tried = attempt(ingest, hop, share, batch);
    share.producer.abort()?;
    match tried {
        Err(fault) if fault.code() == Code::KafkaTooLarge => Ok(false),
        other => other.map(|()| true),
    }
}

fn attempt(ingest: &Ingest, hop: &Hop, share: &mut Share, batch: &Batch) -> Result<()> {
    ingest.begin(&mut share.producer)?;
    share.writer.write(&mut share.producer, batch, &[], &hop.untraced())?;
    share.producer.drain()
}
