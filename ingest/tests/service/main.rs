//! The ingest service against a broker and a registry: over HTTP, and from files.

mod pull;
mod push;
mod world;
