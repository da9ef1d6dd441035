//! The transform service: topics through steps to topics.

pub mod config;
pub mod steps;
