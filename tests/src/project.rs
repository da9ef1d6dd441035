//! A project in a folder of its own, with topics and tables that no other test has.

use std::fs;
use std::path::{Path, PathBuf};

use rand::Rng as _;
use tempfile::TempDir;

use crate::Servers;

/// A project's folder. Its name is unique, and so is everything that is named after it: topics (write them as
/// `{name}.raw`), consumer groups, the database schema.
#[derive(Debug)]
pub struct Project {
    name: String,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Project {
    /// A project for `servers` whose pipelines are `pipelines`, YAML in which `{name}` stands for the project's name.
    /// Kafka, the registry and the connection `warehouse` (PostgreSQL, in a schema of the project's name) are there already.
    pub fn new(servers: &Servers, pipelines: &str) -> Self {
        let mut project = Self::alone(&(HEAD.to_owned() + pipelines));
        project.environment.extend(addresses(servers));
        project
    }

    /// A project of which `file` is all, and which is told of no server: one for `millrace dev`.
    pub fn alone(file: &str) -> Self {
        let name = format!("t{:08x}", rand::rng().random::<u32>());
        let folder = tempfile::tempdir().expect("a folder for the project");
        let environment = vec![("MILLRACE_INSTANCE", name.clone()), ("RUST_LOG", "info".to_owned())];
        let project = Self { name, folder, environment };
        project.write(FILE, file);
        project
    }

    /// Replaces a text of the project file; services see it when they start again.
    pub fn change(&self, from: &str, to: &str) {
        let file = fs::read_to_string(self.folder().join(FILE)).expect("the project file");
        assert!(file.contains(from), "the project file has no {from}:\n{file}");
        self.write(FILE, file.replace(from, to));
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic `<name>.<what>`.
    pub fn topic(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a process of the project finds in its environment: where the project is, and what the project file names by `${…}`.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let place = self.folder().to_str().expect("a folder's name is text").to_owned();
        self.environment.iter().cloned().chain([("MILLRACE_PROJECT", place)]).collect()
    }

    /// The same project with another value for a variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Writes a file of the project at once: who reads the folder sees all of it or nothing. `{name}` is replaced.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let target = self.folder().join(path);
        let folder = target.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("a folder for the file");
        let draft = self.folder().join(".draft");
        fs::write(&draft, self.named(content.as_ref())).expect("the file is written");
        fs::rename(&draft, &target).expect("the file is put in its place");
        target
    }

    fn named(&self, content: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(content) {
            Ok(text) => text.replace("{name}", &self.name).into_bytes(),
            Err(_) => content.to_vec(),
        }
    }
}

const FILE: &str = "millrace.yaml";

const HEAD: &str = r#"
version: 1
name: "{name}"
kafka: { brokers: "${KAFKA_BROKERS}" }
registry: { url: "${SCHEMA_REGISTRY_URL}" }
connections:
  warehouse:
    type: postgres
    host: "${DW_HOST}"
    port: "${DW_PORT}"
    database: "${DW_DATABASE}"
    user: "${DW_USER}"
    password: "${DW_PASSWORD}"
    schema: "{name}"
"#;

fn addresses(servers: &Servers) -> [(&'static str, String); 7] {
    let database = &servers.postgres;
    [
        ("KAFKA_BROKERS", servers.kafka.clone()),
        ("SCHEMA_REGISTRY_URL", servers.registry.clone()),
        ("DW_HOST", database.host_str().expect("a host").to_owned()),
        ("DW_PORT", database.port().unwrap_or(5432).to_string()),
        ("DW_DATABASE", database.path().trim_start_matches('/').to_owned()),
        ("DW_USER", database.username().to_owned()),
        ("DW_PASSWORD", database.password().unwrap_or_default().to_owned()),
    ]
}
