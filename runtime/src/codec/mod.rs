//! Confluent-framed Avro to Arrow and back, by the batch.
