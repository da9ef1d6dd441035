//! Random streams of keys, failures, deletions of everything, releases and crashes: each key in its order, nothing lost, nothing doubled.
//!
//! What is durable is kept apart from what an instance knows. The transaction of a topic takes everything at once; that of a target has
//! the entries beside it, which may come too early, too late, or from an instance that has lost the partition long ago.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use millrace_model::{Offsets, ParkedHeads, Record, Records, RecordsBuilder, TopicPartition};
use proptest::collection::vec;
use proptest::prelude::*;

use super::books::Books;
use super::entry::{Entry, Kept};
use super::keys::{Key, Known, Line, Lineup, ParkedKeys, Waiting};
use super::rebuild::{Entries, Truth};

const TOPIC: &str = "in";
const KEYS: u8 = 4;

/// A record of the input: its key, none for some, and what becomes of it.
type Input = (Option<u8>, Fate);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Lands,
    Rejected,
    /// It deletes everything.
    Clears,
}

/// What is done to the output.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Done {
    /// The record of that offset has come.
    Came(i64),
    /// What there was of a key has gone.
    Deleted(u8),
    /// Everything has gone.
    Cleared,
}

#[derive(Debug, Clone)]
enum Action {
    /// So many records are taken through.
    Take(usize),
    Commit,
    /// The instance ends where it is; what it had sent beside its transaction may come later.
    Crash,
    /// It ends between the target's commit and what comes after.
    CommitAndCrash,
    /// One of the letters is settled.
    Settle(usize, Settled),
    /// The instance learns of marks.
    Notice,
    /// What a former instance had sent comes.
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Settled {
    Replayed,
    Discarded,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..6usize).prop_map(Action::Take),
        3 => Just(Action::Commit),
        2 => Just(Action::Crash),
        1 => Just(Action::CommitAndCrash),
        3 => (any::<usize>(), prop_oneof![Just(Settled::Replayed), Just(Settled::Discarded)]).prop_map(|(which, how)| Action::Settle(which, how)),
        2 => Just(Action::Notice),
        1 => Just(Action::Late),
    ]
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let fate = prop_oneof![12 => Just(Fate::Lands), 4 => Just(Fate::Rejected), 1 => Just(Fate::Clears)];
    vec((proptest::option::weighted(0.9, 0..KEYS), fate), 1..40)
}

/// A change of the topic of parked records.
type Write = ((i32, i64), Option<Entry>);

/// What survives a crash.
#[derive(Default)]
struct Durable {
    position: i64,
    heads: ParkedHeads,
    entries: Entries,
    late: Vec<Write>,
    output: Vec<Done>,
    letters: BTreeSet<i64>,
    marks: BTreeMap<i64, Settled>,
}

/// What an instance knows, and has not committed.
struct Instance {
    books: Books,
    position: i64,
    output: Vec<Done>,
    letters: Vec<i64>,
    writes: Vec<Write>,
}

struct World {
    input: Vec<Input>,
    /// Whether what is parked is kept by a target.
    by_target: bool,
    durable: Durable,
    instance: Instance,
}

fn partition() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

impl Instance {
    fn start(durable: &Durable, by_target: bool) -> Self {
        let mut books = Books::new(TOPIC);
        let truth = if by_target { Truth::Target(&durable.heads) } else { Truth::Topic };
        let omitted =
            books.take_over(durable.entries.clone(), &Offsets::from([(partition(), durable.position)]), truth).expect("nothing is lost");
        assert!(by_target || omitted.is_empty(), "all records are small");
        for (key, offset) in omitted {
            // Read again from where it stands.
            let record =
                Record { topic: TOPIC, partition: 0, offset, timestamp: offset, key: Some(&key.bytes), value: Some(b"v"), headers: &[] };
            books.restore(&key, offset, Waiting::of(&record));
        }
        Self { books, position: durable.position, output: Vec::new(), letters: Vec::new(), writes: Vec::new() }
    }

    fn take(&mut self, records: &Records, input: &[Input]) {
        let of_fate = |fate| (0..records.len() as u32).filter(move |&row| fate_of(&records.record(row as usize), input) == Some(fate));
        let (rejected, clears): (HashSet<u32>, Vec<u32>) = (of_fate(Fate::Rejected).collect(), of_fate(Fate::Clears).collect());
        let known = Known { rejected: rejected.clone(), clears: clears.clone() };
        let line = Lineup::default().line_up(self.books.keys(), records, known);
        self.books.hold_back(records, &line, Timestamp::UNIX_EPOCH).expect("heads come first");
        self.writes.extend(writes(records, &line, self.books.keys()));
        for row in (0..records.len() as u32).filter(|&row| !line.waits(row)) {
            let record = records.record(row as usize);
            match fate_of(&record, input) {
                Some(Fate::Lands) => self.output.push(Done::Came(record.offset)),
                Some(Fate::Rejected) => self.letters.push(record.offset),
                Some(Fate::Clears) => self.output.push(Done::Cleared),
                None => self.output.push(Done::Deleted(record.key.expect("a key")[0])),
            }
        }
    }

    fn leave(&mut self) {
        self.writes.extend(self.books.leaving().into_iter().map(|place| (place, None)));
    }
}

/// What becomes of a record; none of the input is the deletion of a key in the place of its head.
fn fate_of(record: &Record<'_>, input: &[Input]) -> Option<Fate> {
    record.value.map(|_| input[record.offset as usize].1)
}

fn writes(records: &Records, line: &Line, parked: &ParkedKeys) -> Vec<Write> {
    let entry = |row: u32, kept: fn(&Record<'_>) -> Kept| {
        let record = records.record(row as usize);
        ((record.partition, record.offset), Some(Entry { key: record.key.unwrap_or_default().into(), kept: kept(&record) }))
    };
    let heeded = line.clears.iter().filter(|&&row| parked.heeds(0, records.offsets()[row as usize]));
    let clears = heeded.map(|&row| entry(row, |record| Kept::Clear(record.timestamp)));
    let heads = line.heads.iter().map(|&row| entry(row, |_| Kept::Head(Some(Timestamp::UNIX_EPOCH))));
    heads.chain(line.waiting.iter().map(|&row| entry(row, |record| Kept::Waiting(Waiting::of(record))))).chain(clears).collect()
}

impl Durable {
    fn write(&mut self, writes: impl IntoIterator<Item = Write>) {
        for (place, entry) in writes {
            match entry {
                Some(entry) => self.entries.insert(place, entry),
                None => self.entries.remove(&place),
            };
        }
    }
}

impl World {
    fn new(input: Vec<Input>, by_target: bool) -> Self {
        let durable = Durable::default();
        let instance = Instance::start(&durable, by_target);
        Self { input, by_target, durable, instance }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Take(count) => self.take(*count),
            Action::Commit => {
                self.commit();
                self.after_commit();
            }
            Action::CommitAndCrash => {
                self.commit();
                self.crash();
            }
            Action::Crash => self.crash(),
            Action::Settle(which, how) => self.settle(*which, *how),
            Action::Notice => self.notice(),
            Action::Late => {
                let late = std::mem::take(&mut self.durable.late);
                self.durable.write(late);
            }
        }
    }

    fn take(&mut self, count: usize) {
        let from = self.instance.position;
        let until = (from + count as i64).min(self.input.len() as i64);
        let mut records = RecordsBuilder::new(TOPIC.into(), count);
        for offset in from..until {
            let key = self.input[offset as usize].0.map(|key| [key]);
            let key = key.as_ref().map(<[u8; 1]>::as_slice);
            records.push(&Record { topic: TOPIC, partition: 0, offset, timestamp: offset, key, value: Some(b"v"), headers: &[] });
        }
        self.instance.take(&records.finish(), &self.input);
        self.instance.position = until;
    }

    /// As a topic's: everything in one transaction. As a target's: entries first, then the transaction.
    fn commit(&mut self) {
        let (instance, durable) = (&mut self.instance, &mut self.durable);
        if !self.by_target {
            instance.leave();
        }
        durable.write(std::mem::take(&mut instance.writes));
        for (key, head) in instance.books.changes() {
            match head {
                Some(head) => durable.heads.insert(key, head),
                None => durable.heads.remove(&key),
            };
        }
        durable.position = instance.position;
        durable.output.append(&mut instance.output);
        durable.letters.extend(std::mem::take(&mut instance.letters));
    }

    fn after_commit(&mut self) {
        self.instance.leave();
        self.durable.write(std::mem::take(&mut self.instance.writes));
    }

    fn crash(&mut self) {
        if self.by_target {
            // What was on its way to the topic may still come, some of it at once.
            self.durable.late.append(&mut self.instance.writes);
            let half = self.durable.late.len() / 2;
            let come: Vec<Write> = self.durable.late.drain(..half).collect();
            self.durable.write(come);
        }
        self.instance = Instance::start(&self.durable, self.by_target);
        self.notice();
    }

    fn settle(&mut self, which: usize, how: Settled) {
        let open: Vec<i64> = self.durable.letters.iter().copied().filter(|letter| !self.durable.marks.contains_key(letter)).collect();
        let Some(&letter) = (!open.is_empty()).then(|| &open[which % open.len()]) else { return };
        if how == Settled::Replayed {
            self.durable.output.push(Done::Came(letter));
        }
        self.durable.marks.insert(letter, how);
    }

    fn notice(&mut self) {
        let marks = &self.durable.marks;
        let released: Option<Arc<Records>> = self.instance.books.release(|_, head| marks.contains_key(&head.offset));
        if let Some(records) = released {
            self.instance.take(&records, &self.input);
        }
    }

    /// Everything is read and every letter settled, until nothing waits.
    fn finish(&mut self) {
        self.take(self.input.len());
        for _ in 0..=self.input.len() {
            self.act(&Action::Commit);
            self.settle(0, Settled::Replayed);
            self.notice();
        }
        self.act(&Action::Commit);
        self.act(&Action::Crash);
    }

    /// What there is of each key in the end, as it came.
    fn remains(&self) -> BTreeMap<Option<u8>, Vec<i64>> {
        let mut remains: BTreeMap<Option<u8>, Vec<i64>> = BTreeMap::new();
        for done in &self.durable.output {
            match *done {
                Done::Came(offset) => remains.entry(self.input[offset as usize].0).or_default().push(offset),
                Done::Deleted(key) => drop(remains.remove(&Some(key))),
                Done::Cleared => remains.clear(),
            }
        }
        remains
    }

    /// What should be: everything of the key behind the last record that deleted everything, but what was discarded.
    fn expected(&self, key: u8) -> Vec<i64> {
        let discarded = |offset: &i64| self.durable.marks.get(offset) == Some(&Settled::Discarded);
        let last = self.input.iter().rposition(|(_, fate)| *fate == Fate::Clears).map_or(0, |last| last as i64 + 1);
        (last..self.input.len() as i64).filter(|offset| self.input[*offset as usize].0 == Some(key) && !discarded(offset)).collect()
    }
}

fn run(input: Vec<Input>, actions: &[Action], by_target: bool) -> Result<(), TestCaseError> {
    let mut world = World::new(input, by_target);
    for action in actions {
        world.act(action);
    }
    world.finish();
    prop_assert!(world.instance.books.keys().is_empty(), "nothing waits any more");
    let remains = world.remains();
    for key in 0..KEYS {
        prop_assert_eq!(remains.get(&Some(key)).cloned().unwrap_or_default(), world.expected(key), "key {}: each once, in order", key);
    }
    let came = world.durable.output.iter().filter_map(|done| if let Done::Came(offset) = done { Some(*offset) } else { None });
    let (mut came, count): (Vec<i64>, usize) = (came.clone().collect(), came.count());
    came.sort_unstable();
    came.dedup();
    prop_assert_eq!(came.len(), count, "none is doubled");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn keys_keep_their_order_where_all_is_one_transaction(input in inputs(), actions in vec(action(), 0..60)) {
        run(input, &actions, false)?;
    }

    #[test]
    fn keys_keep_their_order_where_a_target_keeps_the_heads_and_entries_come_when_they_like(input in inputs(), actions in vec(action(), 0..60)) {
        run(input, &actions, true)?;
    }
}

fn key(key: u8) -> Key {
    Key { partition: 0, bytes: [key].into() }
}

fn came(offsets: &[i64]) -> Vec<Done> {
    offsets.iter().map(|&offset| Done::Came(offset)).collect()
}

#[test]
fn what_comes_behind_a_rejected_record_waits_and_other_keys_go_on() {
    use Fate::{Lands, Rejected};
    let input = [(Some(0), Lands), (Some(0), Rejected), (Some(1), Lands), (Some(0), Rejected), (Some(0), Lands), (None, Rejected)];
    let mut world = World::new(input.to_vec(), false);
    world.take(6);
    assert_eq!(world.instance.output, came(&[0, 2]));
    assert_eq!(world.instance.letters, [1, 5], "what waits is not rejected yet, and without a key nothing waits");
    assert_eq!(world.instance.books.keys().head(&key(0)).map(|head| head.offset), Some(1));
    assert_eq!(world.instance.books.keys().records(), 3);
    world.commit();
    world.settle(0, Settled::Replayed);
    world.notice();
    assert_eq!(world.instance.letters, [3], "the next one that fails is the new head");
    assert_eq!(world.instance.books.keys().head(&key(0)).map(|head| head.offset), Some(3));
}

#[test]
fn a_record_that_deletes_everything_waits_for_no_key_and_what_came_before_it_counts_no_more() {
    use Fate::{Clears, Lands, Rejected};
    let input = [(Some(0), Rejected), (Some(0), Lands), (Some(0), Clears), (Some(1), Lands), (Some(0), Lands), (Some(1), Rejected)];
    for by_target in [false, true] {
        let mut world = World::new(input.to_vec(), by_target);
        world.take(6);
        assert_eq!(world.instance.output, [Done::Cleared, Done::Came(3)]);
        assert_eq!(world.instance.books.keys().records(), 3, "two heads, and what came after");
        world.act(&Action::CommitAndCrash);
        world.settle(0, Settled::Replayed);
        world.notice();
        assert_eq!(world.instance.output, [Done::Deleted(0), Done::Came(4)], "what was replayed came before it");
        world.act(&Action::Commit);
        assert_eq!(world.remains(), BTreeMap::from([(Some(0), vec![4]), (Some(1), vec![3])]));
        assert_eq!(world.durable.entries.keys().collect::<Vec<_>>(), [&(0, 5)], "nothing else is kept");
    }
}
