//! The ingest service against a broker and a registry: over HTTP, and from files.

mod pull;
mod push;
mod push_admission;
mod push_bodies;
mod push_keyed;
mod push_peers;
mod world;
