//! The jobs, a file each.

pub(crate) mod load;
pub(crate) mod transform;

use std::path::Path;
use std::process::Command;

use crate::kafka::server;

/// The binary running a service of one of the benches' projects.
fn service(binary: &Path, service: &str, project: &str) -> anyhow::Result<Command> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects").join(project);
    let mut command = Command::new(binary);
    command.args(["run", service, "--project"]).arg(project).args(["--log", "warn"]);
    command.env("KAFKA_BROKERS", server("MILLRACE_TEST_KAFKA")?).env("SCHEMA_REGISTRY_URL", server("MILLRACE_TEST_REGISTRY")?);
    command.env("MILLRACE_ADMIN", "127.0.0.1:0").env("MILLRACE_INSTANCE", "bench");
    Ok(command)
}
