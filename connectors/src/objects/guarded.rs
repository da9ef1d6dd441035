//! A store behind a link: every request to it passes the breaker and the rate limit, has its time, and is counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use millrace_model::{Code, Fault};
use millrace_runtime::project::Resilience;
use millrace_runtime::resilience::{Link, System};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RenameOptions, Result,
};
use parking_lot::Mutex;

use super::fault::{is_passing, told};
use super::{ObjectStoreConfig, StoreUrl};

static STORE: System = System {
    name: "Object store",
    kind: "objects",
    unavailable: Code::StoreUnavailable,
    connect: Duration::from_secs(15),
    request: Duration::from_secs(30),
};

/// Of stores that only the environment says how to reach, by URL: all who use one share its link.
static OF_ENVIRONMENT: Mutex<BTreeMap<String, Resilience>> = Mutex::new(BTreeMap::new());

/// The way to the store that the URL is of.
pub(crate) fn link(url: &StoreUrl, config: Option<&ObjectStoreConfig>) -> Link {
    match config {
        Some(config) => link_of(config.resilience(), &url.base),
        None => link_of(OF_ENVIRONMENT.lock().entry(url.base.clone()).or_default(), &url.base),
    }
}

/// The way to the store that goes by `name`.
fn link_of(resilience: &Resilience, name: &str) -> Link {
    resilience.name(name);
    resilience.link(&STORE).clone()
}

/// A store behind its link.
pub(super) fn guarded_by(link: Link, store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(Guarded { store, link })
}

/// A store behind a link. The client repeats by itself; what comes out of it has failed for good.
#[derive(Debug)]
struct Guarded<S> {
    store: S,
    link: Link,
}

impl<S> Guarded<S> {
    async fn call<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        guarded(&self.link, self.link.answer_within(), work).await
    }
}

/// One request. One that sends much has a second more for each megabyte.
async fn guarded<T>(link: &Link, within: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let call = link.admit().await.map_err(of_fault)?;
    let started = Instant::now();
    let done = match tokio::time::timeout(within, work).await {
        Ok(done) => done,
        Err(_) => Err(of_fault(link.no_answer_within(within))),
    };
    match &done {
        Err(error) if is_passing(error) => call.failed(started.elapsed(), told(error)),
        _ => call.answered(started.elapsed()),
    }
    done
}

fn of_fault(fault: Fault) -> Error {
    Error::Generic { store: "millrace", source: fault.into() }
}

fn sending(link: &Link, payload: &PutPayload) -> Duration {
    link.answer_within() + Duration::from_secs(payload.content_length() as u64 >> 20)
}

impl<S: fmt::Display> fmt::Display for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Guarded<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let within = sending(&self.link, &payload);
        guarded(&self.link, within, self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.call(self.store.put_multipart_opts(location, options)).await?;
        Ok(Box::new(GuardedUpload { upload, link: self.link.clone() }))
    }

    /// The answer is the head; how long the body may be silent is its reader's matter.
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.call(self.store.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.call(self.store.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        first_guarded(&self.link, self.store.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        first_guarded(&self.link, self.store.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        first_guarded(&self.link, self.store.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(self.store.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.call(self.store.rename_opts(from, to, options)).await
    }
}

/// A stream whose first item is a request's answer.
fn first_guarded<T: Send + 'static>(link: &Link, items: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
    // One without a first item is at its end, and is asked once more all the same.
    let (link, mut items) = (link.clone(), items.fuse());
    let begun = async move {
        let first = guarded(&link, link.answer_within(), async { items.next().await.transpose() }).await?;
        Ok::<_, Error>(stream::iter(first.map(Ok)).chain(items))
    };
    stream::once(begun).try_flatten().boxed()
}

#[derive(Debug)]
struct GuardedUpload {
    upload: Box<dyn MultipartUpload>,
    link: Link,
}

#[async_trait]
impl MultipartUpload for GuardedUpload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        let (link, within) = (self.link.clone(), sending(&self.link, &data));
        let part = self.upload.put_part(data);
        Box::pin(async move { guarded(&link, within, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        guarded(&self.link, self.link.answer_within(), self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        guarded(&self.link, self.link.answer_within(), self.upload.abort()).await
    }
}
