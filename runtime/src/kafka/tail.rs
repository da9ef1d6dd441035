//! The last records of a topic, and those that come after, for people to look at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Code, Fault, Records, RecordsBuilder, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::compacted::reader;
use super::fault::fault;
use super::message::{headers, record};
use super::topics::{self, Extent};

/// Follows a topic without being a member of any group. Dropping it ends it.
pub struct Tail {
    records: mpsc::Receiver<Result<Records>>,
}

impl Tail {
    /// Begins with the `last` committed records of `topic`, all partitions together by their timestamps; goes on with those
    /// that come when `follow` says so.
    pub async fn open(cluster: &Cluster, topic: &str, last: usize, follow: bool) -> Result<Self> {
        let extents = topics::extents(cluster, topic).await?;
        let (sender, records) = mpsc::channel(16);
        let reader = Reader { client: reader(cluster, "read_committed")?, topic: topic.into(), sender };
        tokio::task::spawn_blocking(move || reader.run(&extents, last, follow));
        Ok(Self { records })
    }

    /// The next records; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Records>> {
        self.records.recv().await.transpose()
    }
}

struct Reader {
    client: BaseConsumer<PlainContext>,
    topic: Arc<str>,
    sender: mpsc::Sender<Result<Records>>,
}

impl Reader {
    fn run(&self, extents: &[Extent], last: usize, follow: bool) {
        let read = self.history(extents, last).and_then(|()| if follow { self.follow() } else { Ok(()) });
        if let Err(fault) = read {
            // Nobody may be looking any more.
            self.sender.blocking_send(Err(fault)).ok();
        }
    }

    /// Gives the last records. The markers of transactions take offsets too: where too few records are found, more offsets are read.
    fn history(&self, extents: &[Extent], last: usize) -> Result<()> {
        let mut span = last as i64;
        loop {
            let starts: Vec<i64> = extents.iter().map(|extent| extent.start.max(extent.end.saturating_sub(span))).collect();
            let read = self.read(&starts)?;
            let all = starts.iter().zip(extents).all(|(start, extent)| *start == extent.start);
            if read.len() >= last || all {
                self.give(newest(&read, last));
                return Ok(());
            }
            span = span.saturating_mul(4).saturating_add(16);
        }
    }

    fn read(&self, starts: &[i64]) -> Result<Records> {
        self.assign(starts)?;
        let mut read = RecordsBuilder::new(Arc::clone(&self.topic), 0);
        let mut open: BTreeSet<i32> = (0..starts.len() as i32).collect();
        while !open.is_empty() {
            match self.client.poll(REQUEST_TIMEOUT) {
                Some(Ok(message)) => push(&mut read, &message),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => return Err(self.fault(error)),
                None => return Err(self.unanswered()),
            }
        }
        Ok(read.finish())
    }

    fn follow(&self) -> Result<()> {
        while !self.sender.is_closed() {
            match self.client.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let mut read = RecordsBuilder::new(Arc::clone(&self.topic), 1);
                    push(&mut read, &message);
                    self.give(read.finish());
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) => return Err(self.fault(error)),
            }
        }
        Ok(())
    }

    fn fault(&self, error: KafkaError) -> Fault {
        self.client.context().troubles.explain(&format!("reading topic {}", self.topic), error)
    }

    fn unanswered(&self) -> Fault {
        let late = || Fault::passing(Code::KafkaUnavailable, format!("topic {} did not answer in time", self.topic));
        self.client.context().troubles.take().unwrap_or_else(late)
    }

    fn assign(&self, starts: &[i64]) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (partition, &start) in starts.iter().enumerate() {
            let added = list.add_partition_offset(&self.topic, partition as i32, Offset::Offset(start));
            added.map_err(|error| fault("naming an offset", error))?;
        }
        self.client.assign(&list).map_err(|error| self.fault(error))
    }

    fn give(&self, records: Records) {
        // Nobody may be looking any more: the loop sees it.
        self.sender.blocking_send(Ok(records)).ok();
    }
}

fn push(records: &mut RecordsBuilder, message: &BorrowedMessage<'_>) {
    records.push_with_headers(&record("", message, &[]), headers(message));
}

/// The `last` newest records, oldest first.
fn newest(records: &Records, last: usize) -> Records {
    let mut rows: Vec<usize> = (0..records.len()).collect();
    rows.sort_by_key(|&row| (records.timestamps()[row], records.offsets()[row]));
    let mut kept = RecordsBuilder::new(Arc::clone(records.topic()), last);
    rows.split_off(rows.len().saturating_sub(last)).into_iter().for_each(|row| kept.push(&records.record(row)));
    kept.finish()
}
