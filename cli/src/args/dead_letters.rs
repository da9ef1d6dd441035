//! The command line of `millrace dead-letters`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use millrace_surgery::id::LetterId;
use millrace_surgery::rate::Rate;

use super::{Project, host_name};

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// One line for each: where it comes from, where it failed, and why.
    List {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        settled: Settled,
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// All of one: the original record and everything said of it.
    Show {
        /// Which one, as `list` prints it: `[TOPIC:]PARTITION:OFFSET`.
        id: LetterId,
        #[command(flatten)]
        project: Project,
        /// Read these topics instead of the project's, such as a dead-letter queue of Kafka Connect.
        #[arg(long = "topic", value_name = "TOPIC")]
        topics: Vec<String>,
    },
    /// How many there are, by pipeline, code, stage and hour.
    Stats {
        #[command(flatten)]
        project: Project,
        #[command(flatten)]
        filter: Filter,
        /// Print JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Send records on their way again, as they were or mended, each exactly once.
    Replay(Box<Replay>),
    /// Mark letters as not needed. Nothing is deleted.
    Discard(Discard),
    /// Write letters to a file or folder, which `replay --from` reads.
    Export(Export),
}

/// Which letters are looked at.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only those of this pipeline.
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Only those of which this SQL condition is true. It may use pipeline, stage, code, message, topic, partition, offset, at and key,
    /// and the columns of the value, as `name` or `value.name`.
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) condition: Option<String>,
    /// Read these topics instead of the project's, such as a dead-letter queue of Kafka Connect.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
}

/// Whether settled letters are among them.
#[derive(Debug, Args)]
pub(crate) struct Settled {
    /// Only those that are settled: replayed or discarded.
    #[arg(long, conflicts_with = "all")]
    pub(crate) resolved: bool,
    /// Those that are settled too.
    #[arg(long)]
    pub(crate) all: bool,
}

/// Which letters something is done to.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Which, as `list` prints them: `[TOPIC:]PARTITION:OFFSET`.
    pub(crate) ids: Vec<LetterId>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// All that nobody has settled.
    #[arg(long)]
    pub(crate) every: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) project: Project,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Take the letters from a file or folder that `export` wrote, mended or not, instead of from Kafka.
    #[arg(long, value_name = "PATH")]
    pub(crate) from: Option<PathBuf>,
    /// Mend each record: a JSON merge patch (RFC 7396) such as `{"amount": 5}`, or SQL assignments such as `amount = abs(amount)`.
    #[arg(long, value_name = "PATCH", conflicts_with = "value")]
    pub(crate) patch: Option<String>,
    /// Put the contents of this file in the place of each value: text for ingest, JSON for a pipeline that reads a topic.
    #[arg(long, value_name = "FILE")]
    pub(crate) value: Option<PathBuf>,
    /// Run the pipeline here and show what would come out; write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Send them through this pipeline instead of the one that rejected them.
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    pub(crate) through: Option<String>,
    /// Send the records to this topic as they are; every reader of it sees them.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: Option<String>,
    /// How fast: `100/s`, `600/m`.
    #[arg(long)]
    pub(crate) rate: Option<Rate>,
    /// Replay those that are settled too.
    #[arg(long)]
    pub(crate) again: bool,
    /// Replay letters of a load that has not passed their records too: for one that is stopped for good.
    #[arg(long)]
    pub(crate) unpassed: bool,
    /// Who does it; kept with the letter.
    #[arg(long, env = "MILLRACE_BY", default_value_t = who())]
    pub(crate) by: String,
    /// Print JSON lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    pub(crate) project: Project,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Why; kept with the letter.
    #[arg(long)]
    pub(crate) reason: String,
    /// Who does it; kept with the letter.
    #[arg(long, env = "MILLRACE_BY", default_value_t = who())]
    pub(crate) by: String,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) project: Project,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) settled: Settled,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    pub(crate) format: ExportFormat,
    /// The file, or the folder for raw files. JSON lines go to the standard output without it.
    #[arg(long, short, value_name = "PATH", required_if_eq_any([("format", "avro"), ("format", "raw")]))]
    pub(crate) output: Option<PathBuf>,
}

/// How letters are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON object a line.
    Json,
    /// One Avro container file.
    Avro,
    /// A folder with a file for each value and each key, and one for the rest.
    Raw,
}

/// The user and the machine.
fn who() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host_name())
}
