//! What a replay would do, without doing it: the pipeline runs on the record in this process, and nothing is written anywhere.

use std::sync::Arc;

use arrow::array::RecordBatch;
use millrace_ingest::reread::Reread;
use millrace_loader::parts::Action;
use millrace_loader::reading::Reading;
use millrace_loader::service::Load;
use millrace_model::{Batch, Fault, Origin, Records, Rejection, Result, Stage};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::formats::{Refusal, render};
use millrace_runtime::output::Writer;
use millrace_transform::passage::{Passage, Stepped};
use serde_json::Value;

use super::prepared::{Preparation, is_its_own};
use super::{Orders, Taken, by_pipeline, each_rejected, no_way, order, originals};
use crate::{Route, Theatre};

/// What would become of a letter.
#[derive(Debug)]
pub enum Rehearsed {
    /// These records would be written, or loaded.
    Written {
        /// The topic or table.
        to: String,
        /// The records, as JSON.
        records: Vec<Value>,
    },
    /// A record without a value would be written, or the row of its key deleted.
    Deleted {
        /// The topic or table.
        to: String,
    },
    /// A step would drop the record on purpose.
    Dropped,
    /// It would be rejected again.
    Rejected(Stage, Rejection),
    /// It can't be replayed, and why.
    Impossible(Fault),
}

/// Runs the pipelines on letters, each of them by the very code that a replay runs up to the point where it sends or stages: nothing is
/// written, and no schema is registered, though the registry is asked whether it would take it. A load's table is looked at by its schema
/// only: what the database alone knows (its constraints) is not tried.
///
/// # Errors
/// What would cut the replay off. What is one letter's trouble is its outcome, and the others go on.
pub async fn rehearse(theatre: &Theatre, letters: Vec<DeadLetter>, orders: &Orders) -> Result<Vec<(DeadLetter, Rehearsed)>> {
    let mut done = Vec::with_capacity(letters.len());
    for (pipeline, letters) in by_pipeline(letters) {
        let letters = order::sorted(letters);
        let Some(way) = theatre.way(&pipeline, &orders.way) else {
            done.extend(letters.into_iter().map(|letter| (letter, Rehearsed::Impossible(no_way(&pipeline, &orders.way)))));
            continue;
        };
        let mut stage = Rehearsal::open(theatre, &way).await?;
        let mut preparation = Preparation::new(theatre, &way, orders);
        for letter in letters {
            let rehearsed = match preparation.prepare(letter.clone()).await {
                Ok(prepared) => stage.play(theatre, &prepared, way.end()).await,
                Err(fault) => Err(fault),
            };
            let rehearsed = rehearsed.or_else(|fault| if is_its_own(&fault) { Ok(Rehearsed::Impossible(fault)) } else { Err(fault) })?;
            done.push((letter, rehearsed));
        }
    }
    Ok(done)
}

/// A pipeline without its ends.
enum Rehearsal<'a> {
    Topic,
    Ingest(Box<Reread>, Box<Writer>),
    Transform(Box<Passage>),
    Load(&'a Load, Box<Reading>),
}

impl<'a> Rehearsal<'a> {
    async fn open(theatre: &Theatre, way: &Taken<'a>) -> Result<Self> {
        let registry = theatre.registry.rehearsing();
        Ok(match way {
            Taken::Topic(_) => Self::Topic,
            Taken::Route(id, Route::Ingest(ingest)) => {
                let reread = Reread::open(ingest, &theatre.cluster, &registry, id).await?;
                let writer = Writer::open(&registry, &ingest.config.to.topic, &ingest.schema, &ingest.key).await?;
                Self::Ingest(Box::new(reread), Box::new(writer))
            }
            Taken::Route(_, Route::Transform(transform)) => Self::Transform(Box::new(Passage::open(transform, &registry).await?)),
            Taken::Route(_, Route::Load(load)) => Self::load(load)?,
        })
    }

    fn load(load: &'a Load) -> Result<Self> {
        let reading = Reading::new(&load.config, &load.schema)?;
        load.connection.check(&load.table, reading.table_schema())?;
        Ok(Self::Load(load, Box::new(reading)))
    }

    async fn play(&mut self, theatre: &Theatre, letter: &DeadLetter, to: &str) -> Result<Rehearsed> {
        let records = Arc::new(originals(std::iter::once(letter), letter.said("topic")));
        let played = match self {
            Self::Topic => return Ok(as_it_is(letter, to)),
            Self::Ingest(reread, writer) => entered(reread, writer, theatre, &records).await?,
            Self::Transform(passage) => passed(passage, theatre, &records).await?,
            Self::Load(load, reading) => loaded(load, reading, theatre, &records).await?,
        };
        played.told(to)
    }
}

/// What came out of one record.
struct Played {
    batch: Batch,
    tombstone: bool,
    rejected: Vec<(Stage, Rejection)>,
}

async fn entered(reread: &Reread, writer: &Writer, theatre: &Theatre, records: &Arc<Records>) -> Result<Played> {
    let parsed = reread.read(records).await?;
    let refused = parsed.refused.iter().map(Refusal::rejection).map(|rejection| (Stage::Read, rejection));
    let unwritten = writer.fit(parsed.batch.clone(), Vec::new())?.rejected(&theatre.cluster)?;
    let rejected = refused.chain(unwritten.into_iter().map(|rejection| (Stage::Encode, rejection))).collect();
    Ok(Played { batch: parsed.batch, tombstone: false, rejected })
}

async fn passed(passage: &mut Passage, theatre: &Theatre, records: &Arc<Records>) -> Result<Played> {
    passage.learn(&theatre.registry.rehearsing(), records).await?;
    let Stepped { batch, tombstones, rejected, .. } = passage.rehearse(records, &theatre.cluster)?;
    Ok(Played { batch, tombstone: !tombstones.is_empty(), rejected: each_rejected(rejected) })
}

async fn loaded(load: &Load, reading: &mut Reading, theatre: &Theatre, records: &Arc<Records>) -> Result<Played> {
    while let Some(turn) = reading.learn(&theatre.registry, records).await? {
        let fits = load.connection.check(&load.table, turn.table_schema());
        reading.answer(turn, fits.map(drop))?;
    }
    let read = reading.read(records, &theatre.registry).await?;
    let undecoded = read.undecoded.into_iter().map(|rejection| (Stage::Decode, rejection));
    let unfit = read.unfit.into_iter().map(|rejection| (Stage::Write, rejection));
    let rejected = undecoded.chain(unfit).collect();
    let tombstone = read.parts.iter().any(|part| part.action != Action::Write);
    let row = read.parts.into_iter().find(|part| part.action == Action::Write).map(|part| part.batch);
    let none = || {
        let columns = RecordBatch::new_empty(Arc::clone(reading.table_schema().arrow()));
        Batch::new(columns, Origin::of(Arc::clone(records), Vec::<u32>::new()))
    };
    Ok(Played { batch: row.unwrap_or_else(none), tombstone, rejected })
}

impl Played {
    fn told(self, to: &str) -> Result<Rehearsed> {
        let to = to.to_owned();
        if let Some((stage, rejection)) = self.rejected.into_iter().next() {
            return Ok(Rehearsed::Rejected(stage, rejection));
        }
        Ok(match (self.tombstone, self.batch.is_empty()) {
            (true, _) => Rehearsed::Deleted { to },
            (false, true) => Rehearsed::Dropped,
            (false, false) => Rehearsed::Written { to, records: render(self.batch.columns())? },
        })
    }
}

fn as_it_is(letter: &DeadLetter, to: &str) -> Rehearsed {
    let to = to.to_owned();
    match letter.value.as_deref() {
        None => Rehearsed::Deleted { to },
        Some(value) => Rehearsed::Written { to, records: vec![String::from_utf8_lossy(value).into()] },
    }
}
