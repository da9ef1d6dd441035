//! What others read of what Millrace writes, and the other way round: Debezium in Kafka Connect, Kafka Streams.

mod connect_dead_letters;
mod debezium_source;
mod jdbc_sink;
mod keys;
mod streams;
