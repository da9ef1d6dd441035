//! How the schema registry is reached, and how its subjects are named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ProjectPath, Resilience, Secret};

/// How the schema registry is reached: any that speaks the Confluent API.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Registry")]
pub struct RegistryConfig {
    /// Its address, or several with commas between them: the next one is asked when one does not answer. Without it the variable
    /// `SCHEMA_REGISTRY_URL`.
    pub url: String,
    /// The user for basic authentication. Without it the variable `SCHEMA_REGISTRY_USERNAME`.
    pub username: Option<String>,
    /// The password for basic authentication. Without it the variable `SCHEMA_REGISTRY_PASSWORD`.
    pub password: Option<Secret>,
    /// The token for bearer authentication, instead of user and password. Without it the variable `SCHEMA_REGISTRY_TOKEN`.
    pub token: Option<Secret>,
    /// A PEM file of the certificate authorities to trust beside the system's own, relative to the project's folder.
    pub ca: Option<ProjectPath>,
    /// A PEM file of the certificate that Millrace shows to the registry (mutual TLS), followed by those that signed it.
    pub certificate: Option<ProjectPath>,
    /// A PEM file of that certificate's private key.
    pub key: Option<ProjectPath>,
    /// How patient Millrace is with it.
    pub resilience: Resilience,
    /// How subjects are named. A topic may say otherwise, by `subjects:` under `topics:`.
    pub subjects: SubjectStrategy,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            url: "http://localhost:8081".into(),
            username: None,
            password: None,
            token: None,
            ca: None,
            certificate: None,
            key: None,
            resilience: Resilience::default(),
            subjects: SubjectStrategy::default(),
        }
    }
}

/// The subject that a schema is registered under, as Confluent's serializers name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectStrategy {
    /// `<topic>-value` and `<topic>-key`: all records of a topic are of one schema (`TopicNameStrategy`).
    #[default]
    TopicName,
    /// The record's full name, in whatever topic it is (`RecordNameStrategy`).
    RecordName,
    /// `<topic>-<the record's full name>` (`TopicRecordNameStrategy`).
    TopicRecordName,
}
