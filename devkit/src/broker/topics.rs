//! Topics and their partitions.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::groups::offsets::TopicPartition;
use super::journal::{Event, Image, Journal, TopicImage};
use super::log::{PartitionLog, storage_error};
use super::topic_configs::MAX_MESSAGE_BYTES;

/// The most partitions that a topic may have here.
const MOST_PARTITIONS: i32 = 10_000;
/// The longest name that Kafka allows, in bytes.
const LONGEST_NAME: usize = 249;

/// A partition's log behind its own lock: no two partitions wait for each other.
pub(crate) type Partition = Mutex<PartitionLog>;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    partitions: RwLock<Vec<Arc<Partition>>>,
    configs: RwLock<BTreeMap<String, String>>,
}

impl Topic {
    /// A partition by its number.
    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        self.partitions.read().get(usize::try_from(index).ok()?).cloned()
    }

    /// Every partition in order.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }

    /// How many partitions it has.
    pub(crate) fn count(&self) -> i32 {
        self.partitions.read().len() as i32
    }

    /// The settings that differ from the defaults.
    pub(crate) fn configs(&self) -> BTreeMap<String, String> {
        self.configs.read().clone()
    }

    /// The largest batch it takes, in bytes.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.configs.read().get("max.message.bytes").and_then(|value| value.parse().ok()).unwrap_or(MAX_MESSAGE_BYTES)
    }
}

/// The topics of a broker.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Where partitions keep their files; without it they are in memory.
    folder: Option<PathBuf>,
}

impl Topics {
    /// The topics of an image, their logs opened.
    pub(crate) fn open(folder: PathBuf, image: &Image) -> io::Result<Self> {
        let topics = Self { by_name: RwLock::default(), folder: Some(folder) };
        for (name, kept) in &image.topics {
            let topic = topics.build(name, kept, &image.starts)?;
            topics.by_name.write().insert(name.clone(), Arc::new(topic));
        }
        Ok(topics)
    }

    /// A topic by its name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().get(name).cloned()
    }

    /// A topic by its id.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.by_name.read().values().find(|topic| topic.id == id).cloned()
    }

    /// A partition of a topic.
    pub(crate) fn partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>, ResponseError> {
        self.get(topic).and_then(|topic| topic.partition(index)).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Every topic by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name.read().values().cloned().collect()
    }

    /// Creates a topic, or only says whether it could be (`dry`).
    pub(crate) fn create(
        &self,
        journal: &Journal,
        name: &str,
        partitions: i32,
        configs: BTreeMap<String, String>,
        dry: bool,
    ) -> Result<Uuid, ResponseError> {
        check_name(name)?;
        check_count(partitions)?;
        let mut by_name = self.by_name.write();
        if by_name.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        let kept = TopicImage { id: Uuid::new_v4(), partitions, configs };
        if !dry {
            journal.write(&Event::TopicCreated { name: name.to_owned(), topic: kept.clone() })?;
            let topic = self.build(name, &kept, &BTreeMap::new()).map_err(storage_error)?;
            by_name.insert(name.to_owned(), Arc::new(topic));
        }
        Ok(kept.id)
    }

    /// Deletes a topic and its records.
    pub(crate) fn delete(&self, journal: &Journal, name: &str) -> Result<(), ResponseError> {
        let mut by_name = self.by_name.write();
        let topic = by_name.get(name).cloned().ok_or(ResponseError::UnknownTopicOrPartition)?;
        journal.write(&Event::TopicDeleted { name: name.to_owned() })?;
        by_name.remove(name);
        for partition in topic.partitions() {
            partition.lock().delete().map_err(storage_error)?;
        }
        Ok(())
    }

    /// Gives a topic more partitions, `count` in all.
    pub(crate) fn grow(&self, journal: &Journal, name: &str, count: i32, dry: bool) -> Result<(), ResponseError> {
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut partitions = topic.partitions.write();
        if count <= partitions.len() as i32 {
            return Err(ResponseError::InvalidPartitions);
        }
        check_count(count)?;
        if dry {
            return Ok(());
        }
        journal.write(&Event::PartitionsAdded { name: name.to_owned(), partitions: count })?;
        for index in partitions.len() as i32..count {
            partitions.push(Arc::new(self.partition_log(name, index, 0).map_err(storage_error)?));
        }
        Ok(())
    }

    /// Sets a topic's settings to what `change` makes of them.
    pub(crate) fn configure(
        &self,
        journal: &Journal,
        name: &str,
        dry: bool,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut configs = topic.configs.write();
        let mut changed = configs.clone();
        change(&mut changed)?;
        if !dry {
            journal.write(&Event::ConfigsSet { name: name.to_owned(), configs: changed.clone() })?;
            *configs = changed;
        }
        Ok(())
    }

    fn build(&self, name: &str, kept: &TopicImage, starts: &BTreeMap<TopicPartition, i64>) -> io::Result<Topic> {
        let start = |index| starts.get(&(name.to_owned(), index)).copied().unwrap_or(0);
        let logs = (0..kept.partitions).map(|index| self.partition_log(name, index, start(index)).map(Arc::new));
        let partitions = RwLock::new(logs.collect::<io::Result<_>>()?);
        Ok(Topic { name: name.to_owned(), id: kept.id, partitions, configs: RwLock::new(kept.configs.clone()) })
    }

    fn partition_log(&self, name: &str, index: i32, start: i64) -> io::Result<Partition> {
        let log = self.folder.as_ref().map(|folder| PartitionLog::open(&folder.join(format!("{name}-{index}")), start));
        Ok(Mutex::new(log.transpose()?.unwrap_or_default()))
    }
}

/// Names are also names of folders: only what Kafka allows.
fn check_name(name: &str) -> Result<(), ResponseError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let sound = !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && name.bytes().all(legal);
    if sound { Ok(()) } else { Err(ResponseError::InvalidTopicException) }
}

fn check_count(partitions: i32) -> Result<(), ResponseError> {
    if (1..=MOST_PARTITIONS).contains(&partitions) { Ok(()) } else { Err(ResponseError::InvalidPartitions) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(topics: &Topics, name: &str, partitions: i32) -> Result<Uuid, ResponseError> {
        topics.create(&Journal::default(), name, partitions, BTreeMap::new(), false)
    }

    #[test]
    fn names_that_lead_out_of_the_data_directory_are_refused() {
        for name in ["", ".", "..", "a/b", "../x", "a b", "ä", &"x".repeat(250)] {
            assert_eq!(create(&Topics::default(), name, 1), Err(ResponseError::InvalidTopicException), "{name}");
        }
    }

    #[test]
    fn a_topic_is_created_once_with_at_least_one_partition() {
        let topics = Topics::default();
        assert_eq!(create(&topics, "topic", 0), Err(ResponseError::InvalidPartitions));
        create(&topics, "topic", 2).unwrap();
        assert_eq!(create(&topics, "topic", 2), Err(ResponseError::TopicAlreadyExists));
    }

    #[test]
    fn partitions_are_only_added() {
        let (topics, journal) = (Topics::default(), Journal::default());
        create(&topics, "topic", 2).unwrap();
        assert_eq!(topics.grow(&journal, "topic", 2, false), Err(ResponseError::InvalidPartitions));
        topics.grow(&journal, "topic", 3, false).unwrap();
        assert_eq!(topics.get("topic").unwrap().count(), 3);
    }
}
