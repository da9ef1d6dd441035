//! What a running `millrace dev` leaves for the other commands: the addresses of its servers, and its warehouses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use millrace_connectors::Connection;
use serde::{Deserialize, Serialize};

/// By which the project's other commands find what `millrace dev` has built in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Left {
    /// The variables that name its servers.
    pub(crate) variables: BTreeMap<String, String>,
    /// The connections that a warehouse of this machine stands in for.
    pub(crate) warehouses: BTreeSet<String>,
}

impl Left {
    /// Puts the warehouses in the place of the project's connections.
    pub(crate) fn put_warehouses(&self, folder: &Path, connections: &mut BTreeMap<String, Connection>) {
        for (name, connection) in connections.iter_mut().filter(|(name, _)| self.warehouses.contains(*name)) {
            *connection = Connection::embedded(&self::folder(folder).join(format!("{name}.db")));
        }
    }
}

/// What a running `millrace dev` is, in a file in the project's folder that is removed when this is dropped.
pub(crate) struct DevState {
    path: PathBuf,
}

impl DevState {
    /// Leaves what was found out in the project's folder.
    pub(crate) fn leave(folder: &Path, left: &Left) -> anyhow::Result<Self> {
        let path = file(folder);
        let text = serde_json::to_string_pretty(&serde_json::json!({ "process": std::process::id(), "left": left }))?;
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for DevState {
    fn drop(&mut self) {
        // Nothing is lost: a file that stays names a process that is gone, and is not read.
        std::fs::remove_file(&self.path).ok();
    }
}

/// The folder that keeps what Millrace needs between runs on this machine.
pub(crate) fn folder(project: &Path) -> PathBuf {
    project.join(".millrace")
}

fn file(project: &Path) -> PathBuf {
    folder(project).join("dev.json")
}

/// What the `millrace dev` that runs the project in `folder` now has left; nothing when none does.
pub(crate) fn left(project: &Path) -> Left {
    let read = || {
        let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file(project)).ok()?).ok()?;
        let alive = Path::new("/proc").join(state["process"].as_u64()?.to_string()).exists();
        alive.then(|| serde_json::from_value(state["left"].clone()).ok())?
    };
    read().unwrap_or_default()
}
