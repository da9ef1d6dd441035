//! The life of a service: health, shutdown, what listens, open files.

mod files;
mod health;
mod listener;
mod shutdown;

pub use files::{allow_files, allowed_files};
pub use health::{Admin, Health, PipelineHealth, State};
pub use listener::{Limits, serve};
pub use shutdown::Shutdown;
