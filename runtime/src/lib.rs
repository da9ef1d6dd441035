//! What every Millrace service is made of: project file, Kafka, registry, codec, telemetry, service life.
