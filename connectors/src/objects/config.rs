//! How object stores are reached. What is not set is taken from the environment, by the names that each store's own tools
//! know (`AWS_ACCESS_KEY_ID`, `AZURE_STORAGE_ACCOUNT_KEY`, `GOOGLE_APPLICATION_CREDENTIALS` …).

use std::collections::BTreeMap;

use millrace_runtime::project::{ProjectPath, Resilience, Scalar, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// How one of them is reached.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ObjectStore")]
pub enum ObjectStoreConfig {
    /// For `s3://`.
    S3(S3),
    /// For `az://` and `abfss://`.
    AzureBlob(AzureBlob),
    /// For `gs://`.
    Gcs(Gcs),
    /// For `https://`.
    Http(HttpServer),
}

/// Amazon S3, or a store that speaks its protocol.
///
/// What is not set comes from the variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
/// `AWS_ENDPOINT`, from a web identity, or from the machine's own role.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// The region; `us-east-1` without it.
    pub region: Option<String>,
    /// The address of a compatible store, such as `http://localhost:9000`.
    pub endpoint: Option<String>,
    /// The access key's id.
    pub access_key_id: Option<String>,
    /// The access key's secret.
    pub secret_access_key: Option<Secret>,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
    /// Whether requests are sent without a signature, to a public bucket.
    pub anonymous: bool,
    /// Other settings of the S3 client, by its own names, such as `aws_virtual_hosted_style_request` or `timeout`.
    pub options: BTreeMap<String, Scalar>,
    /// How patient Millrace is with it.
    pub resilience: Resilience,
}

/// Azure Blob Storage.
///
/// What is not set comes from the variables `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_CLIENT_ID`,
/// `AZURE_CLIENT_SECRET`, `AZURE_TENANT_ID`, from a federated token, or from the machine's managed identity.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AzureBlob {
    /// The storage account.
    pub account: Option<String>,
    /// The address of a compatible store, such as `http://localhost:10000/devstoreaccount1`.
    pub endpoint: Option<String>,
    /// The account's access key.
    pub access_key: Option<Secret>,
    /// A shared access signature (`sv=…&sig=…`).
    pub sas: Option<Secret>,
    /// Whether requests are sent without a signature, to a public container.
    pub anonymous: bool,
    /// Other settings of the Azure client, by its own names, such as `azure_storage_client_id`.
    pub options: BTreeMap<String, Scalar>,
    /// How patient Millrace is with it.
    pub resilience: Resilience,
}

/// Google Cloud Storage.
///
/// What is not set comes from `GOOGLE_SERVICE_ACCOUNT`, from the file that `GOOGLE_APPLICATION_CREDENTIALS` names, or from the
/// machine's own account.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gcs {
    /// The file of a service account's key, relative to the project's folder.
    pub service_account: Option<ProjectPath>,
    /// The address of a compatible store, such as `http://localhost:4443`.
    pub endpoint: Option<String>,
    /// Whether requests are sent without credentials, to a public bucket.
    pub anonymous: bool,
    /// Other settings of the client, by its own names.
    pub options: BTreeMap<String, Scalar>,
    /// How patient Millrace is with it.
    pub resilience: Resilience,
}

/// An HTTP server. A pattern of names needs one that lists its files (`WebDAV`, RFC 4918).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "HttpServer")]
pub struct HttpServer {
    /// The user for basic authentication.
    pub username: Option<String>,
    /// The password for basic authentication.
    pub password: Option<Secret>,
    /// A bearer token.
    pub token: Option<Secret>,
    /// Other settings of the HTTP client, such as `proxy_url`.
    pub options: BTreeMap<String, Scalar>,
    /// How patient Millrace is with it.
    pub resilience: Resilience,
}

impl ObjectStoreConfig {
    pub(crate) const fn resilience(&self) -> &Resilience {
        match self {
            Self::S3(config) => &config.resilience,
            Self::AzureBlob(config) => &config.resilience,
            Self::Gcs(config) => &config.resilience,
            Self::Http(config) => &config.resilience,
        }
    }

    /// The key that it goes by.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::AzureBlob(_) => "azure_blob",
            Self::Gcs(_) => "gcs",
            Self::Http(_) => "http",
        }
    }
}
