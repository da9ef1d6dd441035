//! The scripts that start and end servers; where those of this run are they know from the environment (`scripts/torture.sh`).

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// The folder of the project's sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is two folders deep").to_owned()
}

/// Runs `scripts/services/<script>` with these words, which must do well; returns what it printed.
pub(crate) async fn run(script: &str, words: &[&str]) -> String {
    run_with(script, words, &[]).await
}

/// The same with further variables.
pub(crate) async fn run_with(script: &str, words: &[&str], variables: &[(&str, String)]) -> String {
    let path = sources().join("scripts/services").join(script);
    let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let output = Command::new(path).args(words).envs(variables).output().await.expect("the script runs");
    assert!(output.status.success(), "{script} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
