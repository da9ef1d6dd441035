//! Clients of object stores. Making one asks nobody.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::{RetrySettings, Scalar, Secret};
use millrace_runtime::resilience::Link;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig};

use super::config::{AzureBlob, Gcs, HttpServer, ObjectStoreConfig, S3};
use super::guarded::{guarded_by, link};
use super::url::{Scheme, StoreUrl};

/// How long the client's own repetitions may take. What lasts longer is the pipeline's matter, whose state shows it.
const RETRYING: Duration = Duration::from_secs(10);

/// The store that the URL is of, reached as `store` says, or as the environment does, by way of its link.
pub(crate) fn open(url: &StoreUrl, config: Option<&ObjectStoreConfig>) -> Result<Arc<dyn ObjectStore>> {
    open_by(link(url, config), url, config)
}

/// The same by way of another link, which alone guards each request.
pub(crate) fn open_by(link: Link, url: &StoreUrl, config: Option<&ObjectStoreConfig>) -> Result<Arc<dyn ObjectStore>> {
    match (url.scheme, config) {
        (Scheme::S3, None) => s3(url, &S3::default(), link),
        (Scheme::S3, Some(ObjectStoreConfig::S3(config))) => s3(url, config, link),
        (Scheme::Azure, None) => azure(url, &AzureBlob::default(), link),
        (Scheme::Azure, Some(ObjectStoreConfig::AzureBlob(config))) => azure(url, config, link),
        (Scheme::Gcs, None) => gcs(url, &Gcs::default(), link),
        (Scheme::Gcs, Some(ObjectStoreConfig::Gcs(config))) => gcs(url, config, link),
        (Scheme::Http, None) => http(url, &HttpServer::default(), link),
        (Scheme::Http, Some(ObjectStoreConfig::Http(config))) => http(url, config, link),
        (_, Some(config)) => Err(Fault::operator(Code::ProjectFlow, format!("`{}` can't open {}://", config.kind(), scheme(url)))),
    }
}

fn scheme(url: &StoreUrl) -> &str {
    url.base.split("://").next().unwrap_or_default()
}

fn s3(url: &StoreUrl, config: &S3, link: Link) -> Result<Arc<dyn ObjectStore>> {
    let S3 { region, endpoint, access_key_id, secret_access_key, session_token, anonymous, options, .. } = config;
    let mut builder = AmazonS3Builder::from_env().with_url(&url.base).with_retry(retry(&link)).with_skip_signature(*anonymous);
    let set = [
        (AmazonS3ConfigKey::Region, region.as_deref()),
        (AmazonS3ConfigKey::Endpoint, endpoint.as_deref()),
        (AmazonS3ConfigKey::AccessKeyId, access_key_id.as_deref()),
        (AmazonS3ConfigKey::SecretAccessKey, secret_access_key.as_ref().map(Secret::reveal)),
        (AmazonS3ConfigKey::Token, session_token.as_ref().map(Secret::reveal)),
    ];
    for (key, value) in set {
        builder = value.into_iter().fold(builder, |builder, value| builder.with_config(key, value));
    }
    builder = builder.with_client_options(patient(endpoint.as_deref(), &link));
    for (key, value) in keys::<AmazonS3ConfigKey>(options)? {
        builder = builder.with_config(key, value);
    }
    built(builder.build(), link)
}

fn azure(url: &StoreUrl, config: &AzureBlob, link: Link) -> Result<Arc<dyn ObjectStore>> {
    let AzureBlob { account, endpoint, access_key, sas, anonymous, options, .. } = config;
    let mut builder = MicrosoftAzureBuilder::from_env().with_url(&url.base).with_retry(retry(&link)).with_skip_signature(*anonymous);
    let set = [
        (AzureConfigKey::AccountName, account.as_deref()),
        (AzureConfigKey::Endpoint, endpoint.as_deref()),
        (AzureConfigKey::AccessKey, access_key.as_ref().map(Secret::reveal)),
        (AzureConfigKey::SasKey, sas.as_ref().map(Secret::reveal)),
    ];
    for (key, value) in set {
        builder = value.into_iter().fold(builder, |builder, value| builder.with_config(key, value));
    }
    builder = builder.with_client_options(patient(endpoint.as_deref(), &link));
    for (key, value) in keys::<AzureConfigKey>(options)? {
        builder = builder.with_config(key, value);
    }
    built(builder.build(), link)
}

fn gcs(url: &StoreUrl, config: &Gcs, link: Link) -> Result<Arc<dyn ObjectStore>> {
    let Gcs { service_account, endpoint, anonymous, options, .. } = config;
    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(&url.base).with_retry(retry(&link)).with_skip_signature(*anonymous);
    if let Some(path) = service_account {
        builder = builder.with_service_account_path(path.to_string_lossy());
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_base_url(endpoint);
    }
    builder = builder.with_client_options(patient(endpoint.as_deref(), &link));
    for (key, value) in keys::<GoogleConfigKey>(options)? {
        builder = builder.with_config(key, value);
    }
    built(builder.build(), link)
}

fn http(url: &StoreUrl, config: &HttpServer, link: Link) -> Result<Arc<dyn ObjectStore>> {
    let query = url.query.as_ref().map(|query| format!("/?{query}")).unwrap_or_default();
    let mut options = patient(Some(&url.base), &link).with_default_headers(authorization(config)?);
    for (key, value) in keys::<ClientConfigKey>(&config.options)? {
        options = options.with_config(key, value);
    }
    built(HttpBuilder::new().with_url(format!("{}{query}", url.base)).with_retry(retry(&link)).with_client_options(options).build(), link)
}

fn authorization(config: &HttpServer) -> Result<HeaderMap> {
    let text = match config {
        HttpServer { token: Some(token), .. } => format!("Bearer {}", token.reveal()),
        HttpServer { username: Some(user), password, .. } => {
            let password = password.as_ref().map_or("", Secret::reveal);
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        }
        _ => return Ok(HeaderMap::new()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Fault::operator(Code::StoreRefused, "the token of the store has a character that no header takes"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]))
}

/// No limit on a whole request, which may bring a large file: each read has one of its own. Encryption is left out only for an
/// address that says so.
fn patient(address: Option<&str>, link: &Link) -> ClientOptions {
    let plain = address.is_some_and(|address| address.starts_with("http://"));
    ClientOptions::new().with_connect_timeout(link.connect_within()).with_timeout_disabled().with_allow_http(plain)
}

/// How a client repeats by itself.
fn retry(link: &Link) -> RetryConfig {
    let RetrySettings { attempts, initial, max, .. } = link.retry();
    let backoff = BackoffConfig { init_backoff: initial.duration(), max_backoff: max.duration(), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: attempts.get() as usize - 1, retry_timeout: RETRYING }
}

/// Settings of a client by its own names; one that it does not know is refused.
fn keys<K: FromStr>(options: &BTreeMap<String, Scalar>) -> Result<Vec<(K, String)>> {
    let key = |(name, value): (&String, &Scalar)| match K::from_str(&name.to_ascii_lowercase()) {
        Ok(key) => Ok((key, value.to_string())),
        Err(_) => Err(Fault::operator(Code::ProjectSyntax, format!("the client of this store has no option `{name}`"))),
    };
    options.iter().map(key).collect()
}

fn built<S: ObjectStore>(built: object_store::Result<S>, link: Link) -> Result<Arc<dyn ObjectStore>> {
    match built {
        Ok(store) => Ok(guarded_by(link, store)),
        Err(error) => Err(Fault::operator(Code::ProjectFlow, "the settings do not reach an object store").because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn opened(url: &str, config: &ObjectStoreConfig) -> Result<String> {
        open(&StoreUrl::parse(url)?, Some(config)).map(|store| format!("{store:?}"))
    }

    #[test]
    fn a_connection_opens_the_urls_of_its_kind() {
        let config: S3 = serde_json::from_value(json!({ "endpoint": "http://h:1", "access_key_id": "k", "secret_access_key": "hunter2" }))
            .expect("reads");
        let s3 = ObjectStoreConfig::S3(config);
        assert!(opened("s3://bucket/a.csv", &s3).is_ok());
        let fault = opened("gs://bucket/a.csv", &s3).expect_err("is another kind");
        assert_eq!(fault.message(), "`s3` can't open gs://");
        assert!(!format!("{s3:?}").contains("hunter2"));
    }

    #[test]
    fn an_option_that_the_client_does_not_know_is_refused() {
        let config: S3 = serde_json::from_value(json!({ "options": { "aws_regoin": "x" } })).expect("reads");
        let fault = opened("s3://bucket/a", &ObjectStoreConfig::S3(config)).expect_err("unknown");
        assert_eq!(fault.message(), "the client of this store has no option `aws_regoin`");
    }

    #[test]
    fn a_token_goes_into_a_header_that_is_not_shown() {
        let config: HttpServer = serde_json::from_value(json!({ "username": "me", "password": "hunter2" })).expect("reads");
        let headers = authorization(&config).expect("a header");
        assert_eq!(headers["authorization"], "Basic bWU6aHVudGVyMg==");
        assert!(!format!("{headers:?}").contains("bWU6"));
    }
}
