//! The project file: reading it, its shared sections, and the typed flow of its pipelines.

mod sections;

pub use sections::{
    ByteSize, DEAD_LETTERS, Delivery, KafkaConfig, Key, Mechanism, Millis, OnError, Output, Project, ProjectPath, RegistryConfig, Scalar, Secret,
    ServiceConfig, Topic, Version, dead_letters,
};
