//! Topics of the benches: made, filled, and watched.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::orders::Order;

pub(crate) const ORDERS: &str = "bench.orders";
pub(crate) const PARTITIONS: i32 = 6;
const TIMEOUT: Duration = Duration::from_secs(15);

/// The server that the variable names.
pub(crate) fn server(variable: &str) -> anyhow::Result<String> {
    std::env::var(variable).map_err(|_| anyhow!("{variable} names no server; `make bench` starts what is needed"))
}

pub(crate) fn client() -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server("MILLRACE_TEST_KAFKA")?);
    Ok(config)
}

/// Makes the topic of orders anew and fills it with `records` of them; returns how many job T keeps.
pub(crate) fn fill_orders(records: u64) -> anyhow::Result<u64> {
    fill_orders_of(records, PARTITIONS, Order::number, |_, _| {})
}

/// The same of orders that `order` makes, over so many partitions, where `change` may alter the value of each.
pub(crate) fn fill_orders_of(
    records: u64,
    partitions: i32,
    order: impl Fn(u64) -> Order,
    change: impl Fn(u64, &mut Vec<u8>),
) -> anyhow::Result<u64> {
    let id = register_orders()?;
    recreate_with(ORDERS, partitions)?;
    let producer: BaseProducer = client()?
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    let (mut value, mut kept) = (Vec::new(), 0);
    for number in 0..records {
        let order = order(number);
        order.encode(id, &mut value);
        change(number, &mut value);
        kept += u64::from(!order.is_cancelled());
        send(&producer, ORDERS, order.customer.as_bytes(), &value)?;
    }
    producer.flush(Duration::from_mins(2))?;
    Ok(kept)
}

/// The same with values of JSON, which no reader of framed Avro can read.
pub(crate) fn fill_json(records: u64) -> anyhow::Result<()> {
    let json = |number: u64, value: &mut Vec<u8>| {
        let mut text = String::new();
        Order::number(number).json(&mut text);
        *value = text.into_bytes();
    };
    fill_orders_of(records, PARTITIONS, Order::number, json)?;
    Ok(())
}

/// Sends a record, waiting while the queue is full.
pub(crate) fn send(producer: &BaseProducer, topic: &str, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => break Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(5));
                record = back;
            }
            Err((error, _)) => break Err(error.into()),
        }
    }
}

/// Registers the schema of the orders; gives its id.
pub(crate) fn register_orders() -> anyhow::Result<u32> {
    register(ORDERS, include_str!("../projects/transform/schemas/order.avsc"))
}

/// Registers the schema of a topic's values; gives its id.
pub(crate) fn register(topic: &str, schema: &str) -> anyhow::Result<u32> {
    let url = format!("{}/subjects/{topic}-value/versions", server("MILLRACE_TEST_REGISTRY")?);
    let answer: Value = block_on(async {
        let request = reqwest::Client::new().post(url).json(&json!({ "schema": schema }));
        request.send().await?.error_for_status()?.json().await
    })?;
    answer["id"].as_u64().map(|id| id as u32).context("the registry gave no id")
}

/// Deletes the topic, if it exists, and makes it.
pub(crate) fn recreate(topic: &str) -> anyhow::Result<()> {
    recreate_with(topic, PARTITIONS)
}

fn recreate_with(topic: &str, partitions: i32) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client()?.create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    block_on(async {
        // It may not exist yet.
        admin.delete_topics(&[topic], &options).await?;
        loop {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
            match admin.create_topics(&[new], &options).await?.pop() {
                // Deleting takes its time after it is answered.
                Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => tokio::time::sleep(Duration::from_millis(100)).await,
                Some(Err((name, code))) => break Err(anyhow!("{name}: {code}")),
                _ => break Ok(()),
            }
        }
    })
}

/// How many of the orders a consumer group has committed.
pub(crate) struct Progress {
    client: BaseConsumer,
    partitions: i32,
}

impl Progress {
    pub(crate) fn of(group: &str) -> anyhow::Result<Self> {
        Self::over(group, PARTITIONS)
    }

    /// The same where the topic has so many partitions.
    pub(crate) fn over(group: &str, partitions: i32) -> anyhow::Result<Self> {
        Ok(Self { client: client()?.set("group.id", group).create()?, partitions })
    }

    /// The orders were written without transactions: an offset is a record.
    pub(crate) fn committed(&self) -> anyhow::Result<u64> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(ORDERS, 0, self.partitions - 1);
        let committed = self.client.committed_offsets(wanted, TIMEOUT)?;
        let offset = |element: &TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(offset) => u64::try_from(offset).unwrap_or(0),
            _ => 0,
        };
        Ok(committed.elements().iter().map(offset).sum())
    }
}

/// How many records committed readers see in `topic`.
pub(crate) fn count(topic: &str) -> anyhow::Result<u64> {
    let consumer: BaseConsumer =
        client()?.set("group.id", "bench.count").set("enable.auto.commit", "false").set("enable.partition.eof", "true").create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let (mut count, mut ended) = (0, 0);
    while ended < PARTITIONS {
        match consumer.poll(TIMEOUT).context("a topic could not be read to its end")? {
            Ok(_) => count += 1,
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}

/// How many members of the group have partitions; none while they are being shared out.
pub(crate) fn members_at_work(group: &str) -> anyhow::Result<usize> {
    let client: BaseConsumer = client()?.create()?;
    let groups = client.fetch_group_list(Some(group), TIMEOUT)?;
    let Some(found) = groups.groups().first().filter(|found| found.state() == "Stable") else { return Ok(0) };
    Ok(found.members().iter().filter(|member| member.assignment().is_some_and(names_topics)).count())
}

/// Whether a member's assignment, as `ConsumerProtocolAssignment` has it (a version, then an array of topics), is not empty.
fn names_topics(assignment: &[u8]) -> bool {
    assignment.get(2..6).is_some_and(|topics| topics != [0; 4])
}

/// Forgets the group, so that a job starts at the beginning. A member that was killed is one until its session has timed out.
pub(crate) fn forget_group(group: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client()?.create()?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let deleted = block_on(admin.delete_groups(&[group], &AdminOptions::new().request_timeout(Some(TIMEOUT))))?;
        match deleted.first() {
            Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(200)),
            Some(Err((_, code))) if *code != RDKafkaErrorCode::GroupIdNotFound => bail!("the group {group} can't be forgotten: {code}"),
            // A group that never was is as good as forgotten.
            _ => return Ok(()),
        }
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(future)
}
