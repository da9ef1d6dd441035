//! What stands in for servers on a laptop and in tests: a Kafka broker and a schema registry; and, for tests, for the network on the way to real ones, and for a Redshift cluster.
//! Neither is a product: no replication, no security, loopback only.

pub mod broker;
pub mod proxy;
pub mod redshift;
pub mod registry;
