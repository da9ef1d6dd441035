//! Files on this machine: source.

mod beginning;
mod config;
mod listing;
mod rows;
mod source;

pub use config::{Config, Format};
pub use source::FileSource;
