//! The loader service: drives topics into any sink.

pub mod config;
