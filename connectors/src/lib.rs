//! One folder for each outside system: its connection, source, sink and capture, as far as it has them.

pub mod config;
pub mod files;
pub mod postgres;
pub mod sqlite;

pub use config::{Connection, Mode, SourceConfig, TableConfig};
