//! The replay of one pipeline's letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use millrace_model::{Fault, Rejection, Result, Stage};
use millrace_runtime::dead_letters::{DeadLetter, How, Identity, Marks, Resolution};

use super::order::Waiting;
use super::prepared::{Preparation, is_its_own};
use super::{Destination, Orders, Outcome, Taken, elsewhere, entry, fence, originals, steps, target};
use crate::crash_points as points;
use crate::rate::Limiter;
use crate::{Route, Theatre};

/// How many letters go in one transaction at most.
const TOGETHER: usize = 200;

/// Replays sorted letters of `pipeline`.
pub(super) async fn replay(
    theatre: &Theatre,
    pipeline: &str,
    way: &Taken<'_>,
    letters: Vec<DeadLetter>,
    orders: &Orders,
    limiter: &Limiter,
    tell: &mut dyn FnMut(&DeadLetter, Outcome),
) -> Result<()> {
    let (producer, marks) = fence::take(&theatre.cluster, pipeline).await?;
    let destination: Box<dyn Destination + '_> = match way {
        Taken::Topic(topic) => Box::new(elsewhere::Elsewhere::open(producer, topic)?),
        Taken::Route(id, Route::Ingest(ingest)) => Box::new(entry::Entry::open(theatre, ingest, id, producer).await?),
        Taken::Route(_, Route::Transform(transform)) => Box::new(steps::Steps::open(theatre, transform, producer).await?),
        Taken::Route(_, Route::Load(load)) => Box::new(target::Target::open(theatre, load, producer).await?),
    };
    let not_passed =
        if orders.again || orders.unpassed { BTreeSet::new() } else { target::not_passed(theatre, way, pipeline, &letters).await? };
    let letters = target::as_rejected_last(theatre, way, letters).await?;
    let preparation = Preparation::new(theatre, way, orders);
    let mut run = Run { preparation, way, orders, limiter, marks, destination, waiting: Waiting::default(), not_passed, tell };
    run.all(letters).await
}

struct Run<'a> {
    preparation: Preparation<'a>,
    way: &'a Taken<'a>,
    orders: &'a Orders,
    limiter: &'a Limiter,
    marks: Marks,
    destination: Box<dyn Destination + 'a>,
    waiting: Waiting,
    /// Letters whose records a load has still before it.
    not_passed: BTreeSet<Identity>,
    tell: &'a mut dyn FnMut(&DeadLetter, Outcome),
}

/// Letters that go together: of one topic, as records of one batch.
type Together = Vec<DeadLetter>;

impl Run<'_> {
    async fn all(&mut self, letters: Vec<DeadLetter>) -> Result<()> {
        let most = self.limiter.most(TOGETHER);
        let mut together = Together::new();
        for letter in letters {
            let parts = together.last().is_some_and(|last| !go_together(last, &letter));
            if together.len() >= most || parts {
                self.go(std::mem::take(&mut together)).await?;
            }
            together.extend(self.ready(letter).await?);
        }
        self.go(together).await
    }

    /// The letter, if it is to be replayed, made ready.
    async fn ready(&mut self, letter: DeadLetter) -> Result<Option<DeadLetter>> {
        let identity = letter.identity();
        if let Some(mark) = self.marks.of(&letter).filter(|_| !self.orders.again) {
            (self.tell)(&letter, Outcome::Settled(mark.clone()));
            return Ok(None);
        }
        if self.not_passed.contains(&identity) {
            self.stop(&letter, Outcome::Impossible(target::still_before()));
            return Ok(None);
        }
        let prepared = self.preparation.prepare(letter.clone()).await;
        match prepared {
            Ok(letter) => Ok(Some(letter)),
            Err(fault) if is_its_own(&fault) => {
                self.stop(&letter, Outcome::Impossible(fault));
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn stop(&mut self, letter: &DeadLetter, outcome: Outcome) {
        self.waiting.stop(letter);
        (self.tell)(letter, outcome);
    }

    /// Replays letters in one transaction, without those that are rejected again and those that wait for one.
    async fn go(&mut self, letters: Together) -> Result<()> {
        let mut left = self.absent(letters).await?;
        loop {
            left = self.without_waiting(left);
            if left.is_empty() {
                return Ok(());
            }
            self.limiter.ready().await;
            match self.attempt(&left).await {
                Ok(rejected) if rejected.is_empty() => {
                    self.done(&left);
                    return Ok(());
                }
                Ok(rejected) => left = self.without_rejected(left, rejected),
                // Such as a record that is too large: Kafka tells of it at the end only, and not which one it was.
                Err(fault) if is_its_own(&fault) => return self.one_by_one(left, fault).await,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The letters that are not at their destination yet; the others are marked.
    async fn absent(&mut self, letters: Together) -> Result<Together> {
        let present = self.destination.present(&letters).await?;
        if self.orders.again || !present.contains(&true) {
            return Ok(letters);
        }
        let (there, absent): (Vec<_>, Vec<_>) = letters.into_iter().zip(present).partition(|(_, present)| *present);
        let there: Together = there.into_iter().map(|(letter, _)| letter).collect();
        let marks = self.marks_of(&there);
        self.destination.mark(&marks).await?;
        self.marked(marks);
        for letter in &there {
            (self.tell)(letter, Outcome::AlreadyThere { to: self.way.end().to_owned() });
        }
        Ok(absent.into_iter().map(|(letter, _)| letter).collect())
    }

    fn without_waiting(&mut self, letters: Together) -> Together {
        let mut left = Together::with_capacity(letters.len());
        for letter in letters {
            match self.waiting.behind(&letter).cloned() {
                Some(place) => (self.tell)(&letter, Outcome::Behind(place)),
                None => left.push(letter),
            }
        }
        left
    }

    async fn attempt(&mut self, letters: &Together) -> Result<Vec<(Stage, Rejection)>> {
        let topic = letters.first().map_or("", |letter| letter.said("topic"));
        let records = Arc::new(originals(letters.iter(), topic));
        let attempted = self.destination.attempt(letters, &records).await;
        points::ATTEMPT_AFTER.reached()?;
        let attempted = match attempted {
            Ok(rejected) if rejected.is_empty() => self.commit(letters).await.map(|()| rejected),
            other => other,
        };
        if !attempted.as_ref().is_ok_and(Vec::is_empty) {
            let abandoned = self.destination.abandon().await;
            // What cut the attempt off is told, not that it could not be given up either.
            attempted.as_ref().map_or(Ok(()), |_| abandoned)?;
        }
        attempted
    }

    /// Takes out what was rejected; those that wait for it are taken out next.
    fn without_rejected(&mut self, letters: Together, rejected: Vec<(Stage, Rejection)>) -> Together {
        let mut reasons: BTreeMap<u32, (Stage, Rejection)> = BTreeMap::new();
        for (stage, rejection) in rejected {
            reasons.entry(rejection.record).or_insert((stage, rejection));
        }
        let mut left = Together::with_capacity(letters.len());
        for (letter, index) in letters.into_iter().zip(0..) {
            match reasons.remove(&index) {
                Some((stage, rejection)) => self.stop(&letter, Outcome::Rejected(stage, rejection)),
                None => left.push(letter),
            }
        }
        left
    }

    async fn one_by_one(&mut self, letters: Together, fault: Fault) -> Result<()> {
        if let [letter] = letters.as_slice() {
            self.stop(letter, Outcome::Impossible(fault));
            return Ok(());
        }
        for letter in letters {
            Box::pin(self.go(vec![letter])).await?;
        }
        Ok(())
    }

    fn done(&mut self, letters: &Together) {
        for letter in letters {
            (self.tell)(letter, Outcome::Replayed { to: self.way.end().to_owned() });
        }
    }

    async fn commit(&mut self, letters: &Together) -> Result<()> {
        let marks = self.marks_of(letters);
        self.destination.commit(&marks).await?;
        points::COMMIT_AFTER.reached()?;
        self.marked(marks);
        Ok(())
    }

    fn marked(&mut self, marks: Vec<(Identity, Resolution)>) {
        marks.into_iter().for_each(|(identity, mark)| self.marks.insert(identity, mark));
    }

    fn marks_of(&self, letters: &Together) -> Vec<(Identity, Resolution)> {
        let mark = Resolution {
            how: How::Replayed,
            at: Timestamp::now(),
            rejected_at: None,
            by: self.orders.by.clone(),
            reason: self.orders.patch.as_ref().map(crate::patch::Patch::told).unwrap_or_default(),
            to: self.way.end().to_owned(),
        };
        letters.iter().map(|letter| (letter.identity(), Resolution { rejected_at: letter.at(), ..mark.clone() })).collect()
    }
}

/// Letters of one topic go together, as records of one batch; two of one record don't: when one has gone the other is settled.
fn go_together(one: &DeadLetter, other: &DeadLetter) -> bool {
    let place = |letter: &DeadLetter| (letter.partition(), letter.offset());
    one.said("topic") == other.said("topic") && (place(one) != place(other) || place(one) == (None, None))
}
