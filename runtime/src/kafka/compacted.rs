//! Reading a topic from its start to its end: positions, settings, and whatever else is kept in a compacted topic.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use millrace_model::{Code, Fault, Record, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::fault::{fault, topic_missing};
use super::message::{headers, record};
use super::topics::{LOOK_AGAIN, SHOWS_WITHIN};

/// How long open transactions of others are waited for; Kafka ends an abandoned one sooner.
const PATIENCE: Duration = Duration::from_mins(1);

/// Gives `each` every committed record of `topic` up to the end that it had when the call began, partition by
/// partition in order. Transactions that were open below that end are waited for: what they commit is seen.
pub async fn read_to_end(cluster: &Cluster, topic: &str, each: impl FnMut(&Record<'_>) + Send + 'static) -> Result<()> {
    let (cluster, topic) = (cluster.clone(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let committed = reader(&cluster, "read_committed")?;
        let partitions = when_shown(|| all_of(&committed, &topic))?;
        await_transactions(&cluster, &committed, &topic, &partitions)?;
        read(&committed, &topic, partitions, each)
    });
    read.await.map_err(panicked)?
}

/// The same of the given partitions alone.
pub async fn read_partitions_to_end(
    cluster: &Cluster,
    topic: &str,
    partitions: &[i32],
    each: impl FnMut(&Record<'_>) + Send + 'static,
) -> Result<()> {
    let (cluster, topic, partitions) = (cluster.clone(), topic.to_owned(), partitions.iter().copied().collect::<BTreeSet<_>>());
    let read = tokio::task::spawn_blocking(move || {
        let committed = reader(&cluster, "read_committed")?;
        await_transactions(&cluster, &committed, &topic, &partitions)?;
        read(&committed, &topic, partitions, each)
    });
    read.await.map_err(panicked)?
}

/// The same of all without waiting: up to what committed readers may read now. For people, who would rather see what there is than
/// wait for a transaction that a killed process has left open.
pub async fn read_now(cluster: &Cluster, topic: &str, each: impl FnMut(&Record<'_>) + Send + 'static) -> Result<()> {
    let (cluster, topic) = (cluster.clone(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let committed = reader(&cluster, "read_committed")?;
        read(&committed, &topic, all_of(&committed, &topic)?, each)
    });
    read.await.map_err(panicked)?
}

fn panicked(error: tokio::task::JoinError) -> Fault {
    Fault::fatal(Code::Internal, "reading a topic panicked").because(error)
}

fn all_of(client: &Reader, topic: &str) -> Result<BTreeSet<i32>> {
    Ok((0..partition_count(client, topic)?).collect())
}

/// What `look` finds of a topic that may just have been made: the broker that is asked may not know of it, or of one of its partitions, yet.
fn when_shown<T>(look: impl Fn() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        match look() {
            Err(fault) if fault.code() == Code::KafkaTopicMissing && Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            found => return found,
        }
    }
}

fn await_transactions(cluster: &Cluster, committed: &Reader, topic: &str, partitions: &BTreeSet<i32>) -> Result<()> {
    let uncommitted = reader(cluster, "read_uncommitted")?;
    let seen = |&partition: &i32| Ok((partition, when_shown(|| end(&uncommitted, topic, partition))?));
    let ends = partitions.iter().map(seen).collect::<Result<Vec<_>>>()?;
    ends.into_iter().try_for_each(|(partition, seen)| await_end(committed, topic, partition, seen))
}

fn read(committed: &Reader, topic: &str, mut open: BTreeSet<i32>, mut each: impl FnMut(&Record<'_>)) -> Result<()> {
    assign(committed, topic, &open)?;
    while !open.is_empty() {
        match committed.poll(REQUEST_TIMEOUT) {
            Some(Ok(message)) => each(&record(topic, &message, &headers(&message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(committed.context().troubles.explain(&format!("reading topic {topic}"), error)),
            None => return Err(Fault::passing(Code::KafkaUnavailable, format!("topic {topic} could not be read to its end in time"))),
        }
    }
    Ok(())
}

/// A consumer of no group, assigned by hand; it tells the end of a partition.
pub(super) type Reader = BaseConsumer<PlainContext>;

/// Opens a reader that sees `isolation`.
pub(super) fn reader(cluster: &Cluster, isolation: &str) -> Result<Reader> {
    let mut config = cluster.config();
    cluster.defaults(&mut config, &[("queued.max.messages.kbytes", &cluster.budget().fetched_bytes().div_ceil(1024).to_string())]);
    config
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .set("auto.offset.reset", "earliest")
        // Assigned by hand, never a member of this group: librdkafka wants a name all the same.
        .set("group.id", "millrace-reader");
    config.create_with_context(PlainContext::default()).map_err(|error| fault("opening a reader", error))
}

fn partition_count(client: &Reader, topic: &str) -> Result<i32> {
    let metadata = client
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(|error| client.context().troubles.explain(&format!("asking for topic {topic}"), error))?;
    match metadata.topics() {
        [found] if found.error().is_none() => Ok(found.partitions().len() as i32),
        _ => Err(topic_missing(topic)),
    }
}

fn end(client: &Reader, topic: &str, partition: i32) -> Result<i64> {
    let asked = client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
    asked.map(|(_, end)| end).map_err(|error| fault(&format!("asking for the end of {topic}-{partition}"), error))
}

/// Waits until committed readers may read up to `seen`.
fn await_end(client: &Reader, topic: &str, partition: i32, seen: i64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while end(client, topic, partition)? < seen {
        if Instant::now() > deadline {
            let message = format!("an open transaction holds {topic}-{partition} back; it is waited for again");
            return Err(Fault::passing(Code::KafkaOther, message));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Begins at offset 0, or the earliest one that is still there. Not at `Beginning`: librdkafka asks for that before it has a connection,
/// and then only again after half a second.
fn assign(client: &Reader, topic: &str, partitions: &BTreeSet<i32>) -> Result<()> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for &partition in partitions {
        list.add_partition_offset(topic, partition, Offset::Offset(0)).map_err(|error| fault("naming an offset", error))?;
    }
    client.assign(&list).map_err(|error| fault(&format!("reading topic {topic}"), error))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_partition_that_its_broker_has_not_heard_of_yet_is_looked_for_again() {
        let looks = Cell::new(0);
        let end = when_shown(|| {
            looks.set(looks.get() + 1);
            if looks.get() < 3 { Err(topic_missing("orders")) } else { Ok(7) }
        });
        assert_eq!((end.expect("it is shown"), looks.get()), (7, 3));
    }

    #[test]
    fn another_fault_is_told_at_once() {
        let looks = Cell::new(0);
        let found = when_shown(|| -> Result<()> {
            looks.set(looks.get() + 1);
            Err(Fault::passing(Code::KafkaUnavailable, "no broker"))
        });
        assert!(found.is_err_and(|fault| fault.code() == Code::KafkaUnavailable));
        assert_eq!(looks.get(), 1);
    }
}
