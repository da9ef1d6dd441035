//! The `millrace` binary against Apache Kafka, a real registry and PostgreSQL.

mod at_least_once;
mod bad_input;
mod commands;
mod halt;
mod kill;
mod missing_topics;
mod outages;
mod replicas;
mod security;
mod shutdown;
mod tombstones;
mod traces;
