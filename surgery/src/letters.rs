//! The dead letters of a project's topics, each identity once, with what settled it.

use std::collections::BTreeSet;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::dead_letters::{self, DeadLetter, Resolution, once_each};
use millrace_runtime::kafka::{Cluster, topics};
use millrace_runtime::parking;
use millrace_runtime::parking::entry::Parked;

/// A dead letter, and its mark when it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The dead letter.
    pub letter: DeadLetter,
    /// What settled it; `None` while it waits.
    pub resolution: Option<Resolution>,
    /// How many later records of its key wait until it is settled (`on_error: park_key`).
    pub behind: u64,
}

/// Which topics are read.
#[derive(Debug, Clone)]
pub enum Topics {
    /// Those of the project's pipelines, as far as they exist.
    OfTheProject(Vec<String>),
    /// Those that someone asks for; they must exist. Kafka Connect's dead-letter queues are read this way.
    Named(Vec<String>),
}

/// Every dead letter of the topics, in the order in which records were rejected.
///
/// # Errors
/// [`Code::KafkaTopicMissing`] for a named topic that does not exist; else those of reading Kafka.
pub async fn read(cluster: &Cluster, wanted: &Topics) -> Result<Vec<Letter>> {
    let mut letters = Vec::new();
    for topic in existing(cluster, wanted).await? {
        letters.extend(dead_letters::read(cluster, &topic).await?);
    }
    with_marks(cluster, once_each(letters)).await
}

/// The same letters with their marks.
pub async fn with_marks(cluster: &Cluster, letters: Vec<DeadLetter>) -> Result<Vec<Letter>> {
    let marks = dead_letters::resolutions_now(cluster).await?;
    let behind = parking::behind(&parking::read_now(cluster).await?);
    let marked = letters.into_iter().map(|letter| {
        let resolution = marks.of(&letter).cloned();
        let behind = record_of(&letter).and_then(|record| behind.get(&record)).copied().unwrap_or_default();
        Letter { letter, resolution, behind }
    });
    Ok(marked.collect())
}

/// Where the letter's record stood, if it was read from a topic.
fn record_of(letter: &DeadLetter) -> Option<Parked> {
    let [pipeline, topic] = ["pipeline", "topic"].map(|name| letter.said(name).to_owned());
    Some(Parked { pipeline, topic, partition: letter.partition()?, offset: letter.offset()? })
}

async fn existing(cluster: &Cluster, wanted: &Topics) -> Result<Vec<String>> {
    let known: BTreeSet<String> = topics::list(cluster).await?.into_iter().map(|topic| topic.name).collect();
    match wanted {
        Topics::OfTheProject(names) => Ok(names.iter().filter(|name| known.contains(*name)).cloned().collect()),
        Topics::Named(names) => match names.iter().find(|name| !known.contains(*name)) {
            Some(missing) => Err(Fault::operator(Code::KafkaTopicMissing, format!("there is no topic {missing} to read dead letters of"))),
            None => Ok(names.clone()),
        },
    }
}
