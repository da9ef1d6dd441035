//! The transform service: topics through steps to topics.
