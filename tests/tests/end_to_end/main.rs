//! The `millrace` binary against Apache Kafka, a real registry, PostgreSQL, and what others read and write beside it.

mod apply;
mod at_least_once;
mod bad_input;
mod changes;
mod coming_and_going;
mod commands;
mod evolution;
mod failover;
mod halt;
mod idempotency;
mod kill;
mod lake;
mod missing_topics;
mod mysql;
mod once;
mod outages;
mod parking;
mod peers;
mod redis;
mod replicas;
mod schemas;
mod security;
mod shutdown;
mod surgery;
mod tombstones;
mod traces;
