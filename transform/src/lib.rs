//! The transform service: topics through steps to topics.

mod ahead;
mod care;
mod chain;
pub mod config;
pub mod crash_points;
mod parking;
pub mod passage;
pub mod service;
pub mod steps;
mod transaction;
