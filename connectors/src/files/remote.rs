//! Files in an object store.

use std::io::{Error, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use glob::{MatchOptions, Pattern};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::resilience::{Link, Probe};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::config::After;
use super::moving;
use super::store::{Facts, Found, Raw};
use super::thread::on_thread;
use crate::objects::{self, ObjectStoreConfig, Scheme, StoreUrl};

/// `*` stays within a name, as on this machine.
const MATCHING: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// The objects that a URL names.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    link: Link,
    url: StoreUrl,
    /// Absent when the URL is of one object.
    pattern: Option<Pattern>,
}

impl Remote {
    pub(super) fn new(url: &str, connection: Option<&ObjectStoreConfig>) -> Result<Self> {
        let url = StoreUrl::parse(url)?;
        if url.key.is_empty() || url.key.ends_with('/') {
            let message = format!("`{}/{}` names a folder; add a pattern, such as `*.csv`", url.base, url.key);
            return Err(Fault::operator(Code::ProjectSyntax, message));
        }
        let pattern = url
            .key
            .contains(['*', '?', '['])
            .then(|| Pattern::new(&url.key))
            .transpose()
            .map_err(|error| Fault::operator(Code::ProjectSyntax, format!("`{}` is not a pattern of names", url.key)).because(error))?;
        Ok(Self { store: objects::open(&url, connection)?, link: objects::link(&url, connection), url, pattern })
    }

    /// What asks whether the store is there: for its first object, or for the one that the URL names.
    pub(super) fn prober(&self) -> Probe {
        let remote = self.clone();
        Probe::new(&self.link, move || {
            let remote = remote.clone();
            async move { remote.probe().await }
        })
    }

    async fn probe(&self) -> Result<()> {
        if self.pattern.is_none() {
            return self.facts_of_key(&self.url.key).await.map(drop);
        }
        let mut listing = self.store.list(self.prefix().as_ref());
        self.patiently(&format!("listing {}", self.url.base), listing.try_next()).await.map(drop)
    }

    pub(super) async fn list(&self) -> Result<Vec<Found>> {
        let Some(pattern) = &self.pattern else {
            let facts = self.facts_of_key(&self.url.key).await?;
            return Ok(facts.into_iter().map(|facts| Found { name: self.name(&self.url.key), facts }).collect());
        };
        let prefix = self.prefix();
        let listing = self.store.list(prefix.as_ref()).try_filter(|meta| {
            let matches = pattern.matches_with(meta.location.as_ref(), MATCHING);
            std::future::ready(matches)
        });
        let doing = format!("listing {}", self.url.base);
        let mut listing = listing.boxed();
        let mut files = Vec::new();
        while let Some(meta) = self.patiently(&doing, listing.try_next()).await? {
            files.push(Found { name: self.name(meta.location.as_ref()), facts: facts(&meta) });
        }
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// The folder that the pattern is about; none is the whole store.
    fn prefix(&self) -> Option<Path> {
        let fixed = self.url.key.split(['*', '?', '[']).next().unwrap_or_default();
        fixed.rsplit_once('/').map(|(folder, _)| Path::from(folder))
    }

    fn name(&self, key: &str) -> String {
        format!("{}/{key}", self.url.base)
    }

    fn key<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(&self.url.base).map_or(name, |key| key.trim_start_matches('/'))
    }

    fn location(&self, name: &str) -> Result<Path> {
        Path::parse(self.key(name)).map_err(|error| objects::fault(&format!("opening {name}"), &error.into()))
    }

    pub(super) async fn facts(&self, name: &str) -> Result<Option<Facts>> {
        self.facts_of_key(self.key(name)).await
    }

    async fn facts_of_key(&self, key: &str) -> Result<Option<Facts>> {
        let location = self.location(key)?;
        match self.store.head(&location).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Ok(meta) => Ok(Some(facts(&meta))),
            Err(error) => Err(objects::fault(&format!("asking for {}", self.name(key)), &error)),
        }
    }

    /// The object's bytes from an offset on, of that version.
    pub(super) async fn open(&self, name: &str, from: u64, version: &Facts) -> Result<Raw<Body>> {
        let location = self.location(name)?;
        let doing = format!("reading {name}");
        let whole = GetOptions { if_match: version.tag().map(str::to_owned), ..GetOptions::default() };
        let (result, skip) = if from == 0 {
            (self.store.get_opts(&location, whole).await, 0)
        } else {
            let ranged = GetOptions { range: Some(GetRange::Offset(from)), ..whole.clone() };
            match self.store.get_opts(&location, ranged).await {
                // A server that gives no parts gives the whole, whose beginning is passed over.
                Err(object_store::Error::NotSupported { .. }) if self.url.scheme == Scheme::Http => {
                    (self.store.get_opts(&location, whole).await, from)
                }
                other => (other, 0),
            }
        };
        let result = result.map_err(|error| opening(&doing, &error))?;
        let body = Body { stream: result.into_stream(), silence: self.link.answer_within(), handle: Handle::current(), rest: Bytes::new() };
        if skip == 0 { Ok(Raw(body)) } else { skipped(Raw(body), skip, &doing).await }
    }

    /// Deletes an object, or copies it and then deletes it.
    pub(super) async fn dispose(&self, name: &str, after: &After) -> Result<()> {
        let location = self.location(name)?;
        if let After::Move(folder) = after {
            let to = self.target(self.key(name), folder.as_str())?;
            if to == location {
                let message = format!("{name} was read, and can't be moved to {}: it is there", folder.as_str());
                return Err(Fault::operator(Code::FileUnreadable, message));
            }
            match self.store.copy(&location, &to).await {
                // It was moved before.
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                copied => copied.map_err(|error| objects::fault(&format!("copying {name} to {to}"), &error))?,
            }
        }
        match self.store.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(objects::fault(&format!("deleting {name}"), &error)),
        }
    }

    /// Where an object of that key goes: below the folder as it is below the pattern's.
    fn target(&self, key: &str, folder: &str) -> Result<Path> {
        let to = StoreUrl::parse(folder)?;
        if to.base != self.url.base {
            let message = format!("files of {} can't be moved to {folder}: name a folder of the same place", self.url.base);
            return Err(Fault::operator(Code::ProjectSyntax, message));
        }
        let below = self.prefix().map_or(key, |prefix| key.strip_prefix(prefix.as_ref()).unwrap_or(key).trim_start_matches('/'));
        let name = if self.pattern.is_some() { below } else { key.rsplit('/').next().unwrap_or(key) };
        Ok(Path::from(format!("{}/{name}", to.key.trim_end_matches('/'))))
    }

    /// Whether a file may be disposed of so, as far as can be said without I/O.
    pub(super) fn check(&self, after: &After) -> Result<()> {
        match after {
            After::Keep => Ok(()),
            _ if self.url.scheme == Scheme::Http => {
                Err(Fault::operator(Code::ProjectSyntax, "files of an HTTP server are left where they are: leave `after` out"))
            }
            After::Delete => Ok(()),
            After::Move(folder) => {
                self.target("a", folder.as_str())?;
                moving::check(&self.url.key, &StoreUrl::parse(folder.as_str())?.key, folder.as_str())
            }
        }
    }

    /// Further pages of an answer are no requests of their own.
    async fn patiently<T>(&self, doing: &str, work: impl Future<Output = object_store::Result<T>>) -> Result<T> {
        let silence = self.link.answer_within();
        let done = timeout(silence, work).await.map_err(|_| silent(doing, silence))?;
        done.map_err(|error| objects::fault(doing, &error))
    }
}

fn opening(doing: &str, error: &object_store::Error) -> Fault {
    match error {
        object_store::Error::Precondition { .. } => {
            Fault::passing(Code::FileUnreadable, format!("{doing} failed: the object is being replaced")).because(objects::told(error))
        }
        error => objects::fault(doing, error),
    }
}

fn silent(doing: &str, silence: Duration) -> Fault {
    Fault::passing(Code::StoreUnavailable, format!("{doing} failed: the store said nothing for {silence:?}"))
}

async fn skipped(body: Raw<Body>, skip: u64, doing: &str) -> Result<Raw<Body>> {
    let skipping = on_thread(move || {
        let mut body = body;
        std::io::copy(&mut Read::by_ref(&mut body).take(skip), &mut std::io::sink()).map(|_| body)
    });
    skipping.await?.map_err(|error| Fault::passing(Code::StoreUnavailable, format!("{doing} failed")).because(error))
}

fn facts(meta: &ObjectMeta) -> Facts {
    let version = meta.e_tag.clone().unwrap_or_else(|| format!("{:x}-{:x}", meta.last_modified.timestamp_micros(), meta.size));
    Facts { bytes: meta.size, version, is_whole: true }
}

/// An object's bytes as they come, for a thread that may block.
pub(super) struct Body {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    /// How long the store may say nothing.
    silence: Duration,
    handle: Handle,
    rest: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while self.rest.is_empty() {
            match self.handle.block_on(timeout(self.silence, self.stream.next())) {
                Ok(Some(bytes)) => self.rest = bytes.map_err(|error| Error::other(objects::told(&error)))?,
                Ok(None) => return Ok(0),
                Err(_) => return Err(Error::new(ErrorKind::TimedOut, "the store said nothing")),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str) -> Remote {
        Remote::new(url, None).expect("a URL")
    }

    #[test]
    fn the_folder_of_a_pattern_is_what_is_listed() {
        let prefix = |url: &str| remote(url).prefix().map(|path| path.to_string());
        assert_eq!(prefix("s3://b/in/2013/*.csv").as_deref(), Some("in/2013"));
        assert_eq!(prefix("s3://b/in/part-*"), Some("in".to_owned()));
        assert_eq!(prefix("s3://b/*.csv"), None);
    }

    #[test]
    fn a_star_stays_within_a_name() {
        let matches = |url: &str, key: &str| remote(url).pattern.is_some_and(|pattern| pattern.matches_with(key, MATCHING));
        assert!(matches("s3://b/in/*.csv", "in/a.csv"));
        assert!(!matches("s3://b/in/*.csv", "in/2013/a.csv"));
        assert!(matches("s3://b/in/**/*.csv", "in/2013/a.csv"));
    }

    #[tokio::test]
    async fn an_object_is_never_moved_onto_itself() {
        let store = Arc::new(object_store::memory::InMemory::new());
        let remote = Remote { store: store.clone(), ..remote("s3://b/in/*.csv") };
        let place = Path::from("in/a.csv");
        store.put(&place, "s".into()).await.expect("puts");
        let after = After::Move(millrace_runtime::project::PathOrUrl::new("s3://b/in"));
        let fault = remote.dispose("s3://b/in/a.csv", &after).await.expect_err("is there");
        assert!(fault.message().contains("it is there"), "{fault}");
        assert!(store.head(&place).await.is_ok());
    }

    #[test]
    fn a_name_is_the_url_without_a_signature() {
        let remote = remote("https://h/in/a.csv?sig=hunter2");
        assert_eq!(remote.name(&remote.url.key), "https://h/in/a.csv");
        assert_eq!(remote.key("https://h/in/a.csv"), "in/a.csv");
    }

    #[test]
    fn an_object_keeps_its_name_below_the_folder_that_it_is_moved_to() {
        let target = |url: &str, key: &str| remote(url).target(key, "s3://b/done/").map(|path| path.to_string());
        assert_eq!(target("s3://b/in/**/*.csv", "in/2013/a.csv").expect("a place"), "done/2013/a.csv");
        assert_eq!(target("s3://b/in/a.csv", "in/a.csv").expect("a place"), "done/a.csv");
        assert!(target("s3://c/in/a.csv", "in/a.csv").expect_err("another bucket").message().contains("the same place"));
    }

    #[test]
    fn a_folder_alone_is_refused() {
        assert!(Remote::new("s3://b/in/", None).expect_err("a folder").message().contains("add a pattern"));
    }
}
