//! What keeps a table's folder small: checkpoints, and the deletion of files that nobody needs any more.

use std::time::Duration;

use jiff::Timestamp;
use millrace_model::Result;

use super::files::PREFIX;
use super::log::{self, FOLDER, Snapshot};
use super::place::Place;

/// After how many versions their sum is written down, and after how many the folder is looked through for orphans.
const CHECKPOINT: i64 = 100;
const SEARCH: i64 = 1000;
/// How long versions that a checkpoint covers are kept for those who look back.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How old a file that no version names must be before it is deleted. None waits for so long: see [`STALE`].
const ORPHAN: Duration = Duration::from_hours(7 * 24);

/// How old a finished file may be when it is published, in milliseconds: a process that stood still for days must not publish what
/// another one has taken for an orphan.
pub(super) const STALE: i64 = 24 * 3_600_000;

/// What is due when a version has been put. The commit stands whatever becomes of it: what fails is done at the next checkpoint.
pub(super) async fn after(place: &Place, version: i64) {
    if version % CHECKPOINT != 0 || version == 0 {
        return;
    }
    if let Err(fault) = clean(place).await {
        tracing::warn!(table = place.name(), %fault, "the table's log was not summarised; it is tried again with a later version");
    }
}

async fn clean(place: &Place) -> Result<()> {
    let Some(snapshot) = log::summarise(place).await? else { return Ok(()) };
    let now = Timestamp::now();
    delete_versions(place, before(now, KEPT)).await?;
    if snapshot.version % SEARCH == 0 { delete_orphans(place, &snapshot, before(now, ORPHAN)).await } else { Ok(()) }
}

fn before(now: Timestamp, age: Duration) -> i64 {
    now.as_second() - age.as_secs() as i64
}

/// Deletes the files of the log that a checkpoint made superfluous which is older than `before`, in seconds since the epoch.
async fn delete_versions(place: &Place, before: i64) -> Result<()> {
    let files = place.list(FOLDER, None).await?;
    let is_old = |at: i64| at < before;
    let old = files.iter().filter(|(file, meta)| file.ends_with(".checkpoint.parquet") && is_old(meta.last_modified.timestamp()));
    let Some(base) = old.map(|(file, _)| file.trim_end_matches(".checkpoint.parquet").to_owned()).max() else { return Ok(()) };
    // Names sort as their versions do.
    let superfluous = files.iter().filter(|(file, _)| file.as_str() < base.as_str() && file[FOLDER.len()..].starts_with("/0"));
    for (file, _) in superfluous {
        place.delete(file).await?;
    }
    Ok(())
}

/// Deletes files that a crash left behind: written here, named by no version, and older than `before`, in seconds since the epoch.
async fn delete_orphans(place: &Place, snapshot: &Snapshot, before: i64) -> Result<()> {
    let files = place.list("", None).await?;
    let is_own = |file: &str| file.rsplit('/').next().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(".parquet"));
    for (file, meta) in files {
        if is_own(&file) && meta.last_modified.timestamp() < before && !snapshot.knows(&file.replace('%', "%25")) {
            tracing::info!(table = place.name(), file, "a file that was never published is deleted");
            place.delete(&file).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::config::Config;
    use crate::lake::log::{Contents, Entry, needed};
    use bytes::Bytes;
    use serde_json::json;
    use uuid::Uuid;

    async fn table(versions: i64) -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().expect("a folder");
        let config: Config = serde_json::from_value(json!({ "url": folder.path() })).expect("reads");
        let place = Place::make(&config, "notes").expect("is a place");
        let metadata = json!({ "id": "1", "format": { "provider": "parquet" }, "schemaString": "{}", "partitionColumns": [] });
        let metadata = serde_json::from_value(metadata).expect("is one");
        let first = [Entry::of_protocol(needed(false, None)), Entry::of_metadata(metadata)];
        log::append(&place, 0, &first, Uuid::new_v4()).await.expect("is put");
        for version in 1..=versions {
            let add = json!({ "add": { "path": format!("{PREFIX}{version}.parquet"), "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": true } });
            let add: Entry = serde_json::from_value(add).expect("is one");
            log::append(&place, version, &[add], Uuid::new_v4()).await.expect("is put");
        }
        (folder, place)
    }

    #[tokio::test]
    async fn the_log_is_summarised_and_reads_as_before() {
        let (_folder, place) = table(100).await;
        after(&place, 100).await;
        // Far in the future all of it is old.
        delete_versions(&place, i64::MAX).await.expect("deletes");
        let left = log::list(&place, None).await.expect("lists");
        assert_eq!((left.commits, left.checkpoints.len()), (vec![100], 1));
        let snapshot = log::read(&place, Contents::All).await.expect("reads").expect("is a table");
        assert_eq!(snapshot.version, 100);
        assert!(snapshot.knows(&format!("{PREFIX}1.parquet")) && snapshot.knows(&format!("{PREFIX}100.parquet")));
        assert!(snapshot.metadata.is_some() && snapshot.protocol.is_some());
    }

    #[tokio::test]
    async fn a_snapshot_whose_next_versions_were_cleaned_away_is_read_anew() {
        let (_folder, place) = table(3).await;
        let mut old = log::read(&place, Contents::Facts).await.expect("reads").expect("is a table");
        for version in 4..=100 {
            log::append(&place, version, &[], Uuid::new_v4()).await.expect("is put");
        }
        after(&place, 100).await;
        delete_versions(&place, i64::MAX).await.expect("deletes");
        log::refresh(&place, &mut old).await.expect("reads");
        assert_eq!(old.version, 100);
    }

    #[tokio::test]
    async fn only_files_that_were_never_published_are_deleted() {
        let (_folder, place) = table(1).await;
        for file in [format!("{PREFIX}1.parquet"), format!("{PREFIX}lost.parquet"), "others.parquet".into()] {
            place.put(&file, &Bytes::from_static(b"x")).await.expect("is put");
        }
        let snapshot = log::read(&place, Contents::All).await.expect("reads").expect("is a table");
        delete_orphans(&place, &snapshot, 0).await.expect("deletes");
        assert!(place.get(&format!("{PREFIX}lost.parquet")).await.expect("reads").is_some(), "it is too young");
        delete_orphans(&place, &snapshot, i64::MAX).await.expect("deletes");
        assert!(place.get(&format!("{PREFIX}lost.parquet")).await.expect("reads").is_none());
        for file in [format!("{PREFIX}1.parquet"), "others.parquet".into()] {
            assert!(place.get(&file).await.expect("reads").is_some(), "{file} stays");
        }
    }
}
