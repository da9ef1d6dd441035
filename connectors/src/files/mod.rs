//! Files on this machine: source.

mod config;

pub use config::{Config, Format};
