//! What a running `millrace dev` leaves for the other commands: the addresses of its servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Variables by which the project's other commands find the servers of a running `millrace dev`; the file that holds them is
/// removed when this is dropped.
pub(crate) struct DevState {
    path: PathBuf,
}

impl DevState {
    /// Leaves `variables` in the project's folder.
    pub(crate) fn leave(folder: &Path, variables: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let path = file(folder);
        let text = serde_json::to_string_pretty(&serde_json::json!({ "process": std::process::id(), "variables": variables }))?;
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

/// The variables of the `millrace dev` that runs the project in `folder` now; none when none does.
pub(crate) fn variables(project: &Path) -> BTreeMap<String, String> {
    let read = || {
        let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file(project)).ok()?).ok()?;
        let alive = Path::new("/proc").join(state["process"].as_u64()?.to_string()).exists();
        alive.then(|| serde_json::from_value(state["variables"].clone()).ok())?
    };
    read().unwrap_or_default()
}
