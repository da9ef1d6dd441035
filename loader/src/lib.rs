//! The loader service: drives topics into any sink.

pub mod config;
mod deletions;
pub mod reading;
mod round;
pub mod service;
