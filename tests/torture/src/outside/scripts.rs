//! The scripts that start and end servers; where those of this run are they know from the environment (`scripts/torture.sh`).

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// The folder of the project's sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is two folders deep").to_owned()
}

/// Runs `scripts/services/<script>` with these words, which must do well; returns what it printed.
pub(crate) async fn run(script: &str, words: &[&str]) -> String {
    let (done, said) = attempt(script, words).await;
    assert!(done, "{script} {words:?}: {said}");
    said
}

/// The same for one that may say no.
pub(crate) async fn attempt(script: &str, words: &[&str]) -> (bool, String) {
    let path = sources().join("scripts/services").join(script);
    let output = Command::new(path).args(words).output().await.expect("the script runs");
    let out = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { (true, out) } else { (false, String::from_utf8_lossy(&output.stderr).into_owned()) }
}
