//! How fast the development broker is: records of 200 bytes in and out through librdkafka, all in this process.
//!
//! `cargo run --release -p millrace-devkit --example throughput [RECORDS] [DATA_DIR]`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use millrace_devkit::broker::{Config, start};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

const TOPIC: &str = "throughput";
const PARTITIONS: i32 = 4;
const VALUE: [u8; 200] = [b'x'; 200];

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(Ok(1_000_000), |records| records.parse())?;
    let data_dir = arguments.next().map(PathBuf::from);
    let running = start(Config { data_dir, default_partitions: PARTITIONS, ..Config::default() }).await?;
    let brokers = running.addr.to_string();
    tokio::task::spawn_blocking(move || measure(&brokers, records)).await??;
    running.stop().await;
    Ok(())
}

fn measure(brokers: &str, records: usize) -> Result<()> {
    let (start, begun) = (end_of(brokers)?, Instant::now());
    produce(brokers, records)?;
    report("in", records, begun.elapsed());
    ensure!(end_of(brokers)? - start == records as i64, "not every record is in the log");
    let begun = Instant::now();
    consume(brokers, records)?;
    report("out", records, begun.elapsed());
    Ok(())
}

fn report(direction: &str, records: usize, took: Duration) {
    println!("{direction}: {records} records in {took:.2?}, {:.0} records/s", records as f64 / took.as_secs_f64());
}

fn end_of(brokers: &str) -> Result<i64> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).set("allow.auto.create.topics", "true").create()?;
    consumer.fetch_metadata(Some(TOPIC), Duration::from_secs(10))?;
    (0..PARTITIONS).map(|partition| Ok(consumer.fetch_watermarks(TOPIC, partition, Duration::from_secs(10))?.1)).sum()
}

fn produce(brokers: &str, records: usize) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    for index in 0..records {
        let mut record = BaseRecord::<(), [u8]>::to(TOPIC).partition(index as i32 % PARTITIONS).payload(&VALUE);
        while let Err((error, refused)) = producer.send(record) {
            ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), error);
            std::thread::sleep(Duration::from_millis(1));
            record = refused;
        }
    }
    Ok(producer.flush(Duration::from_mins(1))?)
}

fn consume(brokers: &str, records: usize) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "throughput")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100")
        .create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let mut read = 0;
    while read < records {
        match consumer.poll(Duration::from_secs(10)) {
            Some(Ok(_)) => read += 1,
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("only {read} of {records} records came"),
        }
    }
    Ok(())
}
