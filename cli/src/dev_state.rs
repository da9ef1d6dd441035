//! What a running `millrace dev` leaves for the other commands: the addresses of its servers, and its warehouses.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use millrace_connectors::Connection;
use serde::{Deserialize, Serialize};

/// By which the project's other commands find what `millrace dev` has built in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct BuiltIn {
    /// The variables that name its servers.
    pub(crate) variables: BTreeMap<String, String>,
    /// The connections that a warehouse of this machine stands in for, with its file.
    pub(crate) warehouses: BTreeMap<String, PathBuf>,
}

impl BuiltIn {
    /// Puts the warehouses in the place of the project's connections.
    pub(crate) fn put_warehouses(&self, connections: &mut BTreeMap<String, Connection>) {
        for (name, file) in &self.warehouses {
            connections.insert(name.clone(), Connection::embedded(file));
        }
    }
}

/// The folder that keeps what Millrace needs between runs on this machine, held by one `millrace dev`.
pub(crate) struct DevState {
    folder: PathBuf,
    /// Locked as long as the process lives, however it ends.
    _lock: File,
}

impl DevState {
    /// Takes the folder of the project in `project`, which no other `millrace dev` may have.
    pub(crate) fn take(project: &Path) -> anyhow::Result<Self> {
        let folder = folder(project);
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let lock = File::create(lock_file(project)).with_context(|| format!("can't write in {}", folder.display()))?;
        // Other commands may run elsewhere.
        let folder = folder.canonicalize().with_context(|| format!("can't find {}", folder.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!("another `millrace dev` runs this project; end it first, or copy the project's folder"),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", folder.display())),
        }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder for warehouses: the same in each run, or an empty one for a run that keeps nothing.
    pub(crate) fn warehouses(&self, in_memory: bool) -> anyhow::Result<PathBuf> {
        if !in_memory {
            return Ok(self.folder.clone());
        }
        let folder = self.folder.join("in-memory");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        Ok(folder)
    }

    /// Leaves what was found out for the other commands.
    pub(crate) fn leave(&self, built_in: &BuiltIn) -> anyhow::Result<()> {
        let path = self.folder.join(FILE);
        fs::write(&path, serde_json::to_string_pretty(built_in)?).with_context(|| format!("can't write {}", path.display()))
    }
}

impl Drop for DevState {
    fn drop(&mut self) {
        // Nothing is lost: a file that stays beside an open lock is not read.
        fs::remove_file(self.folder.join(FILE)).ok();
    }
}

const FILE: &str = "dev.json";

fn folder(project: &Path) -> PathBuf {
    project.join(".millrace")
}

fn lock_file(project: &Path) -> PathBuf {
    folder(project).join("dev.lock")
}

/// What the `millrace dev` that runs the project in `project` now has built in; nothing when none does.
pub(crate) fn built_in(project: &Path) -> BuiltIn {
    let read = || {
        let lock = File::open(lock_file(project)).ok()?;
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)).then_some(())?;
        serde_json::from_str(&fs::read_to_string(folder(project).join(FILE)).ok()?).ok()
    };
    read().unwrap_or_default()
}
