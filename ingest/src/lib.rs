//! The ingest service: drives any source into topics, and the push gateway.
