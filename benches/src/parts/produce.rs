//! The reference of jobs I1 and I3: librdkafka alone, given the bytes that Millrace makes of the same orders: keys and values are
//! encoded before it is told to begin; transactions of 100 ms, all acknowledgements, the same compression and batches.

use std::io::{BufRead as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::producer::{BaseProducer, Producer};

use super::Part;
use crate::kafka::{client, send};
use crate::orders::Order;

pub(crate) const PART: Part = Part { name: "produce", run: produce };

pub(crate) const OUTPUT: &str = "bench.produced";
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_mins(1);
/// How many records are sent between two looks at the clock.
const AT_ONCE: usize = 1000;

/// Keys and values, one after the other in one buffer: reading them costs what reading a request's body would.
struct Encoded {
    bytes: Vec<u8>,
    /// Where each key ends, and each value.
    ends: Vec<(usize, usize)>,
}

impl Encoded {
    fn orders(records: u64, schema: u32) -> Self {
        let mut encoded = Self { bytes: Vec::new(), ends: Vec::new() };
        let mut value = Vec::new();
        for number in 0..records {
            let order = Order::number(number);
            order.encode(schema, &mut value);
            encoded.bytes.extend_from_slice(order.customer.as_bytes());
            let key_end = encoded.bytes.len();
            encoded.bytes.extend_from_slice(&value);
            encoded.ends.push((key_end, encoded.bytes.len()));
        }
        encoded
    }
}

/// Says `ready` when all is encoded, begins when it is told a line, and says `done` when the last transaction is committed.
fn produce(arguments: &[String]) -> anyhow::Result<()> {
    let [records, schema] = arguments else { anyhow::bail!("produce wants the number of records and the schema's id") };
    let encoded = Encoded::orders(records.parse()?, schema.parse()?);
    let producer = open()?;
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    std::io::stdin().lock().read_line(&mut String::new()).context("nobody says when to begin")?;
    send_all(&producer, &encoded)?;
    writeln!(out, "done")?;
    // What it used is read from the account of a process that lives.
    std::io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

fn open() -> anyhow::Result<BaseProducer> {
    let producer: BaseProducer = client()?
        .set("transactional.id", "bench.produce")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "262144")
        .create()?;
    producer.init_transactions(TIMEOUT)?;
    Ok(producer)
}

fn send_all(producer: &BaseProducer, encoded: &Encoded) -> anyhow::Result<()> {
    let mut start = 0;
    let mut chunks = encoded.ends.chunks(AT_ONCE).peekable();
    while chunks.peek().is_some() {
        producer.begin_transaction()?;
        let began = Instant::now();
        while began.elapsed() < COMMIT_INTERVAL
            && let Some(chunk) = chunks.next()
        {
            for &(key_end, value_end) in chunk {
                send(producer, OUTPUT, &encoded.bytes[start..key_end], &encoded.bytes[key_end..value_end])?;
                start = value_end;
            }
            producer.poll(Duration::ZERO);
        }
        // Its own wait for deliveries takes steps of 100 ms.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        producer.commit_transaction(TIMEOUT)?;
    }
    Ok(())
}
