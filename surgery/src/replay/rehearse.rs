//! What a replay would do, without doing it: the pipeline runs on the record in this process, and nothing is written anywhere.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use millrace_ingest::reread::Reread;
use millrace_loader::parts::Action;
use millrace_loader::reading::Reading;
use millrace_loader::service::Load;
use millrace_model::{Batch, Code, Fault, Origin, Records, Rejection, Result, Schema, Stage};
use millrace_runtime::codec::Encoder;
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::formats::render;
use millrace_runtime::keys::KeyFormat;
use millrace_transform::passage::Steps;
use millrace_transform::service::Transform;
use serde_json::Value;

use super::prepared::{is_its_own, prepare};
use super::{Orders, Taken, by_pipeline, no_way, order, originals};
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

/// Runs the pipelines on letters. A load's table is looked at by its schema only: what the database alone knows (its constraints) is not
/// tried.
pub async fn rehearse(theatre: &Theatre, letters: Vec<DeadLetter>, orders: &Orders) -> Result<Vec<(DeadLetter, Rehearsed)>> {
    let mut done = Vec::with_capacity(letters.len());
    for (pipeline, letters) in by_pipeline(letters) {
        let letters = order::sorted(letters);
        let Some(way) = theatre.way(&pipeline, &orders.way) else {
            done.extend(letters.into_iter().map(|letter| (letter, Rehearsed::Impossible(no_way(&pipeline, &orders.way)))));
            continue;
        };
        let mut stage = Rehearsal::open(theatre, &way).await?;
        for letter in letters {
            let played = match prepare(theatre, &way, letter.clone(), orders).await {
                Ok(prepared) => stage.play(theatre, &prepared, way.end()).await,
                Err(fault) => Err(fault),
            };
            let rehearsed = match played {
                Ok(rehearsed) => rehearsed,
                Err(fault) if is_its_own(&fault) => Rehearsed::Impossible(fault),
                Err(fault) => return Err(fault),
            };
            done.push((letter, rehearsed));
        }
    }
    Ok(done)
}

/// A pipeline without its ends.
enum Rehearsal<'a> {
    Topic,
    Ingest(Box<Reread>, Output<'a>),
    Transform(Box<Steps>, Output<'a>),
    Load(&'a Load, Box<Reading>),
}

/// What records must fit to be written.
struct Output<'a> {
    schema: &'a Schema,
    key: &'a [String],
}

impl<'a> Rehearsal<'a> {
    async fn open(theatre: &Theatre, way: &Taken<'a>) -> Result<Self> {
        Ok(match way {
            Taken::Topic(_) => Self::Topic,
            Taken::Route(id, Route::Ingest(ingest)) => {
                let output = Output { schema: &ingest.schema, key: &ingest.key };
                Self::Ingest(Box::new(Reread::open(ingest, &theatre.cluster, &theatre.registry, id).await?), output)
            }
            Taken::Route(_, Route::Transform(transform)) => Self::transform(transform)?,
            Taken::Route(_, Route::Load(load)) => Self::load(load)?,
        })
    }

    fn transform(transform: &'a Transform) -> Result<Self> {
        let output = Output { schema: &transform.output, key: &transform.key };
        Ok(Self::Transform(Box::new(Steps::compile(transform)?), output))
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
            Self::Ingest(reread, output) => {
                let parsed = reread.read(&records).await?;
                let refused = parsed.refused.iter().map(|refusal| (Stage::Read, refusal.rejection())).collect();
                output.fitted(Played { batch: parsed.batch, tombstone: false, rejected: refused })?
            }
            Self::Transform(steps, output) => output.fitted(through(steps, theatre, &records).await?)?,
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

async fn through(steps: &mut Steps, theatre: &Theatre, records: &Arc<Records>) -> Result<Played> {
    steps.learn(&theatre.registry, records).await?;
    let stepped = steps.apply(records)?;
    let each = |(stage, rejections): (Stage, Vec<Rejection>)| rejections.into_iter().map(move |rejection| (stage.clone(), rejection));
    let rejected = stepped.rejected.into_iter().flat_map(each).collect();
    Ok(Played { batch: stepped.batch, tombstone: !stepped.tombstones.is_empty(), rejected })
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

impl Output<'_> {
    /// The rows as far as they can be keyed; that they can be encoded, `check` has seen to.
    fn fitted(&self, mut played: Played) -> Result<Played> {
        Encoder::new(self.schema, 0)?.encode(played.batch.columns())?;
        if self.key.is_empty() {
            return Ok(played);
        }
        let keyless = match KeyFormat::of(self.schema, self.key)? {
            KeyFormat::Text(column) => played.batch.columns().column(column).as_string::<i32>().null_count() > 0,
            KeyFormat::Framed(..) => false,
        };
        if keyless {
            played.rejected.push((Stage::Encode, Rejection::new(0, Code::KeyInvalid, "the key's column is null")));
        } else if played.tombstone {
            let reason = "a record without a value has no columns to make the pipeline's key of";
            played.rejected.push((Stage::Encode, Rejection::new(0, Code::TombstoneRefused, reason)));
        }
        Ok(played)
    }
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
