//! Bytes that no client sends: they may end their own connection, and nothing else, nor take memory that they don't fill.

use std::net::SocketAddr;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use millrace_devkit::broker::Config;

use crate::clients::{address, start, unique};
use crate::protocol::Connection;

/// The largest request that is read.
const LARGEST: u32 = 100 * 1024 * 1024;

fn frame(key: i16, version: i16, rest: &[u8]) -> Vec<u8> {
    // Correlation 1, and a client without a name.
    let head = [key.to_be_bytes(), version.to_be_bytes(), [0, 0], [0, 1], [0xff, 0xff]].concat();
    [&((head.len() + rest.len()) as u32).to_be_bytes()[..], &head, rest].concat()
}

fn answers(address: SocketAddr) -> bool {
    let answer = Connection::open(address).ask(0, &ApiVersionsRequest::default());
    answer.error_code == 0 && answer.api_keys.len() > 20
}

#[test]
fn an_array_that_claims_two_billion_items_ends_its_connection() {
    let metadata = ApiKey::Metadata as i16;
    let claims = [frame(metadata, 4, &[0x7f, 0xff, 0xff, 0xff]), frame(metadata, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0x07])];
    for bytes in claims {
        let mut connection = Connection::open(address());
        connection.write(&bytes);
        assert!(connection.is_closed(), "{bytes:?}");
    }
    assert!(answers(address()));
}

/// (Apache Kafka does make room for each of these.)
#[test]
fn many_large_requests_that_never_come_are_no_harm() {
    let broker = start(Config::default());
    let announced: Vec<Connection> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(broker.addr);
            connection.write(&LARGEST.to_be_bytes());
            connection
        })
        .collect();
    assert!(answers(broker.addr));
    drop(announced);
    let mut beyond = Connection::open(broker.addr);
    beyond.write(&(LARGEST + 1).to_be_bytes());
    assert!(beyond.is_closed());
}

#[test]
fn garbage_in_every_kind_of_request_leaves_the_broker_serving() {
    let broker = start(Config::default());
    let seed = uuid::Uuid::new_v4().as_u128() as u64;
    let mut random = Random(seed);
    for key in 0..=92 {
        for version in 0..=18 {
            let body: Vec<u8> = (0..random.next() % 200).map(|_| random.byte()).collect();
            let mut connection = Connection::open(broker.addr);
            connection.write(&frame(key, version, &body));
            // Not waited for: what happens to be a request may wait as long as it says.
        }
        assert!(answers(broker.addr), "request {key}, seed {seed}");
    }
}

#[test]
fn a_topic_of_two_billion_partitions_is_refused() {
    let broker = start(Config::default());
    let name = TopicName(StrBytes::from_string(unique("topic")));
    let topic = CreatableTopic::default().with_name(name).with_num_partitions(i32::MAX).with_replication_factor(1);
    let answer = Connection::open(broker.addr).ask(5, &CreateTopicsRequest::default().with_topics(vec![topic]));
    assert_ne!(answer.topics[0].error_code, 0);
    assert!(answers(broker.addr));
}

/// A linear congruential generator (Knuth's MMIX): the same bytes from the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Half of them bytes of small or impossible lengths, which reach further than any others.
    fn byte(&mut self) -> u8 {
        let value = self.next();
        if value.is_multiple_of(2) { [0, 0, 0, 1, 2, 0x7f, 0x80, 0xff][(value >> 1) as usize % 8] } else { (value >> 1) as u8 }
    }
}
