use super::*;
use crate::check::seen::Frame;

/// A few hundred records of two customers, and what is there when all went well.
fn exact() -> (Vec<Record>, Seen) {
    let records: Vec<Record> = (0..200).flat_map(|seq| ["f0-0", "p1-0"].map(|customer| Record::of(3, customer, seq))).collect();
    let mut seen = Seen::default();
    let stored = |(offset, (record, fields)): (usize, (&Record, Vec<String>))| Stored {
        partition: i32::from(record.customer == "p1-0"),
        offset: offset as i64,
        key: record.customer.clone(),
        fields: Ok(fields),
        headers: Vec::new(),
        frame: None,
    };
    let raw = records.iter().filter(|record| record.is_taken()).map(|record| (record, record.raw()));
    seen.topics.insert("raw", raw.enumerate().map(stored).collect());
    let worked = records.iter().filter(|record| record.is_worked()).map(|record| (record, record.worked()));
    seen.topics.insert("worked", worked.enumerate().map(stored).collect());
    let letters = records.iter().filter_map(|record| Some((record, rejects(record)?)));
    seen.letters = letters.map(|(record, pipeline)| letter(record, pipeline)).collect();
    let at = |id: &str| {
        let one = seen.topics["worked"].iter().find(|one| one.fields.as_ref().is_ok_and(|fields| fields[0] == id));
        one.map(|one| (one.partition, one.offset))
    };
    let appended = good(&records).map(|record| Row { fields: record.worked(), place: at(&record.id) }).collect();
    let plain = |record: &Record| Row { fields: record.worked(), place: None };
    let (latest, earliest) = {
        let good: Vec<&Record> = good(&records).collect();
        (last_of_each(&good).map(plain).collect(), first_of_each(&good).map(plain).collect())
    };
    seen.tables = BTreeMap::from([("appended", appended), ("latest", latest), ("earliest", earliest)]);
    (records, seen)
}

fn letter(record: &Record, pipeline: &str) -> Letter {
    let identity = format!("{pipeline} {}", record.id);
    let (pipeline, code, at) = (pipeline.to_owned(), String::new(), String::new());
    Letter { pipeline, identity, id: record.id.clone(), code, at, partition: 0, offset: 0, frame: None }
}

fn only(findings: &[Finding]) -> (Wrong, &str) {
    assert_eq!(findings.len(), 1, "{findings:?}");
    (findings[0].wrong, &findings[0].place)
}

#[test]
fn what_is_exact_has_no_findings() {
    let (records, seen) = exact();
    assert_eq!(judge(&records, &seen), []);
}

#[test]
fn a_record_that_is_missing_in_a_topic_is_lost() {
    let (records, mut seen) = exact();
    seen.topics.get_mut("raw").expect("the topic").pop();
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Lost, "topic raw"));
}

#[test]
fn a_record_that_is_twice_in_a_topic_is_doubled() {
    let (records, mut seen) = exact();
    let raw = seen.topics.get_mut("raw").expect("the topic");
    raw.push(raw[0].clone());
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Doubled, "topic raw"));
}

#[test]
fn a_record_after_a_later_one_of_its_key_is_reordered() {
    let (records, mut seen) = exact();
    seen.topics.get_mut("raw").expect("the topic").swap(0, 2);
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Reordered, "topic raw"));
}

#[test]
fn a_key_in_two_partitions_is_reordered() {
    let (records, mut seen) = exact();
    seen.topics.get_mut("raw").expect("the topic").last_mut().expect("a record").partition = 7;
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Reordered, "topic raw"));
}

#[test]
fn a_field_that_differs_is_corrupted() {
    let (records, mut seen) = exact();
    let first = &mut seen.topics.get_mut("raw").expect("the topic")[0];
    first.fields.as_mut().expect("fields")[5].push('!');
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Corrupted, "topic raw"));
}

#[test]
fn a_row_more_a_row_less_and_a_stale_row_are_seen() {
    let (records, mut seen) = exact();
    let appended = seen.tables.get_mut("appended").expect("the table");
    appended.push(appended[0].clone());
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Doubled, "table appended"));
    let appended = seen.tables.get_mut("appended").expect("the table");
    appended.truncate(appended.len() - 2);
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Lost, "table appended"));
    let (records, mut seen) = exact();
    seen.tables.get_mut("latest").expect("the table")[0].fields = Record::of(3, "f0-0", 0).worked();
    let findings = judge(&records, &seen);
    assert!(findings.len() == 2 && findings.iter().all(|finding| finding.wrong == Wrong::Lost), "{findings:?}");
}

#[test]
fn a_row_that_names_another_record_as_its_own_is_corrupted() {
    let (records, mut seen) = exact();
    seen.tables.get_mut("appended").expect("the table")[0].place = Some((0, 9_999));
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Corrupted, "table appended"));
}

#[test]
fn letters_are_counted_by_identity_where_a_load_wrote_them() {
    let (records, mut seen) = exact();
    let find = |seen: &Seen, pipeline: &str| seen.letters.iter().find(|letter| letter.pipeline == pipeline).cloned().expect("a letter");
    seen.letters.push(find(&seen, "appended"));
    assert_eq!(judge(&records, &seen), [], "a load's letter may be written twice");
    seen.letters.push(find(&seen, "worked"));
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Doubled, "dead letters"));
    seen.letters.pop();
    seen.letters.retain(|letter| letter.pipeline != "files");
    assert!(judge(&records, &seen).iter().all(|finding| finding.wrong == Wrong::Lost));
    seen.letters.push(letter(&records[0], "worked"));
    assert!(judge(&records, &seen).iter().any(|finding| finding.wrong == Wrong::Corrupted), "a good record has none");
}

/// The last of the good records of the key `p1-0` stand in another partition of a topic.
fn move_on(seen: &mut Seen, topic: &'static str) {
    let stored = seen.topics.get_mut(topic).expect("the topic");
    let of_key = stored.iter_mut().filter(|one| one.key == "p1-0");
    of_key.skip(50).for_each(|one| one.partition = 7);
}

#[test]
fn a_key_may_move_in_a_topic_that_was_given_partitions_and_keeps_its_order_in_each() {
    let (records, mut seen) = exact();
    move_on(&mut seen, "raw");
    seen.grown.insert("raw");
    assert_eq!(judge(&records, &seen), []);
    let raw = seen.topics.get_mut("raw").expect("the topic");
    let last = raw.len() - 1;
    raw.swap(last, last - 2);
    assert!(judge(&records, &seen).iter().any(|finding| finding.wrong == Wrong::Reordered));
}

#[test]
fn of_a_key_that_moved_a_table_may_have_the_last_record_of_either_partition() {
    let (records, mut seen) = exact();
    move_on(&mut seen, "worked");
    seen.grown.insert("worked");
    for row in seen.tables.get_mut("appended").expect("the table").iter_mut().filter(|row| row.fields[1] == "p1-0") {
        let stands = seen.topics["worked"].iter().find(|one| one.fields.as_ref().is_ok_and(|fields| fields[0] == row.fields[0]));
        row.place = stands.map(|one| (one.partition, one.offset));
    }
    assert_eq!(judge(&records, &seen), []);
    let good: Vec<&Record> = good(&records).filter(|record| record.customer == "p1-0").collect();
    let stays: Vec<&Record> = good.iter().copied().filter(|record| place_of(&seen, record) == 1).collect();
    let set = |seen: &mut Seen, record: &Record| {
        let latest = seen.tables.get_mut("latest").expect("the table");
        latest.iter_mut().find(|row| row.fields[1] == "p1-0").expect("a row").fields = record.worked();
    };
    set(&mut seen, stays[stays.len() - 1]);
    assert_eq!(judge(&records, &seen), [], "the last one of the partition that it was in before");
    set(&mut seen, stays[1]);
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Lost, "table latest"));
}

fn place_of(seen: &Seen, record: &Record) -> i32 {
    let one = seen.topics["worked"].iter().find(|one| one.fields.as_ref().is_ok_and(|fields| fields[0] == record.id));
    one.expect("it was worked").partition
}

#[test]
fn a_value_that_is_no_record_has_one_letter_byte_for_byte() {
    let (records, mut seen) = exact();
    let frame = Frame { name: "poison.1.0".to_owned(), value: b"no frame".to_vec() };
    let stored = Stored {
        partition: 0,
        offset: 900,
        key: String::new(),
        fields: Err(String::new()),
        headers: Vec::new(),
        frame: Some(frame.clone()),
    };
    seen.topics.get_mut("raw").expect("the topic").push(stored);
    seen.frames.insert(frame.name.clone());
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Lost, "dead letters"));
    let written = Letter { frame: Some(frame.clone()), ..letter(&records[0], "worked") };
    seen.letters.push(written.clone());
    assert_eq!(judge(&records, &seen), []);
    seen.letters.push(written.clone());
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Doubled, "dead letters"));
    let other = Frame { value: b"no".to_vec(), ..frame };
    *seen.letters.iter_mut().rev().nth(1).expect("a letter") = Letter { frame: Some(other), ..written };
    seen.letters.pop();
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Corrupted, "dead letters"));
    seen.topics.get_mut("raw").expect("the topic").pop();
    seen.letters.pop();
    assert_eq!(only(&judge(&records, &seen)), (Wrong::Lost, "topic raw"));
}
