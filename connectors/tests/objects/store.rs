//! A bucket or container, seen by another client.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::{Value, json};

/// The development account that everybody knows.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A folder of a test's own in the bucket `millrace`.
pub(crate) struct Place {
    pub(crate) client: Arc<dyn ObjectStore>,
    pub(crate) prefix: String,
    base: &'static str,
    store: Value,
}

impl Place {
    pub(crate) fn s3(test: &str) -> Self {
        let endpoint = variable("MILLRACE_TEST_S3");
        let client = AmazonS3Builder::new()
            .with_bucket_name("millrace")
            .with_region("us-east-1")
            .with_endpoint(&endpoint)
            .with_access_key_id("test")
            .with_secret_access_key("hunter2")
            .with_allow_http(true)
            .build();
        let store = json!({ "s3": { "endpoint": endpoint, "access_key_id": "test", "secret_access_key": "hunter2" } });
        Self { client: Arc::new(client.expect("a client")), prefix: prefix(test), base: "s3://millrace", store }
    }

    pub(crate) fn azure(test: &str) -> Self {
        let endpoint = variable("MILLRACE_TEST_AZURE");
        let client = MicrosoftAzureBuilder::new()
            .with_container_name("millrace")
            .with_account(ACCOUNT)
            .with_access_key(KEY)
            .with_endpoint(endpoint.clone())
            .with_allow_http(true)
            .build();
        let store = json!({ "azure_blob": { "account": ACCOUNT, "endpoint": endpoint, "access_key": KEY } });
        Self { client: Arc::new(client.expect("a client")), prefix: prefix(test), base: "az://millrace", store }
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("{}/{}/{key}", self.base, self.prefix)
    }

    /// The configuration of a source of these objects.
    pub(crate) fn settings(&self, key: &str) -> Value {
        json!({ "path": self.url(key), "store": self.store })
    }

    pub(crate) fn with(&self, key: &str, more: &Value) -> Value {
        let mut settings = self.settings(key);
        settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        settings
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.prefix))
    }

    pub(crate) async fn put(&self, key: &str, bytes: impl Into<object_store::PutPayload>) {
        self.client.put(&self.path(key), bytes.into()).await.expect("is put");
    }

    pub(crate) async fn has(&self, key: &str) -> bool {
        self.client.head(&self.path(key)).await.is_ok()
    }
}

fn prefix(test: &str) -> String {
    format!("{test}-{}", uuid::Uuid::new_v4().simple())
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this by scripts/services/with-servers.sh"))
}
