//! The `millrace` binary against Apache Kafka, a real registry and PostgreSQL.

mod bad_input;
mod kill;
mod outages;
mod security;
mod traces;
