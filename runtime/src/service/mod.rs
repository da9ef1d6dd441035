//! The life of a service: health, shutdown.
