//! The machine that figures were taken on, and the versions of what ran there.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::kafka::block_on;

/// Facts without which a figure says little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mb: u64,
    pub(crate) kernel: String,
    /// Of the last 1, 5 and 15 minutes, at the start of the run.
    pub(crate) load_average: String,
    pub(crate) kafka: String,
    pub(crate) postgres: String,
    pub(crate) librdkafka: String,
}

/// The commit whose tree was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) commit: String,
    /// Whether files differed from it.
    pub(crate) dirty: bool,
}

impl Machine {
    pub(super) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        Self {
            cpu: value(&cpu, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mb: value(&memory, "MemTotal").and_then(kilobytes).unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            kafka: kafka().unwrap_or_else(|| "unknown".to_owned()),
            postgres: postgres().unwrap_or_else(|| "unknown".to_owned()),
            librdkafka: rdkafka::util::get_rdkafka_version().1,
        }
    }
}

impl Commit {
    /// Of the tree that the benches were built from.
    pub(super) fn here() -> Self {
        let commit = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
        let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
        Self { commit, dirty: changes.is_none_or(|changes| !changes.is_empty()) }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The value of a line `name : value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

fn kilobytes(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Brokers don't tell their version; the folder of the jars that the services' scripts start has it in a name.
fn kafka() -> Option<String> {
    let libraries = fs::read_dir(std::env::var("MILLRACE_TEST_JAVA_KAFKA_LIBS").ok()?).ok()?;
    let mut names = libraries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.find_map(|name| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned()))
}

fn postgres() -> Option<String> {
    let options: PgConnectOptions = std::env::var("MILLRACE_TEST_POSTGRES").ok()?.parse().ok()?;
    block_on(async { sqlx::query_scalar("SHOW server_version").fetch_one(&mut options.connect().await.ok()?).await.ok() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_their_lines() {
        let memory = "MemTotal:       24684172 kB\nMemFree:        123 kB\n";
        assert_eq!(value(memory, "MemTotal").and_then(kilobytes), Some(24_684_172));
        assert_eq!(value("processor\t: 0\nmodel name\t: Some CPU: fast\n", "model name"), Some("Some CPU: fast"));
    }
}
