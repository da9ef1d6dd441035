//! What the end-to-end tests are written with: the `millrace` binary as a process, a project in a folder of its own, and
//! eyes on Kafka, PostgreSQL and the traces. Everything here panics when a test can't go on, and says why.

pub mod clock;
pub mod command;
pub mod connect;
pub mod disk;
pub mod flights;
pub mod kafka;
pub mod orders;
pub mod postgres;
pub mod process;
pub mod project;
pub mod servers;
pub mod service;
pub mod squeeze;
pub mod surroundings;
pub mod traces;
mod wait;

pub use project::Project;
pub use servers::Servers;
pub use service::Service;
pub use surroundings::Surroundings;
pub use wait::until;
