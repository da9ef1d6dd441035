//! A store that outlives its process, if it is to.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Error;
use super::answer::Refusal;
use super::store::Store;

const FILE: &str = "registry.json";

/// The store and the file it is kept in. Clones share both.
#[derive(Debug, Clone)]
pub(super) struct Kept(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    file: Option<PathBuf>,
}

impl Kept {
    /// What the folder keeps, or an empty store.
    pub(super) async fn open(data_dir: Option<PathBuf>) -> Result<Self, Error> {
        let Some(dir) = data_dir else { return Ok(Self(Arc::new(Shared { store: Mutex::default(), file: None }))) };
        let path = dir.join(FILE);
        let opened = blocking(move || open(&dir)).await;
        match opened {
            Ok(store) => Ok(Self(Arc::new(Shared { store: Mutex::new(store), file: Some(path) }))),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// Reads from the store.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Store) -> T) -> T {
        read(&self.lock())
    }

    /// Changes the store, durably before it returns. A change that is refused, or can't be written, changes nothing.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Store) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let kept = self.clone();
        let changed = tokio::task::spawn_blocking(move || kept.change_now(change)).await;
        changed.unwrap_or_else(|error| Err(Refusal::store(&error.to_string())))
    }

    fn change_now<T>(&self, change: impl FnOnce(&mut Store) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut store = self.lock();
        let mut changed = store.clone();
        let result = change(&mut changed)?;
        if let Some(file) = self.0.file.as_ref().filter(|_| changed != *store) {
            write(file, &changed).map_err(|error| Refusal::store(&error.to_string()))?;
        }
        *store = changed;
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn open(dir: &Path) -> io::Result<Store> {
    fs::create_dir_all(dir)?;
    match fs::read(dir.join(FILE)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Store::default()),
        Err(error) => Err(error),
    }
}

/// Beside the file first and then in its place, so that a crash leaves the one or the other, whole.
fn write(path: &Path, store: &Store) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = File::create(&beside)?;
    serde_json::to_writer_pretty(&mut file, store)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
