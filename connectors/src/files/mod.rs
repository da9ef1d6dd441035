//! Files, on this machine or in an object store: source.

mod after;
mod beginning;
mod blocks;
mod compression;
mod config;
mod following;
mod format;
mod lines;
mod listing;
mod local;
mod moving;
mod position;
mod quiet;
mod remote;
mod rows;
mod source;
mod store;
mod thread;

pub use config::{After, Compression, Config, Format, Mode, OnChange};
pub use source::FileSource;
