//! The development broker: the Kafka protocol over TCP, one node.
