//! From what a project needs to what its servers have, and back.

mod plans;
mod project;
mod servers;
