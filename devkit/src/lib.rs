//! What stands in for servers on a laptop and in tests: a Kafka broker and a schema registry.
