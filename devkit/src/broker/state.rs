//! All that a broker holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::groups::Groups;
use super::journal::{Image, Journal};
use super::topics::Topics;
use super::transactions::Transactions;
use super::{Config, Error};

/// The number of the one node.
pub(crate) const NODE: i32 = 1;
/// The id of its cluster, as clients see it.
pub(crate) const CLUSTER: &str = "millrace-development";

/// One broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: Config,
    pub(crate) journal: Arc<Journal>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Transactions,
    /// Held as long as the broker lives: one broker per data directory.
    _lock: Option<File>,
}

impl Broker {
    /// A broker with what its data directory holds, or with nothing.
    pub(crate) fn open(config: Config) -> Result<Self, Error> {
        let Some(folder) = config.data_dir.clone() else {
            let nowhere = |source| Error::DataDir { path: PathBuf::new(), source };
            return Self::assemble(config, Journal::default(), Image::default(), Topics::default(), None).map_err(nowhere);
        };
        let failed = |source| Error::DataDir { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = lock(&folder)?;
        let journal = folder.join("journal.jsonl");
        if holds_any(&folder.join("topics")).map_err(failed)? && !Journal::exists(&journal).map_err(failed)? {
            return Err(Error::NoJournal(folder));
        }
        let (journal, image) = Journal::open(&journal).map_err(failed)?;
        remove_strays(&folder.join("topics"), &image).map_err(failed)?;
        let topics = Topics::open(folder.join("topics"), &image).map_err(failed)?;
        Self::assemble(config, journal, image, topics, Some(lock)).map_err(failed)
    }

    fn assemble(config: Config, journal: Journal, image: Image, topics: Topics, lock: Option<File>) -> io::Result<Self> {
        let (journal, topics, groups) = (Arc::new(journal), Arc::new(topics), Arc::new(Groups::open(&image)));
        let transactions =
            Transactions::open(image, Arc::clone(&journal), Arc::clone(&topics), Arc::clone(&groups)).map_err(io::Error::other)?;
        Ok(Self { config, journal, topics, groups, transactions, _lock: lock })
    }

    /// Ends what has lasted too long: sessions, rebalances, transactions.
    pub(crate) fn expire(&self, now: Instant) {
        self.groups.expire(now);
        self.transactions.expire(now);
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let failed = |source| Error::DataDir { path: folder.to_owned(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn holds_any(folder: &Path) -> io::Result<bool> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        entries => Ok(entries?.next().is_some()),
    }
}

/// Removes the folders of partitions that no topic has: a topic's end is kept before its files are removed.
fn remove_strays(folder: &Path, image: &Image) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let known = name.to_str().and_then(|name| name.rsplit_once('-')).is_some_and(|(topic, index)| {
            let partitions = image.topics.get(topic).map_or(0, |topic| topic.partitions);
            index.parse::<i32>().is_ok_and(|index| index < partitions)
        });
        if !known {
            tracing::warn!(path = %entry.path().display(), "removing the files of a topic that was deleted");
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn open(folder: &Path) -> Result<Broker, Error> {
        Broker::open(Config { data_dir: Some(folder.to_owned()), ..Config::default() })
    }

    fn create(broker: &Broker, topic: &str) {
        broker.topics.create(&broker.journal, topic, 1, BTreeMap::new(), false).unwrap();
    }

    #[test]
    fn topics_without_a_journal_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        create(&open(folder.path()).unwrap(), "topic");
        let journal = folder.path().join("journal.jsonl");
        std::fs::write(&journal, "").unwrap();
        assert!(matches!(open(folder.path()), Err(Error::NoJournal(path)) if path == folder.path()));
        std::fs::remove_file(&journal).unwrap();
        assert!(matches!(open(folder.path()), Err(Error::NoJournal(_))));
        assert!(folder.path().join("topics/topic-0").exists());
    }

    #[test]
    fn files_of_a_topic_that_the_journal_does_not_know_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        create(&open(folder.path()).unwrap(), "topic");
        std::fs::create_dir(folder.path().join("topics/deleted-0")).unwrap();
        let again = open(folder.path()).unwrap();
        assert!(again.topics.get("topic").is_some() && !folder.path().join("topics/deleted-0").exists());
    }
}
