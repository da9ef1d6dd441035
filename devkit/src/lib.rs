//! What stands in for servers on a laptop and in tests: a Kafka broker and a schema registry.
//! Neither is a product: no replication, no security, loopback only.

pub mod broker;
pub mod registry;
