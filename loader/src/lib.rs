//! The loader service: drives topics into any sink.

pub mod config;
mod deletions;
mod round;
pub mod service;
