//! The log of a table, as the Delta protocol has it (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md>): what is the table is
//! what the log says, version by version. A version is put only where there is none yet.
//!
//! `delta_kernel` is not used: the features that it asks of Arrow would change that crate for the whole workspace, and what is needed here
//! is a small part of the protocol, the part that makes a load exactly once.

mod checkpoint;
mod entry;
mod protocol;
mod snapshot;

use bytes::Bytes;
use millrace_model::{Fault, Result};
use uuid::Uuid;

pub(super) use entry::{Add, Entry, MetaData, Protocol, Txn, now};
pub(super) use protocol::{check_readable, needed};
pub(super) use snapshot::{Contents, Snapshot};

use super::fault::damaged;
use super::place::Place;
use checkpoint::Checkpoint;

/// The folder of the log.
pub(super) const FOLDER: &str = "_delta_log";

/// Which versions are files of the log.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) commits: Vec<i64>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

/// How an attempt to put the next version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is there.
    Done,
    /// Another writer's is there.
    Taken,
}

/// The path of a version's file.
pub(super) fn commit_file(version: i64) -> String {
    format!("{FOLDER}/{version:020}.json")
}

/// What the log has, of the versions after `after`.
pub(super) async fn list(place: &Place, after: Option<i64>) -> Result<Listed> {
    let after = after.map(commit_file);
    let files = place.list(FOLDER, after.as_deref()).await?;
    let mut listed = Listed::default();
    for name in files.iter().filter_map(|(file, _)| file.strip_prefix(FOLDER)?.strip_prefix('/')) {
        match name.strip_suffix(".json").and_then(version) {
            Some(version) => listed.commits.push(version),
            None => checkpoint::add(name, &mut listed.checkpoints),
        }
    }
    listed.commits.sort_unstable();
    Ok(listed)
}

/// A version of twenty digits.
fn version(text: &str) -> Option<i64> {
    (text.len() == 20 && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The table as its log has it now; none where there is no table.
pub(super) async fn read(place: &Place, contents: Contents) -> Result<Option<Snapshot>> {
    let begin = checkpoint::last(place).await?;
    let mut listed = list(place, begin.map(|version| version - 1)).await?;
    if begin.is_some() && listed.checkpoints.iter().all(|found| !found.is_whole()) {
        // What the hint names is gone.
        listed = list(place, None).await?;
    }
    let newest = listed.checkpoints.iter().filter(|found| found.is_whole()).max_by_key(|found| found.version);
    let mut snapshot = Snapshot::new(contents);
    if let Some(newest) = newest {
        for entry in newest.read(place, contents).await? {
            snapshot.apply(entry);
        }
        snapshot.version = newest.version;
    }
    follow(place, &mut snapshot, &listed.commits).await?;
    Ok((snapshot.version >= 0).then_some(snapshot))
}

/// Brings a snapshot to what the log has now.
pub(super) async fn refresh(place: &Place, snapshot: &mut Snapshot) -> Result<()> {
    let listed = list(place, Some(snapshot.version)).await?;
    if listed.commits.iter().find(|&&version| version > snapshot.version).is_none_or(|&next| next == snapshot.version + 1) {
        return follow(place, snapshot, &listed.commits).await;
    }
    // What came in between has been cleaned away.
    *snapshot = read(place, snapshot.contents()).await?.ok_or_else(|| damaged("the table is gone"))?;
    Ok(())
}

async fn follow(place: &Place, snapshot: &mut Snapshot, commits: &[i64]) -> Result<()> {
    let known = snapshot.version;
    for &version in commits.iter().filter(|&&version| version > known) {
        if version != snapshot.version + 1 {
            return Err(damaged(format!("version {} is missing in {}", snapshot.version + 1, place.name())));
        }
        let Some(text) = place.get(&commit_file(version)).await? else { return Ok(()) };
        for entry in entries(&text, version)? {
            snapshot.apply(entry);
        }
        snapshot.version = version;
    }
    Ok(())
}

fn entries(text: &Bytes, version: i64) -> Result<Vec<Entry>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let parsed: Result<Vec<Entry>, _> = lines.map(serde_json::from_slice).collect();
    parsed.map_err(|error| damaged(format!("version {version}: {error}")))
}

/// Puts a version where there is none. A version that is there and has the id of this very attempt is this attempt's: the answer to it was
/// lost.
pub(super) async fn append(place: &Place, version: i64, entries: &[Entry], attempt: Uuid) -> Result<Appended> {
    let mut text = Vec::new();
    for entry in entries.iter().chain([&Entry::info(attempt)]) {
        serde_json::to_writer(&mut text, entry)
            .map_err(|error| Fault::fatal(millrace_model::Code::Internal, "writing a log").because(error))?;
        text.push(b'\n');
    }
    let file = commit_file(version);
    if place.put_new(&file, &Bytes::from(text)).await? {
        return Ok(Appended::Done);
    }
    let Some(there) = place.get(&file).await? else { return Ok(Appended::Taken) };
    let id = attempt.to_string();
    let is_own = self::entries(&there, version)?.iter().any(|entry| entry.attempt() == Some(&id));
    Ok(if is_own { Appended::Done } else { Appended::Taken })
}

/// Writes down what the versions up to here come to, so that readers need not read them all.
pub(super) async fn summarise(place: &Place) -> Result<Option<Snapshot>> {
    let Some(snapshot) = read(place, Contents::All).await? else { return Ok(None) };
    checkpoint::write(place, &snapshot).await?;
    Ok(Some(snapshot))
}
