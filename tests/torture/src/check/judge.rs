//! What is wrong with what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::seen::{Letter, Row, Seen, Stored};
use crate::workload::record::{Fate, Record};

/// A way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// It is not there, or not yet.
    Lost,
    /// It is there more than once.
    Doubled,
    /// It is after a later one of its key.
    Reordered,
    /// It is not what went in, or where nothing should be.
    Corrupted,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) wrong: Wrong,
    pub(crate) place: String,
    pub(crate) id: String,
    pub(crate) detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}: {} {}", self.wrong, self.place, self.id, self.detail)
    }
}

/// How many findings of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) reordered: usize,
    pub(crate) corrupted: usize,
}

impl Counts {
    pub(crate) fn of(findings: &[Finding]) -> Self {
        let count = |wrong| findings.iter().filter(|finding| finding.wrong == wrong).count();
        let [lost, doubled, reordered, corrupted] = [Wrong::Lost, Wrong::Doubled, Wrong::Reordered, Wrong::Corrupted].map(count);
        Self { lost, doubled, reordered, corrupted }
    }
}

/// Compares all that came out with all that went in.
pub(crate) fn judge(records: &[Record], seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of_topic = |name: &str| seen.topics.get(name).map(Vec::as_slice).unwrap_or_default();
    let arrived = arrived_in(of_topic("raw"));
    let taken = records.iter().filter(|record| record.is_taken()).map(|record| (record, record.raw()));
    let own_order = Ordered { stream: &|_: &str| 0, moves: seen.grown.contains("raw") };
    judge_topic("topic raw", taken, of_topic("raw"), &own_order, &mut findings);
    let worked = records.iter().filter(|record| record.is_worked()).map(|record| (record, record.worked()));
    // What was read from two partitions has no order of its own.
    let stream = |id: &str| arrived.get(id).copied().unwrap_or(0);
    judge_topic(
        "topic worked",
        worked,
        of_topic("worked"),
        &Ordered { stream: &stream, moves: seen.grown.contains("worked") },
        &mut findings,
    );
    judge_letters(records, &seen.letters, &mut findings);
    judge_frames(seen, of_topic("raw"), &mut findings);
    let of_table = |name: &str| seen.tables.get(name).map(Vec::as_slice).unwrap_or_default();
    judge_table("table appended", good(records), of_table("appended"), &mut findings);
    judge_places(of_topic("worked"), of_table("appended"), &mut findings);
    let moved = moved_keys(records, &[of_topic("raw"), of_topic("worked")]);
    let (still, moving): (Vec<&Record>, Vec<&Record>) = good(records).partition(|record| !moved.contains(record.customer.as_str()));
    let of_still = |table: &str| of_table(table).iter().filter(|row| !moved.contains(row.fields[1].as_str())).cloned().collect::<Vec<_>>();
    judge_table("table latest", last_of_each(&still), &of_still("latest"), &mut findings);
    judge_table("table earliest", first_of_each(&still), &of_still("earliest"), &mut findings);
    for (table, ends) in [("latest", End::Last), ("earliest", End::First)] {
        let winners = winners(&moving, of_topic("worked"), ends);
        judge_moved(&format!("table {table}"), &winners, of_table(table), &moved, &mut findings);
    }
    findings
}

/// By id the partition in which a record stands.
fn arrived_in(stored: &[Stored]) -> BTreeMap<&str, i32> {
    stored.iter().filter_map(|one| Some((one.fields.as_ref().ok()?[0].as_str(), one.partition))).collect()
}

/// The keys that stand in more than one partition of a topic, because it was given partitions.
fn moved_keys<'a>(records: &'a [Record], topics: &[&[Stored]]) -> BTreeSet<&'a str> {
    let mut moved = BTreeSet::new();
    for stored in topics {
        let mut first: BTreeMap<&str, i32> = BTreeMap::new();
        let arrived = arrived_in(stored);
        for record in records {
            let Some(partition) = arrived.get(record.id.as_str()) else { continue };
            if first.entry(&record.customer).or_insert(*partition) != partition {
                moved.insert(record.customer.as_str());
            }
        }
    }
    moved
}

/// Which record of a key a table keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// The records that may stand for a key which has moved: the first or last one of each partition.
fn winners<'a>(moving: &[&'a Record], worked: &[Stored], end: End) -> BTreeMap<&'a str, Vec<&'a Record>> {
    let good: BTreeMap<&str, &Record> = moving.iter().map(|record| (record.id.as_str(), *record)).collect();
    let mut ends: BTreeMap<(&str, i32), (i64, &Record)> = BTreeMap::new();
    for one in worked {
        let Some(record) = one.fields.as_ref().ok().and_then(|fields| good.get(fields[0].as_str())) else { continue };
        let known = ends.entry((&record.customer, one.partition)).or_insert((one.offset, record));
        if (end == End::Last) == (one.offset > known.0) {
            *known = (one.offset, record);
        }
    }
    let mut winners: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for ((customer, _), (_, record)) in ends {
        winners.entry(customer).or_default().push(record);
    }
    winners
}

/// Each key that has moved has one row, of one of the records that may stand for it.
fn judge_moved(place: &str, winners: &BTreeMap<&str, Vec<&Record>>, rows: &[Row], moved: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for row in rows.iter().filter(|row| moved.contains(row.fields[1].as_str())) {
        let (id, customer) = (row.fields[0].as_str(), row.fields[1].as_str());
        let stands = winners.get(customer).is_some_and(|records| records.iter().any(|record| record.worked() == row.fields));
        if !met.insert(customer) {
            findings.push(finding(Wrong::Doubled, place, id, "its key has two rows"));
        } else if !stands {
            findings.push(finding(Wrong::Lost, place, id, "it stands for a key of which another record should be there"));
        }
    }
    findings.extend(
        winners.keys().filter(|customer| !met.contains(*customer)).map(|customer| finding(Wrong::Lost, place, customer, "its key")),
    );
}

/// What order a topic keeps.
struct Ordered<'a> {
    /// Records of one key that came by one stream keep their order.
    stream: &'a dyn Fn(&str) -> i32,
    /// Whether a key may move to another partition.
    moves: bool,
}

/// Every value that is no record is there once, and in one dead letter of the transform, byte for byte.
fn judge_frames(seen: &Seen, raw: &[Stored], findings: &mut Vec<Finding>) {
    let mut stored: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for frame in raw.iter().filter_map(|one| one.frame.as_ref()) {
        if stored.insert(&frame.name, &frame.value).is_some() {
            findings.push(finding(Wrong::Doubled, "topic raw", &frame.name, "no record, but twice"));
        }
    }
    let lost = seen.frames.iter().filter(|name| !stored.contains_key(name.as_str()));
    findings.extend(lost.map(|name| finding(Wrong::Lost, "topic raw", name, "no record, but taken")));
    for (letter, frame) in seen.letters.iter().filter_map(|letter| Some((letter, letter.frame.as_ref()?))) {
        match stored.remove(frame.name.as_str()) {
            Some(value) if value == frame.value && letter.pipeline == "worked" => {}
            Some(_) => findings.push(finding(Wrong::Corrupted, "dead letters", &frame.name, &letter.identity)),
            None => findings.push(finding(Wrong::Doubled, "dead letters", &frame.name, &letter.identity)),
        }
    }
    findings.extend(stored.keys().map(|name| finding(Wrong::Lost, "dead letters", name, "no record, and no letter")));
}

fn good(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| record.fate == Fate::Good)
}

fn last_of_each<'a>(good: &[&'a Record]) -> impl Iterator<Item = &'a Record> {
    let last: BTreeMap<&str, &Record> = good.iter().map(|record| (record.customer.as_str(), *record)).collect();
    last.into_values()
}

fn first_of_each<'a>(good: &[&'a Record]) -> impl Iterator<Item = &'a Record> {
    good.iter().copied().filter(|record| record.seq == 0)
}

fn finding(wrong: Wrong, place: &str, id: &str, detail: impl Into<String>) -> Finding {
    Finding { wrong, place: place.to_owned(), id: id.to_owned(), detail: detail.into() }
}

/// Every expected record once, with its fields, in the order of its key, and nothing else.
fn judge_topic<'a>(
    place: &str,
    expected: impl Iterator<Item = (&'a Record, Vec<String>)>,
    stored: &[Stored],
    order: &Ordered<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut open: BTreeMap<&str, (&Record, Vec<String>)> =
        expected.map(|(record, fields)| (record.id.as_str(), (record, fields))).collect();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    let mut last: BTreeMap<(&str, i32, i32), i64> = BTreeMap::new();
    let mut home: BTreeMap<&str, i32> = BTreeMap::new();
    for one in stored.iter().filter(|one| one.frame.is_none() || place != "topic raw") {
        let at = format!("partition {}, offset {}", one.partition, one.offset);
        let fields = match &one.fields {
            Ok(fields) => fields,
            Err(why) => {
                findings.push(finding(Wrong::Corrupted, place, "", format!("{at}: {why}")));
                continue;
            }
        };
        let id = fields[0].as_str();
        let Some((record, good)) = open.get(id) else {
            findings.push(finding(Wrong::Corrupted, place, id, format!("{at}: nothing of that name should be here")));
            continue;
        };
        if !met.insert(id) {
            findings.push(finding(Wrong::Doubled, place, id, at));
            continue;
        }
        if fields != good || one.key != record.customer {
            findings.push(finding(Wrong::Corrupted, place, id, format!("{at}: key {:?}, {fields:?} instead of {good:?}", one.key)));
        }
        let partition = *home.entry(&record.customer).or_insert(one.partition);
        if partition != one.partition && !order.moves {
            findings.push(finding(Wrong::Reordered, place, id, format!("{at}: its key was in partition {partition}")));
        }
        match last.insert((&record.customer, one.partition, (order.stream)(id)), record.seq) {
            Some(seq) if seq > record.seq => findings.push(finding(Wrong::Reordered, place, id, format!("{at}: after number {seq}"))),
            _ => {}
        }
    }
    open.retain(|id, _| !met.contains(id));
    findings.extend(open.keys().map(|id| finding(Wrong::Lost, place, id, "")));
}

/// The pipeline that rejects a record of that fate.
fn rejects(record: &Record) -> Option<&'static str> {
    match record.fate {
        Fate::Good => None,
        Fate::Malformed | Fate::Huge if record.customer.starts_with('f') => Some("files"),
        Fate::Malformed | Fate::Huge => Some("posted"),
        Fate::Invalid | Fate::Indivisible => Some("worked"),
        Fate::Unwanted => Some("appended"),
    }
}

/// Every rejected record has its letter. From ingest and transform there is one, from a load one identity: it may be written twice, and
/// a load that folds the records of a key may not have asked the table about each.
fn judge_letters(records: &[Record], letters: &[Letter], findings: &mut Vec<Finding>) {
    let place = "dead letters";
    let mut open: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for record in records {
        open.extend(rejects(record).map(|pipeline| ((pipeline, record.id.as_str()), BTreeSet::new())));
    }
    let unwanted: BTreeSet<&str> = records.iter().filter(|record| record.fate == Fate::Unwanted).map(|record| record.id.as_str()).collect();
    for letter in letters.iter().filter(|letter| letter.frame.is_none()) {
        let by_load = matches!(letter.pipeline.as_str(), "appended" | "latest" | "earliest");
        match open.get_mut(&(letter.pipeline.as_str(), letter.id.as_str())) {
            Some(identities) => {
                let again = !identities.is_empty();
                let known = !identities.insert(&letter.identity);
                if again && !(by_load && known) {
                    findings.push(finding(Wrong::Doubled, place, &letter.id, &letter.identity));
                }
            }
            None if by_load && unwanted.contains(letter.id.as_str()) => {}
            None => {
                findings.push(finding(Wrong::Corrupted, place, &letter.id, format!("{} {} should not be", letter.identity, letter.code)));
            }
        }
    }
    let missing = open.iter().filter(|(_, identities)| identities.is_empty());
    findings.extend(missing.map(|((pipeline, id), _)| finding(Wrong::Lost, place, id, format!("of {pipeline}"))));
}

/// Every expected row once, with its values, and nothing else. A row that an earlier record of its key should not have left is one that
/// the right one has not come to yet.
fn judge_table<'a>(place: &str, expected: impl Iterator<Item = &'a Record>, rows: &[Row], findings: &mut Vec<Finding>) {
    let expected: BTreeMap<&str, &Record> = expected.map(|record| (record.id.as_str(), record)).collect();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        let id = row.fields[0].as_str();
        let Some(record) = expected.get(id) else {
            let waits = expected.values().any(|record| record.customer == row.fields[1]);
            let wrong = if waits && place == "table latest" { Wrong::Lost } else { Wrong::Corrupted };
            findings.push(finding(wrong, place, id, format!("from {:?}: it should not be here", row.place)));
            continue;
        };
        if !met.insert(id) {
            findings.push(finding(Wrong::Doubled, place, id, format!("from {:?}", row.place)));
        } else if row.fields != record.worked() {
            findings.push(finding(Wrong::Corrupted, place, id, format!("{:?} instead of {:?}", row.fields, record.worked())));
        }
    }
    findings.extend(expected.keys().filter(|id| !met.contains(*id)).map(|id| finding(Wrong::Lost, place, id, "")));
}

/// Each row says rightly which record it is from.
fn judge_places(stored: &[Stored], rows: &[Row], findings: &mut Vec<Finding>) {
    let places = stored.iter().filter_map(|one| Some(((one.partition, one.offset), one.fields.as_ref().ok()?[0].as_str())));
    let places: BTreeMap<(i32, i64), &str> = places.collect();
    for row in rows {
        let there = row.place.and_then(|place| places.get(&place));
        if there != Some(&row.fields[0].as_str()) {
            let detail = format!("says it is from {:?}, where {there:?} is", row.place);
            findings.push(finding(Wrong::Corrupted, "table appended", &row.fields[0], detail));
        }
    }
}

#[cfg(test)]
mod tests;
