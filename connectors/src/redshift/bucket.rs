//! The place in S3 where rows wait for the cluster's COPY.

use std::sync::Arc;

use millrace_model::{Code, Fault, Result};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutPayload};
use uuid::Uuid;

use super::config::Stage;
use crate::objects;

/// A bucket, and how the cluster may read it.
#[derive(Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    url: String,
    prefix: Path,
    /// How `COPY` is told that it may read.
    authorization: String,
}

/// An object that waits.
pub(super) struct Waiting {
    path: Path,
}

impl Bucket {
    pub(super) fn open(stage: &Stage) -> Result<Self> {
        let link = objects::link_of(&stage.resilience, &stage.url);
        let mut store = AmazonS3Builder::from_env().with_url(&stage.url).with_retry(objects::retry(&link));
        if let Some(region) = &stage.region {
            store = store.with_region(region);
        }
        if let (Some(id), Some(secret)) = (&stage.access_key_id, &stage.secret_access_key) {
            store = store.with_access_key_id(id).with_secret_access_key(secret.reveal());
        }
        if let Some(endpoint) = &stage.endpoint {
            store = store.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = store.build().map_err(|error| fault("opening the stage", error))?;
        let store = objects::guarded_by(link, store);
        let (bucket, prefix) = place(&stage.url)?;
        Ok(Self { store, url: format!("s3://{bucket}"), prefix: Path::from(prefix), authorization: authorization(stage)? })
    }

    /// Puts rows where the cluster finds them.
    pub(super) async fn put(&self, rows: Vec<u8>) -> Result<Waiting> {
        let path = self.prefix.clone().join(format!("{}.csv", Uuid::new_v4()));
        let put = self.store.put(&path, PutPayload::from(rows)).await;
        put.map_err(|error| fault("writing rows to the stage", error))?;
        Ok(Waiting { path })
    }

    /// Takes rows away. What can't be deleted takes room and does no harm, so it is only logged.
    pub(super) async fn delete(&self, waiting: Waiting) {
        if let Err(error) = self.store.delete(&waiting.path).await {
            tracing::warn!(object = %waiting.path, %error, "a copied object stays in the stage");
        }
    }

    /// The statement that copies them into a table.
    pub(super) fn copy(&self, into: &str, waiting: &Waiting) -> String {
        let Self { url, authorization, .. } = self;
        let path = &waiting.path;
        format!(
            "COPY {into} FROM '{url}/{path}' {authorization} FORMAT AS CSV NULL AS '{}' DATEFORMAT 'auto' TIMEFORMAT 'auto'",
            super::rows::NULL.replace('\\', "\\\\")
        )
    }
}

/// Bucket and prefix of an URL.
fn place(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("s3://").filter(|rest| !rest.is_empty());
    let rest = rest.ok_or_else(|| Fault::operator(Code::TargetOther, "Redshift: stage.url is not of the form s3://BUCKET/PREFIX"))?;
    Ok(rest.split_once('/').unwrap_or((rest, "")))
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

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn fault(doing: &str, error: Error) -> Fault {
    let message = format!("Redshift: {doing} failed");
    match error {
        Error::Unauthenticated { .. } | Error::PermissionDenied { .. } => {
            Fault::operator(Code::TargetDenied, format!("{message}; mend the stage's credentials, or the bucket's policy")).because(error)
        }
        Error::NotFound { .. } => {
            Fault::operator(Code::TargetDenied, format!("{message}; create the bucket, or mend stage.url")).because(error)
        }
        _ => Fault::passing(Code::TargetUnavailable, message).because(error),
    }
}
