//! The life of a service: health, shutdown.

mod health;
mod shutdown;

pub use health::{Admin, Health, PipelineHealth, State};
pub use shutdown::Shutdown;
