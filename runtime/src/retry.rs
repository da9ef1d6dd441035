//! Backoff for passing trouble.
