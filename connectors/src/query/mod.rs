//! The rows of a SQL query as a source: read in the order of a cursor, and on from where the last row stood.
//!
//! ```text
//!  config ─► select (the statement: what comes after the position, in order) ─► database (streams its rows)
//!         ─► rows (a task of its own, a batch ahead) ─► source (rows by the topic's schema, with their position)
//! ```
//!
//! Databases: a line each in [`database::of`]; what each does itself is in `connectors/src/<database>/source.rs`.

mod config;
pub(crate) mod database;
mod position;
pub(crate) mod rows;
mod select;
mod source;

pub(crate) use config::LISTING;
pub use config::{Config, Mode};
pub use source::QuerySource;
pub(crate) use source::reread;
