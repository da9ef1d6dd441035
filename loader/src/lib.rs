//! The loader service: drives topics into any sink.

pub mod config;
pub mod crash_points;
mod deletions;
mod intake;
mod loads;
mod mapping;
mod mirror;
mod parking;
pub mod parts;
pub mod reading;
mod round;
pub mod service;
