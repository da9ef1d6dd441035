//! The typed flow: the schema of each topic, through each pipeline, to each target, before anything runs.

use std::collections::BTreeMap;

use millrace_model::{Code, Schema};

use super::finding::Finding;
use super::kind::Kind;
use super::sections::{Delivery, Key, OnError, Output};

mod check;
mod fit;
mod keys;
mod names;
mod order;
mod parking;
mod schema_files;
mod settings;

pub use fit::misfits;
pub use names::named_after;
mod unions;
mod usage;

pub(super) use check::check;

/// A pipeline as the flow sees it; the configuration of each service's pipelines is one. `C` is a connection.
pub trait Pipeline<C> {
    /// The topic that it reads.
    fn input(&self) -> Option<&str> {
        None
    }

    /// Where its records go in Kafka.
    fn output(&self) -> Option<&Output> {
        None
    }

    /// The topic of records that can't be processed.
    fn dead_letters(&self) -> &str;

    /// What a crash may do to the output.
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    /// What becomes of a record that can't be processed.
    fn on_error(&self) -> OnError {
        OnError::DeadLetter
    }

    /// What it takes for itself, or shares with care, such as a path of the push gateway or a table.
    fn claims(&self, _context: &Context<'_, C>) -> Vec<Claim> {
        Vec::new()
    }

    /// The names of the connections that it uses.
    fn connections(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Types the pipeline, given the schema of the topic that it reads.
    fn types(&self, context: &Context<'_, C>, input: Option<&Schema>) -> Types;

    /// What is wrong if its records go out by that schema.
    fn misfits(&self, _context: &Context<'_, C>, _output: &Schema) -> Vec<Problem> {
        Vec::new()
    }
}

/// What a pipeline may look at to type itself.
#[derive(Debug)]
pub struct Context<'a, C> {
    /// The project's name.
    pub project: &'a str,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The project's connections.
    pub connections: &'a BTreeMap<String, C>,
}

/// What typing a pipeline gave.
#[derive(Debug, Default)]
pub struct Types {
    /// The schema of what comes out of its steps, if it is they who decide that.
    pub output: Option<Schema>,
    /// The columns of the table that it loads.
    pub target: Vec<TargetColumn>,
    /// What does not fit, and what its owner should know.
    pub problems: Vec<Problem>,
}

impl From<Problem> for Types {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], ..Self::default() }
    }
}

/// A column of a table that a pipeline loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetColumn {
    /// Its name.
    pub name: String,
    /// Its type in the target's SQL.
    pub sql_type: String,
    /// Whether it takes null.
    pub nullable: bool,
}

/// What a pipeline takes for itself, or shares with care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it is, such as "the path `/orders`"; the same for all who claim it.
    pub what: String,
    /// The keys under the pipeline that it is written under.
    pub at: Vec<String>,
    /// Who else may have it.
    pub sharing: Sharing,
}

/// Whether two pipelines may claim the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sharing {
    /// None may beside this one, for this reason.
    Never(String),
    /// Another may, and their owner should know this.
    Known(String),
}

/// What is wrong with a pipeline, and where in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// What was found; its place is still to be told.
    pub(super) finding: Finding,
    pub(super) at: Vec<String>,
    pub(super) inside: Option<(u32, u32)>,
}

impl Problem {
    /// An error at the keys `at` under the pipeline; an index of a list is a key too.
    pub fn error<S: ToString>(code: Code, at: &[S], message: impl Into<String>) -> Self {
        Self { finding: Finding::error(code, message), at: at.iter().map(ToString::to_string).collect(), inside: None }
    }

    /// A warning there.
    pub fn warning<S: ToString>(code: Code, at: &[S], message: impl Into<String>) -> Self {
        Self { finding: Finding::warning(code, message), ..Self::error(code, at, "") }
    }

    /// The same, of that kind.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        Self { finding: self.finding.kind(kind), ..self }
    }

    /// The same with what was expected instead: it follows the word "expected".
    #[must_use]
    pub fn expected(self, expected: impl Into<Option<String>>) -> Self {
        Self { finding: self.finding.expected(expected), ..self }
    }

    /// The same with the one of `known` that `name` was probably meant to be, or with all of them as `what` (such as "columns").
    #[must_use]
    pub fn meant<'a>(self, name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { finding: self.finding.meant(name, what, known), ..self }
    }

    /// The same with the name that was probably meant, unless there is none.
    #[must_use]
    pub fn suggestion(self, name: impl Into<Option<String>>) -> Self {
        Self { finding: self.finding.suggestion(name), ..self }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<Option<String>>) -> Self {
        Self { finding: self.finding.help(help), ..self }
    }

    /// The same, at a line and column (from 1) of the text that is there.
    #[must_use]
    pub fn inside(mut self, place: impl Into<Option<(u32, u32)>>) -> Self {
        self.inside = place.into();
        self
    }
}

/// A project's topics and pipelines with their schemas.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// Every topic that is declared with a schema, read or written, by name.
    pub topics: BTreeMap<String, TypedTopic>,
    /// Every pipeline, by name: names are unique over all sections.
    pub pipelines: BTreeMap<String, TypedPipeline>,
}

/// A topic and what its records are.
#[derive(Debug, Clone)]
pub struct TypedTopic {
    /// The schema of its values.
    pub schema: Schema,
    /// The columns of its keys, where they are known.
    pub key: Option<Key>,
    /// The pipelines that write it.
    pub writers: Vec<String>,
}

impl TypedTopic {
    fn new(schema: Schema, key: Option<Key>) -> Self {
        Self { schema, key, writers: Vec::new() }
    }
}

/// A pipeline and the schemas at both of its ends.
#[derive(Debug, Clone)]
pub struct TypedPipeline {
    /// The section of the project file that it is in: `ingest`, `transform` or `load`.
    pub section: &'static str,
    /// The topic that it reads and the schema to read it with.
    pub input: Option<(String, Schema)>,
    /// The topic that it writes and the schema to write it with.
    pub output: Option<(String, Schema)>,
    /// Whether a file declares that schema: else it is what the steps make.
    pub output_declared: bool,
    /// The columns that it makes the key of; without them a key is passed on as it is.
    pub key: Option<Key>,
    /// The columns of the table that it loads.
    pub target: Vec<TargetColumn>,
}
