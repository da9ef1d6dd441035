//! The life of a service: health, shutdown, what listens, open files, memory.

mod files;
mod health;
mod listener;
mod memory;
mod shutdown;

pub use files::{allow_files, allowed_files};
pub use health::{Admin, Health, PipelineHealth, State};
pub use listener::{Limits, serve};
pub use memory::memory;
pub use shutdown::Shutdown;
