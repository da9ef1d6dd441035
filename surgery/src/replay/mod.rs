//! Letters back on their way, exactly once.
//!
//! ```text
//!  fence ─► marks read ─► for each letter, in the order of its key:
//!    restore what was left out ─► patch ─► the pipeline's own way ─► commit with the mark
//!                                             └─ rejected again: nothing is written, the later letters of its key wait
//! ```
//!
//! What a replay writes goes where the pipeline's own output goes and nowhere else: a transform's letter is taken through its steps in
//! this process, so that other readers of the input topic never see the record again. Into Kafka, the record and its mark are one
//! transaction. Into a table, the record and a position of its own are one transaction there; a mark that a crash kept back is made
//! up for from that position.
//!
//! Replays and discards of one pipeline's letters fence one another by a transactional id: the later one wins, and what the earlier
//! had not committed never was.

mod elsewhere;
mod entry;
pub(crate) mod fence;
mod order;
mod prepared;
mod rehearse;
mod run;
mod steps;
mod target;

use std::collections::BTreeMap;

use async_trait::async_trait;
use millrace_model::{Code, Fault, Record, Records, RecordsBuilder, Rejection, Result, Stage};
use millrace_runtime::dead_letters::{DeadLetter, Identity, Place, Resolution};
use millrace_runtime::kafka::Producer;

use crate::crash_points::MARK_AFTER;
use crate::patch::Patch;
use crate::rate::{Limiter, Rate};
use crate::{Route, Theatre};

pub use rehearse::{Rehearsed, rehearse};

/// How letters are replayed.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Who replays them.
    pub by: String,
    /// Where they go.
    pub way: Way,
    /// What is changed of each.
    pub patch: Option<Patch>,
    /// How fast; as fast as it goes without it.
    pub rate: Option<Rate>,
    /// Letters that are settled are replayed all the same.
    pub again: bool,
    /// Letters of a load are replayed though it has not passed their records, by its consumer group: for one that is stopped for good.
    pub unpassed: bool,
}

/// Where replayed records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Through the pipeline that rejected each.
    Own,
    /// Through the pipeline of that id (`<project>.<pipeline>`).
    Through(String),
    /// Into that topic, as they are; every reader of it sees them.
    Topic(String),
}

/// What became of a letter.
#[derive(Debug)]
pub enum Outcome {
    /// The record is where it says, and the letter marked.
    Replayed {
        /// The topic or table.
        to: String,
    },
    /// An earlier replay had brought the record there and was cut off before its mark; the letter is marked now.
    AlreadyThere {
        /// The table.
        to: String,
    },
    /// It had been settled before; nothing was done.
    Settled(Resolution),
    /// The record was rejected again; nothing was written.
    Rejected(Stage, Rejection),
    /// It waits behind a letter of its key that could not be replayed.
    Behind(Place),
    /// It can't be replayed, and why.
    Impossible(Fault),
}

/// Replays letters, those of each pipeline in the order in which their records stood; tells of each as it is done.
///
/// # Errors
/// What cuts the replay off: Kafka, the registry or the target being away, or another replay that has taken over. What was told as
/// replayed is durable, everything else as it was: the same call again does the rest.
pub async fn replay(
    theatre: &Theatre,
    letters: Vec<DeadLetter>,
    orders: &Orders,
    mut tell: impl FnMut(&DeadLetter, Outcome),
) -> Result<()> {
    let limiter = Limiter::new(orders.rate);
    for (pipeline, letters) in by_pipeline(letters) {
        match theatre.way(&pipeline, &orders.way) {
            Some(way) => run::replay(theatre, &pipeline, &way, order::sorted(letters), orders, &limiter, &mut tell).await?,
            None => letters.iter().for_each(|letter| tell(letter, Outcome::Impossible(no_way(&pipeline, &orders.way)))),
        }
    }
    Ok(())
}

pub(crate) fn by_pipeline(letters: Vec<DeadLetter>) -> BTreeMap<String, Vec<DeadLetter>> {
    let mut by_pipeline: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
    for letter in letters {
        by_pipeline.entry(letter.said("pipeline").to_owned()).or_default().push(letter);
    }
    by_pipeline
}

/// The way that letters of one pipeline take.
enum Taken<'a> {
    Route(&'a str, &'a Route),
    Topic(&'a str),
}

impl Taken<'_> {
    fn end(&self) -> &str {
        match self {
            Self::Route(_, route) => route.end(),
            Self::Topic(topic) => topic,
        }
    }

    /// The topic that the records are read from, with its schema.
    fn input(&self) -> Option<(&str, &millrace_model::Schema)> {
        match self {
            Self::Route(_, Route::Transform(transform)) => Some((&transform.config.from, &transform.input)),
            Self::Route(_, Route::Load(load)) => Some((&load.config.from, &load.schema)),
            Self::Route(_, Route::Ingest(_)) | Self::Topic(_) => None,
        }
    }
}

impl Theatre {
    fn way<'a>(&'a self, pipeline: &'a str, way: &'a Way) -> Option<Taken<'a>> {
        let id = match way {
            Way::Topic(topic) => return Some(Taken::Topic(topic)),
            Way::Through(id) => id,
            Way::Own => pipeline,
        };
        self.routes.get_key_value(id).map(|(id, route)| Taken::Route(id, route))
    }
}

fn no_way(pipeline: &str, way: &Way) -> Fault {
    let id = if let Way::Through(id) = way { id } else { pipeline };
    let message = format!("the project has no pipeline `{id}`; say through which one the record is to go, or to which topic");
    Fault::operator(Code::NotReplayable, message)
}

/// Where records go, one transaction after the other.
#[async_trait(?Send)]
trait Destination {
    /// Which of the letters have been there already, though nothing is marked.
    async fn present(&mut self, _letters: &[DeadLetter]) -> Result<Vec<bool>> {
        Ok(Vec::new())
    }

    /// Brings the records there so that nobody sees them yet; returns what is rejected, by the index of the record. After a rejection
    /// or a fault it is to be abandoned.
    async fn attempt(&mut self, letters: &[DeadLetter], records: &std::sync::Arc<Records>) -> Result<Vec<(Stage, Rejection)>>;

    /// Makes them durable, with the marks.
    async fn commit(&mut self, marks: &[(Identity, Resolution)]) -> Result<()>;

    /// Gives up what was attempted.
    async fn abandon(&mut self) -> Result<()>;

    /// Marks alone.
    async fn mark(&mut self, marks: &[(Identity, Resolution)]) -> Result<()>;
}

/// What fell out, record by record with its stage.
fn each_rejected(rejected: Vec<(Stage, Vec<Rejection>)>) -> Vec<(Stage, Rejection)> {
    let each = |(stage, rejections): (Stage, Vec<Rejection>)| rejections.into_iter().map(move |rejection| (stage.clone(), rejection));
    rejected.into_iter().flat_map(each).collect()
}

/// Sends marks, in a transaction of the producer.
fn send_marks(producer: &mut Producer, marks: &[(Identity, Resolution)]) -> Result<()> {
    producer.begin()?;
    marks.iter().try_for_each(|(identity, mark)| millrace_runtime::dead_letters::mark(producer, identity, mark))?;
    MARK_AFTER.reached()
}

/// The original records of letters, as they were read.
fn originals<'a>(letters: impl ExactSizeIterator<Item = &'a DeadLetter>, topic: &str) -> Records {
    let mut records = RecordsBuilder::new(topic.into(), letters.len());
    for letter in letters {
        let record = Record {
            topic,
            partition: letter.partition().unwrap_or_default(),
            offset: letter.offset().unwrap_or_default(),
            timestamp: letter.timestamp,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &[],
        };
        records.push_with_headers(&record, letter.original_headers().cloned().collect());
    }
    records.finish()
}
