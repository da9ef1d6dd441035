//! The place in S3 where rows wait for the cluster's COPY.

use std::sync::Arc;

use millrace_model::{Code, Fault, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use uuid::Uuid;

use super::config::Stage;
use super::literal;
use crate::objects::{self, ObjectStoreConfig, S3, Scheme, StoreUrl};

/// A bucket, and how the cluster may read it.
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// `s3://BUCKET`.
    url: String,
    prefix: Path,
    /// How `COPY` is told that it may read: with a secret, where the cluster has no role.
    authorization: String,
}

/// An object that waits.
pub(super) struct Waiting {
    path: Path,
}

impl Bucket {
    /// Asks nobody.
    pub(super) fn open(stage: &Stage) -> Result<Self> {
        let url = StoreUrl::parse(&stage.url)?;
        if url.scheme != Scheme::S3 {
            return Err(Fault::operator(Code::TargetOther, "Redshift: stage.url is not of the form s3://BUCKET/PREFIX"));
        }
        let config = S3 {
            region: stage.region.clone(),
            endpoint: stage.endpoint.clone(),
            access_key_id: stage.access_key_id.clone(),
            secret_access_key: stage.secret_access_key.clone(),
            resilience: stage.resilience.clone(),
            ..S3::default()
        };
        let store = objects::open(&url, Some(&ObjectStoreConfig::S3(config)))?;
        Ok(Self { store, prefix: Path::from(url.key.as_str()), url: url.base, authorization: authorization(stage)? })
    }

    /// Puts rows where the cluster finds them.
    pub(super) async fn put(&self, rows: Vec<u8>) -> Result<Waiting> {
        let path = self.prefix.clone().join(format!("{}.csv", Uuid::new_v4()));
        let put = self.store.put(&path, PutPayload::from(rows)).await;
        put.map_err(|error| objects::fault("Redshift: writing rows to the stage", &error))?;
        Ok(Waiting { path })
    }

    /// Takes rows away. What can't be deleted takes room and does no harm, so it is only logged.
    pub(super) async fn delete(&self, waiting: Waiting) {
        if let Err(error) = self.store.delete(&waiting.path).await {
            tracing::warn!(object = %waiting.path, error = objects::told(&error), "a copied object stays in the stage");
        }
    }

    /// The statement that copies them into a table.
    pub(super) fn copy(&self, into: &str, waiting: &Waiting) -> String {
        let (place, null) = (literal(&format!("{}/{}", self.url, waiting.path)), literal(super::rows::NULL));
        format!("COPY {into} FROM {place} {} FORMAT AS CSV NULL AS {null} DATEFORMAT 'auto' TIMEFORMAT 'auto'", self.authorization)
    }
}

fn authorization(stage: &Stage) -> Result<String> {
    let region = stage.region.as_ref().map(|region| format!(" REGION {}", literal(region))).unwrap_or_default();
    match (&stage.iam_role, &stage.access_key_id, &stage.secret_access_key) {
        (Some(role), ..) => Ok(format!("IAM_ROLE {}{region}", literal(role))),
        (None, Some(id), Some(secret)) => {
            Ok(format!("ACCESS_KEY_ID {} SECRET_ACCESS_KEY {}{region}", literal(id), literal(secret.reveal())))
        }
        _ => Err(Fault::operator(
            Code::TargetAuthentication,
            "Redshift: the cluster can't read the stage; set `iam_role`, or `access_key_id` and `secret_access_key`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bucket(url: &str) -> Result<Bucket> {
        let stage = json!({ "url": url, "iam_role": "arn:aws:iam::1:role/o'hara", "region": "eu-west-1" });
        Bucket::open(&serde_json::from_value(stage).expect("settings"))
    }

    #[test]
    fn a_quote_in_a_name_stays_within_its_text() {
        let bucket = bucket("s3://b/it's/in").expect("opens");
        let waiting = Waiting { path: bucket.prefix.clone().join("1.csv") };
        assert_eq!(
            bucket.copy("t", &waiting),
            "COPY t FROM 's3://b/it''s/in/1.csv' IAM_ROLE 'arn:aws:iam::1:role/o''hara' REGION 'eu-west-1' \
             FORMAT AS CSV NULL AS '\\\\N' DATEFORMAT 'auto' TIMEFORMAT 'auto'"
        );
    }

    #[test]
    fn the_stage_is_a_bucket_of_s3() {
        for url in ["gs://b/in", "b/in", "s3://"] {
            assert!(bucket(url).is_err(), "{url}");
        }
    }
}
