//! The folder of a table: its files by their paths below it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use millrace_model::{Code, Fault, Result};
use millrace_runtime::resilience::Link;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::io::AsyncWriteExt as _;

use super::config::Config;
use super::fault::{fault, local};
use crate::objects::{self, StoreUrl};

/// The folder of one table.
#[derive(Debug, Clone)]
pub(super) struct Place {
    store: Arc<dyn ObjectStore>,
    /// The table's folder, as the store knows it.
    folder: Path,
    /// For people: `s3://bucket/lake/orders`.
    name: String,
    /// The lake's folder on this machine, where it is one: there, what is done is made durable. An object store sees to its link by itself.
    machine: Option<Machine>,
}

/// A folder of this machine, and the way to it.
#[derive(Debug, Clone)]
struct Machine {
    folder: PathBuf,
    link: Link,
}

impl Place {
    /// The folder of `table`. Makes nothing; a lake on this machine that does not exist is none.
    pub(super) fn find(config: &Config, table: &str) -> Result<Option<Self>> {
        match config.url.path() {
            Some(folder) if !folder.exists() => Ok(None),
            _ => Self::open(config, table).map(Some),
        }
    }

    /// The same; the folder of a lake on this machine is made.
    pub(super) fn make(config: &Config, table: &str) -> Result<Self> {
        if let Some(folder) = config.url.path() {
            std::fs::create_dir_all(folder).map_err(|error| local(&format!("making the folder {}", folder.display()), error))?;
        }
        Self::open(config, table)
    }

    fn open(config: &Config, table: &str) -> Result<Self> {
        let name = format!("{}/{table}", config.url.as_str().trim_end_matches('/'));
        if let Some(folder) = config.url.path() {
            let store =
                LocalFileSystem::new_with_prefix(folder).map_err(|error| fault(&format!("opening {}", folder.display()), &error))?;
            let machine = Machine { folder: folder.to_owned(), link: config.link().clone() };
            return Ok(Self { store: Arc::new(store), folder: Path::from(table), name, machine: Some(machine) });
        }
        let url = StoreUrl::parse(config.url.as_str())?;
        let store = objects::open_by(config.link().clone(), &url, config.store.as_ref())?;
        Ok(Self { store, folder: Path::from(format!("{}/{table}", url.key)), name, machine: None })
    }

    /// The place for people, without credentials.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes a request that may be made twice.
    async fn ask<T, W: Future<Output = Result<T>>>(&self, request: impl Fn() -> W) -> Result<T> {
        match &self.machine {
            Some(machine) => machine.link.ask(&[()], |()| request()).await,
            None => request().await,
        }
    }

    /// Makes one that is made once.
    async fn step<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.machine {
            Some(machine) => machine.link.step(request).await,
            None => request.await,
        }
    }

    /// Where a file is; its path is as the store has it, with percent signs for what no name has as it is.
    fn path(&self, file: &str) -> Path {
        let path = format!("{}/{file}", self.folder);
        Path::parse(&path).unwrap_or_else(|_| Path::from(path))
    }

    fn failed(&self, doing: &str, file: &str, error: &Error) -> Fault {
        fault(&format!("{doing} {}/{file}", self.name), error)
    }

    /// What is in a file; none where there is none.
    pub(super) async fn get(&self, file: &str) -> Result<Option<Bytes>> {
        self.ask(|| self.get_once(file)).await
    }

    async fn get_once(&self, file: &str) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&self.path(file)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("reading", file, &error)),
        }
    }

    /// Puts a file where there is none: `false` says that there is one, which may be of this very call. Durable when it is there.
    pub(super) async fn put_new(&self, file: &str, content: &Bytes) -> Result<bool> {
        self.ask(|| self.put_new_once(file, content.clone())).await
    }

    async fn put_new_once(&self, file: &str, content: Bytes) -> Result<bool> {
        if let Some(machine) = &self.machine {
            let target = machine.folder.join(self.path(file).as_ref());
            let put = blocking(move || durable::put_new(&target, &content)).await?;
            return put.map_err(|error| local(&format!("writing {}/{file}", self.name), error));
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(file), PutPayload::from(content), options).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("writing", file, &error)),
        }
    }

    /// Puts a file, whether or not there is one.
    pub(super) async fn put(&self, file: &str, content: &Bytes) -> Result<()> {
        self.ask(|| self.put_once(file, content.clone())).await
    }

    async fn put_once(&self, file: &str, content: Bytes) -> Result<()> {
        let put = self.store.put(&self.path(file), PutPayload::from(content)).await;
        put.map_err(|error| self.failed("writing", file, &error))?;
        self.settle(file).await
    }

    /// A new file, to be written part by part.
    pub(super) fn begin(&self, file: String) -> Upload {
        let writer = BufWriter::new(Arc::clone(&self.store), self.path(&file));
        Upload { place: self.clone(), file, writer }
    }

    /// The files whose paths begin with a folder, those only that come after `after`; paths are below the table's folder.
    pub(super) async fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<(String, ObjectMeta)>> {
        self.ask(|| self.list_once(folder, after)).await
    }

    async fn list_once(&self, folder: &str, after: Option<&str>) -> Result<Vec<(String, ObjectMeta)>> {
        let prefix = if folder.is_empty() { self.folder.clone() } else { self.path(folder) };
        let listed = match after {
            Some(after) => self.store.list_with_offset(Some(&prefix), &self.path(after)),
            None => self.store.list(Some(&prefix)),
        };
        let found: Vec<ObjectMeta> = match listed.try_collect().await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(self.failed("listing", folder, &error)),
        };
        let below = format!("{}/", self.folder);
        let named = found.into_iter().filter_map(|meta| Some((meta.location.as_ref().strip_prefix(&below)?.to_owned(), meta)));
        let mut named: Vec<_> = named.collect();
        named.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(named)
    }

    /// Deletes a file; one that is gone is done with.
    pub(super) async fn delete(&self, file: &str) -> Result<()> {
        self.ask(|| self.delete_once(file)).await
    }

    async fn delete_once(&self, file: &str) -> Result<()> {
        match self.store.delete(&self.path(file)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("deleting", file, &error)),
        }
    }

    /// Makes what was written to this machine durable; an object is when it is there.
    async fn settle(&self, file: &str) -> Result<()> {
        let Some(machine) = &self.machine else { return Ok(()) };
        let (lake, target) = (machine.folder.clone(), machine.folder.join(self.path(file).as_ref()));
        let synced = blocking(move || durable::sync(&target, &lake)).await?;
        synced.map_err(|error| local(&format!("writing {}/{file}", self.name), error))
    }
}

/// A file that is being written. It is nowhere until it is finished; what is dropped before leaves at most parts that a store's own
/// rules for unfinished uploads take away.
pub(super) struct Upload {
    place: Place,
    file: String,
    writer: BufWriter,
}

impl Upload {
    pub(super) async fn put(&mut self, part: Vec<u8>) -> Result<()> {
        let Self { place, file, writer } = self;
        let put = async { writer.put(Bytes::from(part)).await.map_err(|error| place.failed("writing", file, &error)) };
        place.step(put).await
    }

    /// The file is there, durably, when this returns; its path is below the table's folder.
    pub(super) async fn finish(self) -> Result<String> {
        let Self { place, file, mut writer } = self;
        let failed = |error: std::io::Error| {
            let source = error.downcast::<Error>().unwrap_or_else(|error| Error::Generic { store: "lake", source: error.into() });
            place.failed("writing", &file, &source)
        };
        place.step(async { writer.shutdown().await.map_err(failed) }).await?;
        place.settle(&file).await?;
        Ok(file)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::fatal(Code::Internal, "writing files panicked").because(error))
}

/// Files of this machine that outlive its power.
mod durable {
    use std::fs::File;
    use std::io::{Error, ErrorKind, Result, Write as _};
    use std::path::Path;

    use tempfile::NamedTempFile;

    /// Puts a file where there is none, all of it or nothing.
    pub(super) fn put_new(target: &Path, content: &[u8]) -> Result<bool> {
        let folder = target.parent().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        std::fs::create_dir_all(folder)?;
        let mut draft = NamedTempFile::with_prefix_in(".draft-", folder)?;
        draft.write_all(content)?;
        readable(draft.as_file())?;
        draft.as_file().sync_all()?;
        match draft.persist_noclobber(target) {
            Ok(_) => {}
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error.error),
        }
        File::open(folder)?.sync_all()?;
        Ok(true)
    }

    /// A draft is its owner's alone; a table's files are as readable as other files.
    fn readable(file: &File) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
    }

    /// Makes a file that is there durable, and the folders that it is in, up to the lake's.
    pub(super) fn sync(target: &Path, lake: &Path) -> Result<()> {
        File::open(target)?.sync_all()?;
        let mut folders = target.ancestors().skip(1).take_while(|folder| folder.starts_with(lake));
        folders.try_for_each(|folder| File::open(folder)?.sync_all())
    }
}
