//! SQLite, the embedded warehouse: connection and sink.

mod config;

pub use config::Config;
