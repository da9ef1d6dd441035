//! The command line.

mod dead_letters;
mod positions;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use millrace_provision::Destroy;
use millrace_provision::infer::Format as InferFormat;
use millrace_runtime::project::Location;
use millrace_runtime::telemetry::LogFormat;

pub(crate) use positions::{Accept, Onset, Positions, PositionsCommand};

pub(crate) use dead_letters::{DeadLetters, DeadLettersCommand, Discard, Export, ExportFormat, Filter, Replay, Selection, Settled};

/// Moves data through Kafka, exactly once.
///
/// A project is a folder with a `millrace.yaml`: topics, and the pipelines that fill, transform and load them.
/// Check it, try it on this machine without any server, then run each service where it belongs.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, arg_required_else_help = true, after_help = FIRST_STEPS)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

const FIRST_STEPS: &str = "First steps:
  millrace check examples/flights     what is wrong with a project, before anything runs
  millrace dev examples/flights       run all of it here, with Kafka, registry and warehouse built in
  millrace query 'SELECT …'           ask the warehouse
  millrace dead-letters list          what could not be processed, and why";

/// How the process logs.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// How log lines look.
    #[arg(long, global = true, env = "MILLRACE_LOG_FORMAT", value_enum, default_value_t = Format::Human)]
    pub(crate) log_format: Format,
    /// What is logged, such as `info` or `millrace=debug,warn`.
    #[arg(long, global = true, env = "RUST_LOG")]
    pub(crate) log: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Human => Self::Human,
            Format::Json => Self::Json,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with a project: file, line, column, and what was meant. No server is asked but with --connected.
    Check(Check),
    /// Make the servers as the project says: topics, subjects and tables. Shows the plan first, and destroys nothing unasked.
    Apply(Apply),
    /// Run one service of a project until it is told to stop (SIGTERM commits what is in hand).
    Run(Run),
    /// Run a whole project on this machine, with Kafka, registry and warehouse built in.
    Dev(Dev),
    /// Ask a connection of the project in SQL and print the answer.
    Query(Query),
    /// Let a pipeline go on whose position its topic has nothing for any more.
    Positions(Positions),
    /// Look at topics and their records.
    Topics(Topics),
    /// Look at records that could not be processed, mend them and send them on their way again.
    DeadLetters(DeadLetters),
    /// Schemas of records: inferred, compared, pulled; and that of the project file, for editors.
    Schema(Schema),
}

/// Which project is meant.
#[derive(Debug, Args)]
pub(crate) struct Project {
    /// The project: a folder with YAML files, or one file.
    #[arg(long, short, env = "MILLRACE_PROJECT", default_value = ".")]
    pub(crate) project: PathBuf,
    #[command(flatten)]
    pub(crate) profile: Profile,
}

impl Project {
    pub(crate) fn location(&self) -> Location<'_> {
        self.profile.of(&self.project)
    }
}

/// Which values of the project are meant.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// The profile whose values lie over the project's own, such as `prod`.
    #[arg(long, env = "MILLRACE_PROFILE", value_name = "NAME")]
    profile: Option<String>,
}

impl Profile {
    /// The project at `path` by this profile. A variable that is set to nothing chooses none.
    pub(crate) fn of<'a>(&'a self, path: &'a Path) -> Location<'a> {
        Location { path, profile: self.profile.as_deref().filter(|name| !name.is_empty()) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The project: a folder with YAML files, or one file.
    #[arg(env = "MILLRACE_PROJECT", default_value = ".")]
    pub(crate) project: PathBuf,
    #[command(flatten)]
    pub(crate) profile: Profile,
    /// Print findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask the servers too: topics, rights, what the registry takes, tables.
    #[arg(long)]
    pub(crate) connected: bool,
}

#[derive(Debug, Args)]
#[command(after_help = APPLY_CODES)]
pub(crate) struct Apply {
    /// The project: a folder with YAML files, or one file.
    #[arg(env = "MILLRACE_PROJECT", default_value = ".")]
    pub(crate) project: PathBuf,
    #[command(flatten)]
    pub(crate) profile: Profile,
    /// Do it without asking.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print the plan as JSON, and with --yes what became of it. Nobody is asked.
    #[arg(long)]
    pub(crate) json: bool,
    /// Add partitions to this topic up to those that the project says: records of one key may then be in two partitions.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) add_partitions: Vec<String>,
    /// Destroy this, with all that is in it: topic:NAME, table:NAME or table:CONNECTION/NAME.
    #[arg(long, value_name = "WHAT")]
    pub(crate) destroy: Vec<Destroy>,
}

const APPLY_CODES: &str = "It ends with 0 when the servers are as the project says, 1 when something could not be done, and 2 when there is
something to do and nobody agreed to it.";

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Which service.
    #[arg(value_enum)]
    pub(crate) service: Service,
    #[command(flatten)]
    pub(crate) project: Project,
    /// Only these pipelines; all of the service's without it.
    #[arg(long = "pipeline")]
    pub(crate) pipelines: Vec<String>,
    /// End when everything that was there at the start is durable, with a summary: ingest of files and queries only. Status 1
    /// when something could not be read.
    #[arg(long)]
    pub(crate) once: bool,
    /// This process's stable name among its replicas; transactions and group membership go by it.
    #[arg(long, env = "MILLRACE_INSTANCE", default_value_t = host_name())]
    pub(crate) instance: String,
}

/// A service of Millrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// From outside into topics.
    Ingest,
    /// From topics through steps into topics.
    Transform,
    /// From topics into tables.
    Loader,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The project: a folder with YAML files, or one file.
    #[arg(env = "MILLRACE_PROJECT", default_value = ".")]
    pub(crate) project: PathBuf,
    #[command(flatten)]
    pub(crate) profile: Profile,
    /// Where the built-in Kafka listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) kafka: std::net::SocketAddr,
    /// Where the built-in schema registry listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub(crate) registry: std::net::SocketAddr,
    /// Load into the project's own connections instead of the built-in warehouse.
    #[arg(long)]
    pub(crate) own_connections: bool,
    /// Keep nothing: topics and schemas live in memory and end with the process.
    #[arg(long)]
    pub(crate) in_memory: bool,
    /// End when every record has gone its way and nothing has come for this long, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) until_idle: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The SQL, in the words of the target.
    pub(crate) sql: String,
    #[command(flatten)]
    pub(crate) project: Project,
    /// Which connection; needed when the project has several.
    #[arg(long, short)]
    pub(crate) connection: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Topics {
    #[command(subcommand)]
    pub(crate) command: TopicsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Every topic with its partitions and records.
    List {
        #[command(flatten)]
        project: Project,
    },
    /// Print a topic's records as JSON, and go on with those that come.
    Tail {
        /// The topic.
        topic: String,
        #[command(flatten)]
        project: Project,
        /// How many of the last records to begin with.
        #[arg(long, short = 'n', default_value_t = 10)]
        last: usize,
        /// End with the last record instead of waiting for more.
        #[arg(long)]
        no_follow: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    pub(crate) command: SchemaCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Print the project file's JSON Schema, or tell an editor of it.
    Project(ProjectSchema),
    /// Print the Avro schema of the records in a sample file.
    Infer(InferSchema),
    /// Say what differs between two Avro schemas, and whether each reads what the other wrote.
    Diff(DiffSchemas),
    /// Write the schemas that `schemas:` names, of subjects, tables and queries, into the project's folder.
    Pull(PullSchemas),
}

#[derive(Debug, Args)]
pub(crate) struct ProjectSchema {
    /// The project, for --editor.
    #[arg(env = "MILLRACE_PROJECT", default_value = ".")]
    pub(crate) project: PathBuf,
    /// Print the reference page of the project file in Markdown instead of its JSON Schema.
    #[arg(long)]
    pub(crate) reference: bool,
    /// Write the JSON Schema into the project's folder, and the setting by which this editor finds it.
    #[arg(long, value_enum, conflicts_with = "reference")]
    pub(crate) editor: Option<Editor>,
}

/// An editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Editor {
    /// Visual Studio Code with the YAML extension: `.vscode/settings.json`.
    Vscode,
    /// Any editor with the YAML language server: a first line in the project file.
    Modeline,
}

#[derive(Debug, Args)]
pub(crate) struct InferSchema {
    /// The sample: CSV, TSV, NDJSON, JSON, an Avro container or Parquet.
    pub(crate) file: PathBuf,
    /// Its format (csv, tsv, ndjson, json, avro, parquet); by the file's ending without it.
    #[arg(long)]
    pub(crate) format: Option<InferFormat>,
    /// The record's name; that of the file without it.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How many records are looked at.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) records: usize,
    /// A CSV field that means null, beside the empty one.
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = DIFF_NAMES)]
pub(crate) struct DiffSchemas {
    /// The older schema.
    pub(crate) a: String,
    /// The newer schema.
    pub(crate) b: String,
    #[command(flatten)]
    pub(crate) project: Project,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

const DIFF_NAMES: &str = "A schema is a file, subject:NAME or subject:NAME@VERSION of the project's registry, or topic:NAME of the project.
It ends with 0 when nothing differs and with 1 when something does.";

#[derive(Debug, Args)]
pub(crate) struct PullSchemas {
    #[command(flatten)]
    pub(crate) project: Project,
    /// Write nothing; end with 1 when something has changed.
    #[arg(long)]
    pub(crate) check: bool,
}

/// The default of `millrace.instance`.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "local".to_owned() } else { name.trim().to_owned() }
}
