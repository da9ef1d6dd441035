//! What every Millrace service is made of: project file, Kafka, registry, codec, telemetry, service life.
//! Nothing here knows an outside system.

pub mod budget;
pub mod codec;
pub mod crash_point;
pub mod dead_letters;
pub mod formats;
pub mod inflate;
pub mod input;
pub mod inspect;
pub mod kafka;
pub mod keys;
pub mod output;
pub mod own_topics;
pub mod parking;
pub mod pipeline;
pub mod project;
pub mod registry;
pub mod rejections;
pub mod resilience;
pub mod retry;
pub mod service;
pub mod telemetry;
pub mod tls;
