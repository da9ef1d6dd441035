//! What a broker keeps besides records: topics, committed offsets, producer ids and transactions, as one JSON event a line.
//!
//! Each event is written before its effect is answered for. When a broker opens its data directory the events are folded into an [`Image`],
//! and the journal is written anew from it; so it is when it has grown to several times what its events amount to. A last line that was
//! cut off is left out.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::groups::offsets::{Commits, Offsets, TopicPartition};
use super::log::storage_error;
use super::transactions::transaction::Transaction;

/// Something that must be known after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    TopicCreated { name: String, topic: TopicImage },
    TopicDeleted { name: String },
    PartitionsAdded { name: String, partitions: i32 },
    ConfigsSet { name: String, configs: BTreeMap<String, String> },
    RecordsDeleted { partition: TopicPartition, before: i64 },
    OffsetsCommitted { group: String, commits: Commits },
    OffsetsPending { group: String, producer_id: i64, commits: Commits },
    OffsetsSettled { group: String, producer_id: i64, committed: bool },
    OffsetsForgotten { group: String, partitions: Vec<TopicPartition> },
    GroupDeleted { group: String },
    ProducerIdsReserved { below: i64 },
    TransactionChanged { id: String, transaction: Transaction },
}

/// A topic as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TopicImage {
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) configs: BTreeMap<String, String>,
}

/// All that the events of a journal amount to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Image {
    pub(crate) topics: BTreeMap<String, TopicImage>,
    /// Where each partition begins, if records were deleted.
    pub(crate) starts: BTreeMap<TopicPartition, i64>,
    pub(crate) groups: BTreeMap<String, Offsets>,
    pub(crate) producer_ids: i64,
    pub(crate) transactions: BTreeMap<String, Transaction>,
}

impl Image {
    fn apply(&mut self, event: Event) {
        match event {
            Event::TopicCreated { name, topic } => drop(self.topics.insert(name, topic)),
            Event::TopicDeleted { name } => self.delete_topic(&name),
            Event::PartitionsAdded { name, partitions } => self.change_topic(&name, |topic| topic.partitions = partitions),
            Event::ConfigsSet { name, configs } => self.change_topic(&name, |topic| topic.configs = configs),
            Event::RecordsDeleted { partition, before } => drop(self.starts.insert(partition, before)),
            Event::OffsetsCommitted { group, commits } => self.group(group).commit(commits),
            Event::OffsetsPending { group, producer_id, commits } => self.group(group).pend(producer_id, commits),
            Event::OffsetsSettled { group, producer_id, committed } => self.group(group).settle(producer_id, committed),
            Event::OffsetsForgotten { group, partitions } => self.group(group).forget(|partition| partitions.contains(partition)),
            Event::GroupDeleted { group } => drop(self.groups.remove(&group)),
            Event::ProducerIdsReserved { below } => self.producer_ids = below,
            Event::TransactionChanged { id, transaction } => drop(self.transactions.insert(id, transaction)),
        }
    }

    fn change_topic(&mut self, name: &str, change: impl FnOnce(&mut TopicImage)) {
        if let Some(topic) = self.topics.get_mut(name) {
            change(topic);
        }
    }

    fn delete_topic(&mut self, name: &str) {
        self.topics.remove(name);
        self.starts.retain(|(topic, _), _| topic != name);
        for offsets in self.groups.values_mut() {
            offsets.forget(|(topic, _)| topic == name);
        }
    }

    fn group(&mut self, name: String) -> &mut Offsets {
        self.groups.entry(name).or_default()
    }

    /// The fewest events that amount to this.
    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::ProducerIdsReserved { below: self.producer_ids }];
        events.extend(self.topics.iter().map(|(name, topic)| Event::TopicCreated { name: name.clone(), topic: topic.clone() }));
        events
            .extend(self.starts.iter().map(|(partition, before)| Event::RecordsDeleted { partition: partition.clone(), before: *before }));
        for (group, offsets) in &self.groups {
            let commits = offsets.committed().map(|(partition, committed)| (partition.clone(), committed.clone())).collect();
            events.push(Event::OffsetsCommitted { group: group.clone(), commits });
            events.extend(offsets.pending().map(|(producer_id, commits)| Event::OffsetsPending {
                group: group.clone(),
                producer_id,
                commits,
            }));
        }
        let changed =
            |(id, transaction): (&String, &Transaction)| Event::TransactionChanged { id: id.clone(), transaction: transaction.clone() };
        events.extend(self.transactions.iter().map(changed));
        events
    }
}

/// The journal is written anew when it has grown to so many times the size that it had when it last was.
const GROWTH: u64 = 4;
/// Up to this size, in bytes, a journal is not worth writing anew.
const SMALL: u64 = 1024 * 1024;

/// Where events are written; without a file they are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    kept: Option<Mutex<Kept>>,
}

impl Journal {
    /// Whether there is a journal at `path` that says anything.
    pub(crate) fn exists(path: &Path) -> io::Result<bool> {
        Ok(text(path)?.contains(&b'\n'))
    }

    /// Opens the journal at `path`, which need not exist, and says what it holds.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Image)> {
        let image = read(path)?;
        let kept = Kept::write(path, &image)?;
        kept.sync_folder()?;
        Ok((Self { kept: Some(Mutex::new(kept)) }, image))
    }

    /// Writes an event. One that can't be written must have no effect.
    pub(crate) fn write(&self, event: &Event) -> Result<(), ResponseError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let line = lines(std::slice::from_ref(event)).map_err(storage_error)?;
        let mut kept = kept.lock();
        kept.append(&line).map_err(storage_error)?;
        kept.shrink();
        Ok(())
    }
}

/// A journal's file.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    file: File,
    length: u64,
    /// The length at which it is written anew.
    limit: u64,
}

impl Kept {
    /// Writes the fewest events that amount to `image`, in the place of what is there. At every moment one of the two is there as a whole.
    fn write(path: &Path, image: &Image) -> io::Result<Self> {
        let (fresh, text) = (path.with_extension("new"), lines(&image.events())?);
        remove(&fresh)?;
        let mut file = OpenOptions::new().append(true).create_new(true).open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        let length = text.len() as u64;
        Ok(Self { path: path.to_owned(), file, length, limit: limit(length) })
    }

    /// Appends whole lines or nothing.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines).or_else(|error| self.file.set_len(self.length).and(Err(error)))?;
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Writes the file anew if that is worth it. A failure is no harm: what is there stays valid.
    fn shrink(&mut self) {
        if self.length < self.limit {
            return;
        }
        if let Err(error) = self.write_anew() {
            tracing::error!(path = %self.path.display(), %error, "the journal could not be written anew; it goes on growing");
            self.limit = limit(self.length);
        }
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let image = read(&self.path)?;
        // From here on this is the file, even if the folder can't be synced.
        *self = Self::write(&self.path, &image)?;
        self.sync_folder()
    }

    /// A renamed file is there after a power cut once its folder is synced.
    fn sync_folder(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

fn limit(length: u64) -> u64 {
    SMALL.max(length.saturating_mul(GROWTH))
}

/// What an attempt that was cut off left behind is in the way of the next.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn lines(events: &[Event]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn text(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn read(path: &Path) -> io::Result<Image> {
    let text = text(path)?;
    let mut image = Image::default();
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        tracing::warn!(path = %path.display(), bytes = text.len() - whole, "leaving out a line that was cut off");
    }
    for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        image.apply(serde_json::from_slice(line)?);
    }
    Ok(image)
}

#[cfg(test)]
impl Journal {
    /// As if the disk were full, or had space again.
    pub(crate) fn fill_disk(&self, full: bool) {
        let mut kept = self.kept.as_ref().expect("a journal in a file").lock();
        kept.file = OpenOptions::new().read(full).append(!full).open(&kept.path).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::groups::offsets::Committed;
    use super::*;

    fn commits(offset: i64) -> Commits {
        vec![(("topic".to_owned(), 0), Committed { offset, leader_epoch: -1, metadata: "note".to_owned() })]
    }

    fn some_events() -> Vec<Event> {
        let topic =
            TopicImage { id: Uuid::from_u128(1), partitions: 1, configs: BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]) };
        let mut transaction = Transaction::new(7, Duration::from_secs(1));
        transaction.partitions.insert(("topic".to_owned(), 0));
        vec![
            Event::TopicCreated { name: "topic".to_owned(), topic },
            Event::PartitionsAdded { name: "topic".to_owned(), partitions: 3 },
            Event::RecordsDeleted { partition: ("topic".to_owned(), 0), before: 5 },
            Event::OffsetsCommitted { group: "group".to_owned(), commits: commits(1) },
            Event::OffsetsPending { group: "group".to_owned(), producer_id: 7, commits: commits(2) },
            Event::ProducerIdsReserved { below: 1000 },
            Event::TransactionChanged { id: "id".to_owned(), transaction },
        ]
    }

    #[test]
    fn what_was_written_is_read_again_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, empty) = Journal::open(&path).unwrap();
        assert_eq!(empty, Image::default());
        for event in some_events() {
            journal.write(&event).unwrap();
        }
        let (_, first) = Journal::open(&path).unwrap();
        let (_, second) = Journal::open(&path).unwrap();
        assert_eq!((first.topics["topic"].partitions, first.producer_ids), (3, 1000));
        assert!(first.groups["group"].is_unstable(&("topic".to_owned(), 0)));
        assert_eq!(first, second);
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut text = lines(&some_events()[..1]).unwrap();
        text.extend_from_slice(br#"{"event":"topic_del"#);
        std::fs::write(&path, text).unwrap();
        assert!(Journal::open(&path).unwrap().1.topics.contains_key("topic"));
    }

    #[test]
    fn a_journal_that_has_grown_far_beyond_its_content_is_written_anew_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(path.with_extension("new"), "cut off").unwrap();
        let (journal, _) = Journal::open(&path).unwrap();
        let offset = |image: &Image| image.groups["group"].get(&("topic".to_owned(), 0)).unwrap().offset;
        let line = lines(&[Event::OffsetsCommitted { group: "group".to_owned(), commits: commits(0) }]).unwrap().len() as u64;
        let last = (3 * SMALL / line) as i64;
        for offset in 0..=last {
            journal.write(&Event::OffsetsCommitted { group: "group".to_owned(), commits: commits(offset) }).unwrap();
            assert!(std::fs::metadata(&path).unwrap().len() < SMALL);
        }
        assert_eq!(offset(&read(&path).unwrap()), last);
    }

    #[test]
    fn a_journal_that_can_not_be_written_anew_goes_on_growing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (journal, _) = Journal::open(&path).unwrap();
        std::fs::create_dir(path.with_extension("new")).unwrap();
        journal.kept.as_ref().unwrap().lock().limit = 0;
        for event in some_events() {
            journal.write(&event).unwrap();
        }
        assert_eq!(read(&path).unwrap().producer_ids, 1000);
    }

    #[test]
    fn a_deleted_topic_takes_its_offsets_with_it() {
        let mut image = Image::default();
        for event in some_events() {
            image.apply(event);
        }
        image.apply(Event::TopicDeleted { name: "topic".to_owned() });
        assert!(image.topics.is_empty() && image.starts.is_empty() && image.groups["group"].get(&("topic".to_owned(), 0)).is_none());
    }
}
