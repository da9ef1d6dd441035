//! One folder for each outside system: its connection, source, sink and capture, as far as it has them.

pub mod config;
mod connection;
pub mod crash_points;
pub mod described;
mod embedded;
pub mod files;
pub mod lake;
pub mod mysql;
pub mod objects;
pub mod postgres;
mod precision;
pub mod query;
pub mod redis;
pub mod redshift;
mod rounds;
mod send_at_once;
mod sources;
pub mod sqlite;
pub mod table;
mod table_config;

pub use config::{Connection, Connections, SourceConfig};
pub use described::{DescribedColumn, Relation};
pub use rounds::Rounds;
pub use sources::Split;
pub use table::{Advice, Column, Definition, Examined, Misfit, MisfitKind, QueryResult, Quotes};
pub use table_config::{Capabilities, Mode, PartitionBy, Partitioning, TableConfig};
