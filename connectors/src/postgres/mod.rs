//! PostgreSQL: connection and sink.

mod config;

pub use config::{Config, Tls};
