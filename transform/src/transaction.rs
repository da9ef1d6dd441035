//! The transaction of a run.

use std::time::Instant;

use millrace_model::{Code, Fault, Offsets, Records, Result};
use millrace_runtime::kafka::{Consumer, Producer};
use millrace_runtime::project::Delivery;
use millrace_runtime::telemetry::{BatchTrace, Outcome, Tally};

use crate::crash_points as points;

/// What is written and not committed yet, and the offsets that it covers.
pub(crate) struct Transaction {
    pub(crate) producer: Producer,
    delivery: Delivery,
    offsets: Offsets,
    /// When the first of it was written.
    pub(crate) began: Option<Instant>,
    pub(crate) tally: Tally,
    traces: Vec<BatchTrace>,
}

impl Transaction {
    pub(crate) fn new(producer: Producer, delivery: Delivery) -> Self {
        Self { producer, delivery, offsets: Offsets::new(), began: None, tally: Tally::default(), traces: Vec::new() }
    }

    pub(crate) fn begin(&mut self) -> Result<()> {
        if self.delivery == Delivery::ExactlyOnce {
            self.producer.begin()?;
        }
        self.began.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// The records are all written or rejected.
    pub(crate) fn cover(&mut self, records: &Records, trace: BatchTrace) {
        records.advance(&mut self.offsets);
        self.traces.push(trace);
    }

    /// The same where records may have waited, so that they say nothing of how far the partitions have been read.
    pub(crate) fn cover_to(&mut self, offsets: &Offsets, trace: BatchTrace) {
        self.offsets.clone_from(offsets);
        self.traces.push(trace);
    }

    /// A run that ends leaves no transaction open, which would keep the output's readers from all that is written behind it: a run that lost its turn in a
    /// rebalance would for as long as it takes to join again. Where Kafka does not answer, the next run ends it, when Kafka does again.
    pub(crate) fn give_up(&mut self, fault: &Fault) {
        self.traces.drain(..).for_each(|trace| trace.end(&Outcome::Failed(fault)));
        if fault.code() == Code::KafkaUnavailable {
            return;
        }
        match self.producer.abort() {
            Ok(()) => {}
            Err(error) if error.code() == Code::KafkaFenced => tracing::debug!(%error, "the transaction was ended by who took over"),
            Err(error) => tracing::warn!(%error, "the transaction could not be aborted; Kafka does it in time"),
        }
    }

    /// Makes it visible together with the offsets; returns them, or nothing where there was nothing to commit.
    pub(crate) fn commit(&mut self, consumer: &Consumer) -> Result<Option<Offsets>> {
        if self.began.take().is_none() {
            return Ok(None);
        }
        let offsets = std::mem::take(&mut self.offsets);
        points::COMMIT_BEFORE.reached()?;
        match self.delivery {
            Delivery::ExactlyOnce => self.producer.commit_with_offsets(&offsets, consumer.group_metadata()?)?,
            Delivery::AtLeastOnce => {
                self.producer.drain()?;
                consumer.report(&offsets)?;
            }
        }
        points::COMMIT_AFTER.reached()?;
        self.traces.drain(..).for_each(|trace| trace.end(&Outcome::Committed));
        Ok(Some(offsets))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millrace_devkit::broker;
    use millrace_runtime::kafka::topics::{self, Declared};
    use millrace_runtime::kafka::{Cluster, Event, Outgoing, Subscription};
    use millrace_runtime::project::KafkaConfig;

    use super::*;

    /// Less than it takes Kafka to end a transaction by itself.
    const AT_ONCE: Duration = Duration::from_secs(8);
    const TOPIC: &str = "out";

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_that_ends_for_passing_trouble_keeps_nobody_from_reading_on() {
        let broker = broker::start(broker::Config::default()).await.expect("the development broker starts");
        let cluster = Cluster::new(&KafkaConfig { brokers: broker.addr.to_string(), ..KafkaConfig::default() }, "a");
        topics::ensure(&cluster, &[Declared::named(TOPIC)]).await.expect("the topic is made");
        let mut given_up = Transaction::new(Producer::transactional(&cluster, "one").expect("opens"), Delivery::ExactlyOnce);
        given_up.begin().expect("begins");
        send(&mut given_up.producer, "given up");
        given_up.producer.drain().expect("delivers");
        given_up.give_up(&Fault::passing(Code::KafkaFenced, "the group gave the partitions away"));
        let mut other = Producer::transactional(&cluster, "two").expect("opens");
        other.begin().expect("begins");
        send(&mut other, "kept");
        other.commit().expect("commits");
        let read = tokio::time::timeout(AT_ONCE, first_value(&cluster)).await.expect("it can be read at once");
        assert_eq!(read, b"kept");
    }

    fn send(producer: &mut Producer, value: &str) {
        let topic = producer.topic(TOPIC).expect("knows the topic");
        producer.send(topic, &Outgoing { value: Some(value.as_bytes()), ..Outgoing::default() }).expect("sends");
    }

    async fn first_value(cluster: &Cluster) -> Vec<u8> {
        let subscription = Subscription { topic: TOPIC.to_owned(), group: "reads".to_owned() };
        let mut consumer = Consumer::subscribe(cluster, &subscription).expect("subscribes");
        loop {
            match consumer.next().await.expect("no fault") {
                Event::Records(records) => return records.value(0).unwrap_or_default().to_vec(),
                Event::Assigned(assigned) => assigned.resume(),
                Event::Revoked(_) => {}
            }
        }
    }
}
