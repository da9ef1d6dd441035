//! Poison in the stream: bytes that are no records, many bad records at once, one that no topic takes.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::rngs::SmallRng;

use super::{Fault, Part, Proof, Wound};
use crate::watch::Sign;
use crate::workload::pipelines::{DEAD, TOPICS};
use crate::workload::record::{Fate, Record};
use crate::world::World;

/// How many values that are no records.
const FRAMES: usize = 60;
/// Bad records of each of a request's customers.
const EACH: i64 = 60;
const CUSTOMERS: i64 = 4;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Poison::Frames), Box::new(Poison::Records), Box::new(Poison::Huge)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poison {
    /// Values in the first topic that are no records of its schema.
    Frames,
    /// A request of which every record is bad.
    Records,
    /// A line of a file that is longer than any record may be.
    Huge,
}

#[async_trait]
impl Fault for Poison {
    fn name(&self) -> String {
        let name = match self {
            Self::Frames => "frames",
            Self::Records => "records",
            Self::Huge => "huge",
        };
        format!("poison_{name}")
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Stream]
    }

    fn share(&self) -> usize {
        3
    }

    fn shows(&self) -> &'static [Sign] {
        match self {
            Self::Frames => &[Sign::Unreadable],
            Self::Huge => &[Sign::TooLarge],
            // Others bring records that are rejected for the same reasons.
            Self::Records => &[],
        }
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        world.poisoned += 1;
        let number = world.poisoned;
        if *self == Self::Huge {
            return Some(write_huge(world, number).await);
        }
        let before = world.outside.cluster.length(&world.project.topic(DEAD)).await;
        let count = match self {
            Self::Frames => write_frames(world, number).await?,
            _ => send_bad(world, number),
        };
        Some(Box::new(Rejected { before, count, letters: 0 }))
    }
}

/// Returns how many were written.
async fn write_frames(world: &mut World, number: usize) -> Option<usize> {
    let topic = world.project.topic(TOPICS[0]);
    let schema = world.outside.schema_id(&format!("{topic}-value")).await?;
    let frames = (0..FRAMES).map(|place| (format!("poison.{number}.{place}"), no_record(&mut world.random, schema, place)));
    let taken = world.outside.cluster.produce(&topic, frames.collect()).await;
    let count = taken.len();
    world.frames.extend(taken);
    (count > 0).then_some(count)
}

/// Values that are no record of the schema, of each kind in turn.
fn no_record(random: &mut SmallRng, schema: u32, place: usize) -> Vec<u8> {
    let framed = |schema: u32, body: &[u8]| [&[0][..], &schema.to_be_bytes(), body].concat();
    let noise = |random: &mut SmallRng, length: usize| (0..length).map(|_| random.random::<u8>() | 1).collect::<Vec<_>>();
    match place % 7 {
        0 => Vec::new(),
        1 => b"no frame".to_vec(),
        2 => framed(u32::MAX - 7, b"\x02a\x02b\x02\x02\x02\x02c"),
        // It ends within its first text.
        3 => framed(schema, b"\x14abc"),
        // A text of 2^62 bytes.
        4 => framed(schema, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        // A whole record and one byte more.
        5 => framed(schema, b"\x02a\x02b\x02\x02\x02\x02c!"),
        _ => noise(random, 10_000),
    }
}

fn send_bad(world: &mut World, number: usize) -> usize {
    world.senders.send_once(format!("b{number}"), EACH);
    (CUSTOMERS * EACH) as usize
}

async fn write_huge(world: &mut World, number: usize) -> Box<dyn Wound> {
    let customer = format!("fh{number}");
    let records: Vec<Record> = (0..12).map(|seq| Record::of(world.senders.seed(), &customer, seq)).collect();
    world.senders.write_once(&customer, &records).await;
    let behind = records.iter().rfind(|record| record.fate == Fate::Good).expect("the first one is good");
    Box::new(Passed { behind: behind.id.clone(), passed: false })
}

struct Rejected {
    before: i64,
    count: usize,
    letters: i64,
}

#[async_trait]
impl Wound for Rejected {
    fn what(&self) -> String {
        format!("{} of them", self.count)
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(12)
    }

    async fn look(&mut self, world: &World) {
        self.letters = self.letters.max(world.outside.cluster.length(&world.project.topic(DEAD)).await - self.before);
    }

    fn is_done(&self) -> bool {
        self.letters >= self.count as i64
    }

    async fn heal(self: Box<Self>, _world: &mut World) -> Proof {
        Proof::of(self.is_done(), format!("{} dead letters came", self.letters))
    }
}

struct Passed {
    behind: String,
    passed: bool,
}

#[async_trait]
impl Wound for Passed {
    fn what(&self) -> String {
        format!("before {}", self.behind)
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(12)
    }

    async fn look(&mut self, world: &World) {
        let sql = format!("SELECT count(*) FROM {}.appended WHERE id = '{}'", world.project.name(), self.behind);
        self.passed = self.passed || world.outside.database.number(&sql).await.unwrap_or(0) > 0;
    }

    fn is_done(&self) -> bool {
        self.passed
    }

    async fn heal(self: Box<Self>, _world: &mut World) -> Proof {
        Proof::of(self.passed, format!("{}, which is behind it, is in the table", self.behind))
    }
}
