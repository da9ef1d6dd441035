//! Files on this machine: source.

mod config;
mod listing;
mod rows;
mod source;

pub use config::{Config, Format};
pub use source::FileSource;
