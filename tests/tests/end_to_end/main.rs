//! The `millrace` binary against Apache Kafka, a real registry and PostgreSQL.

mod bad_input;
mod commands;
mod halt;
mod kill;
mod outages;
mod security;
mod traces;
