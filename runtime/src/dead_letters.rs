//! Rejected records, durably kept.
