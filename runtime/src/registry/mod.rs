//! The schema registry, through the API that Confluent defined.
