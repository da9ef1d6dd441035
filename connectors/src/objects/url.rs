//! URLs of objects.

use millrace_model::{Code, Fault, Result};

/// The kinds of object stores, by the schemes of their URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    S3,
    Azure,
    Gcs,
    Http,
}

impl Scheme {
    fn of(name: &str) -> Option<Self> {
        match name {
            "s3" | "s3a" => Some(Self::S3),
            "az" | "azure" | "abfs" | "abfss" | "adl" => Some(Self::Azure),
            "gs" => Some(Self::Gcs),
            "http" | "https" => Some(Self::Http),
            _ => None,
        }
    }
}

/// A URL taken apart: the store, and the key of an object in it, or a pattern of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    pub(crate) scheme: Scheme,
    /// The URL up to the key, without its last slash: `s3://bucket`.
    pub(crate) base: String,
    /// What follows the slash, without a query.
    pub(crate) key: String,
    /// An HTTP URL's query, such as a signature; no part of names that are shown.
    pub(crate) query: Option<String>,
}

impl StoreUrl {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let bad = |why: &str| Fault::operator(Code::ProjectSyntax, format!("`{}` {why}", shown(url)));
        let (name, rest) = url.split_once("://").ok_or_else(|| bad("is not a URL"))?;
        let scheme = Scheme::of(name).ok_or_else(|| bad("has a scheme that is not known; known are s3, az, abfss, gs, http and https"))?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) if scheme == Scheme::Http => (rest, Some(query.to_owned())),
            _ => (rest, None),
        };
        let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(bad("names no bucket, container or host"));
        }
        if scheme == Scheme::Http && host.contains('@') {
            return Err(bad("has credentials in it; put them into `store: { http: … }`"));
        }
        Ok(Self { scheme, base: format!("{name}://{host}"), key: key.to_owned(), query })
    }
}

/// The URL without what may be a secret.
fn shown(url: &str) -> &str {
    let url = url.split('?').next().unwrap_or_default();
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (Scheme, String, String, Option<String>) {
        let url = StoreUrl::parse(url).expect("a URL");
        (url.scheme, url.base, url.key, url.query)
    }

    #[test]
    fn a_url_is_a_store_and_a_key() {
        assert_eq!(parts("s3://b/in/a?.csv"), (Scheme::S3, "s3://b".into(), "in/a?.csv".into(), None));
        assert_eq!(
            parts("abfss://c@a.dfs.core.windows.net/x"),
            (Scheme::Azure, "abfss://c@a.dfs.core.windows.net".into(), "x".into(), None)
        );
        assert_eq!(parts("https://h:1/a.csv?sig=s"), (Scheme::Http, "https://h:1".into(), "a.csv".into(), Some("sig=s".into())));
        assert_eq!(parts("gs://b"), (Scheme::Gcs, "gs://b".into(), String::new(), None));
    }

    #[test]
    fn what_is_no_url_is_refused_and_shows_no_secret() {
        let refused = |url: &str| StoreUrl::parse(url).expect_err("refused").message().to_owned();
        assert!(refused("ftp://h/a").contains("known are s3"));
        assert!(refused("s3:///a").contains("names no bucket"));
        let secret = refused("https://me:hunter2@h/a?sig=hunter3");
        assert!(secret.contains("`h/a` has credentials") && !secret.contains("hunter"), "{secret}");
    }
}
