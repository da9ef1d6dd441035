//! How a Redshift cluster is reached, and where rows wait for its COPY.

use millrace_runtime::project::{Hosts, ProjectPath, Resilience, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::postgres::Tls;

/// An Amazon Redshift cluster or workgroup.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Redshift")]
pub struct Config {
    /// The endpoint's name, or several with commas between them or as a list: the next one is asked when one does not answer.
    pub host: Hosts,
    /// The port of endpoints that name none.
    #[serde(default = "standard_port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user; it needs the right to create tables in the schema, or the tables must exist.
    pub user: String,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether the connection is encrypted, and what is checked.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file of the certificate authorities to trust; the system's own without it.
    #[serde(default)]
    pub ca: Option<ProjectPath>,
    /// The schema that tables are in.
    #[serde(default = "public_schema")]
    pub schema: String,
    /// How patient Millrace is with it.
    #[serde(default)]
    pub resilience: Resilience,
    /// Where rows are put for the cluster to copy them from.
    pub stage: Stage,
}

/// A place in Amazon S3 that the pipeline writes and the cluster reads. Its objects are deleted when they have been copied.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RedshiftStage")]
pub struct Stage {
    /// The bucket and a prefix in it: `s3://bucket/millrace`.
    pub url: String,
    /// The role that the cluster reads the bucket with. Without it the cluster gets the access key.
    #[serde(default)]
    pub iam_role: Option<String>,
    /// The bucket's region.
    #[serde(default)]
    pub region: Option<String>,
    /// The access key to write the bucket with. Without it the AWS variables, or the role of the machine.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// The secret of the access key.
    #[serde(default)]
    pub secret_access_key: Option<Secret>,
    /// Another endpoint than the region's, such as one of a private network.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// How patient Millrace is with the bucket.
    #[serde(default)]
    pub resilience: Resilience,
}

fn standard_port() -> u16 {
    5439
}

fn public_schema() -> String {
    "public".into()
}
