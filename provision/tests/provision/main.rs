//! From what a project needs to what its servers have, and back.

mod infer;
mod plans;
mod project;
mod pull;
mod rights;
mod servers;
