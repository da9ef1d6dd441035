//! The development registry: the Confluent API, in memory.
