//! What clients rely on, seen from the client's side: one suite for the development broker and for Apache Kafka.
//!
//! It runs against the brokers that `MILLRACE_TEST_KAFKA` names, if it is set, else against a development broker in this process. Each
//! test makes its own topics, groups and transactional ids.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod clients;
mod groups;
mod hostile;
mod java;
mod kcat;
mod persistence;
mod protocol;
mod records;
mod sequences;
mod topics;
mod transactions;
