//! One folder for each outside system: its connection, source, sink and capture, as far as it has them.

pub mod config;
mod connection;
pub mod described;
mod embedded;
pub mod files;
pub mod postgres;
mod sources;
pub mod sqlite;
pub mod table;

pub use config::{Connection, Mode, SourceConfig, TableConfig};
pub use described::{DescribedColumn, Relation};
pub use table::{Column, Definition, Examined, Misfit, MisfitKind, QueryResult};
