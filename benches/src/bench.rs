//! What a job is given: the binary to measure, and the processes that it is made of.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kafka::server;

/// A run of the benches.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The `millrace` under measurement.
    pub(crate) binary: PathBuf,
    /// How many records a job has.
    pub(crate) records: u64,
    /// Whether other products are measured too.
    pub(crate) peers: bool,
}

impl Bench {
    /// The binary running a service of a project in `benches/projects`. Its admin port is a free one unless the caller sets `MILLRACE_ADMIN`.
    pub(crate) fn service(&self, service: &str, project: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.binary);
        command.args(["run", service, "--project"]).arg(folder("projects").join(project)).args(["--log", "warn"]);
        command.env("KAFKA_BROKERS", server("MILLRACE_TEST_KAFKA")?).env("SCHEMA_REGISTRY_URL", server("MILLRACE_TEST_REGISTRY")?);
        command.env("MILLRACE_ADMIN", "127.0.0.1:0").env("MILLRACE_INSTANCE", "bench");
        Ok(command)
    }

    /// A part of these benches (see [`crate::parts`]) in a process of its own.
    pub(crate) fn part(name: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["part", name]).args(arguments);
        Ok(command)
    }
}

/// A folder of `benches/`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
