//! The ingest service: drives any source into topics, and the push gateway.

pub mod config;
pub mod push;
