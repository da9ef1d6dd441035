use super::batch::tests::batch;
use super::*;

const ROOM: Room = Room { partition: 1 << 20, response: 1 << 20, at_least_one: true };

fn produced(producer_id: i64, sequence: i32, timestamps: &[i64], transactional: bool) -> Batch {
    let epoch = if producer_id < 0 { -1 } else { 0 };
    Batch::produced(batch(producer_id, epoch, sequence, timestamps, transactional), 1 << 20).unwrap()
}

fn plain(timestamps: &[i64]) -> Batch {
    produced(-1, -1, timestamps, false)
}

fn read_headers(log: &PartitionLog, from: i64, isolation: Isolation) -> Vec<i64> {
    let bytes = log.read(from, isolation, ROOM).unwrap().load().unwrap().concat();
    let mut rest = &bytes[..];
    let mut bases = Vec::new();
    while let Some(header) = Header::read(rest) {
        bases.push(header.base_offset);
        rest = &rest[header.size..];
    }
    bases
}

fn in_transaction(log: &mut PartitionLog, producer_id: i64, sequence: i32) {
    log.add_to_transaction(producer_id, 0);
    log.produce(&produced(producer_id, sequence, &[1], true)).unwrap();
}

#[test]
fn a_reader_gets_the_batch_that_holds_its_offset() {
    let mut log = PartitionLog::default();
    assert_eq!(log.produce(&plain(&[1, 2])), Ok(0));
    assert_eq!(log.produce(&plain(&[3])), Ok(2));
    assert_eq!(read_headers(&log, 1, Isolation::Uncommitted), [0, 2]);
    assert_eq!(read_headers(&log, 3, Isolation::Uncommitted), Vec::<i64>::new());
    assert_eq!(log.read(4, Isolation::Uncommitted, ROOM).unwrap_err(), ResponseError::OffsetOutOfRange);
}

#[test]
fn a_read_stops_where_its_room_ends_but_gives_one_batch() {
    let mut log = PartitionLog::default();
    for time in 0..3 {
        log.produce(&plain(&[time])).unwrap();
    }
    let size = log.entries[0].size;
    let taken =
        |partition, response, at_least_one| log.read(0, Isolation::Uncommitted, Room { partition, response, at_least_one }).unwrap().bytes;
    assert_eq!(taken(2 * size, 3 * size, true), 2 * size);
    assert_eq!(taken(1, 1, true), size);
    assert_eq!(taken(1, 1, false), 0);
    assert_eq!(taken(1, size, false), size);
}

#[test]
fn committed_readers_wait_for_the_end_of_a_transaction() {
    let mut log = PartitionLog::default();
    in_transaction(&mut log, 1, 0);
    log.produce(&plain(&[2])).unwrap();
    assert_eq!(read_headers(&log, 0, Isolation::Committed), Vec::<i64>::new());
    log.end_transaction(1, 0, true, 9).unwrap();
    assert_eq!(read_headers(&log, 0, Isolation::Committed), [0, 1, 2]);
}

#[test]
fn an_aborted_transaction_is_named_to_committed_readers() {
    let mut log = PartitionLog::default();
    in_transaction(&mut log, 1, 0);
    log.end_transaction(1, 0, false, 9).unwrap();
    let aborted = Aborted { producer_id: 1, first: 0, last: 1 };
    assert_eq!(log.read(0, Isolation::Committed, ROOM).unwrap().aborted, [aborted]);
    assert!(log.read(0, Isolation::Uncommitted, ROOM).unwrap().aborted.is_empty());
}

#[test]
fn a_repeated_batch_is_answered_and_not_appended() {
    let mut log = PartitionLog::default();
    let batch = produced(1, 0, &[1, 2], false);
    assert_eq!(log.produce(&batch), Ok(0));
    assert_eq!(log.produce(&batch), Ok(0));
    assert_eq!(log.offsets().end, 2);
}

#[test]
fn offsets_are_found_by_time() {
    let mut log = PartitionLog::default();
    log.produce(&plain(&[10, 20])).unwrap();
    log.produce(&plain(&[15, 40])).unwrap();
    assert_eq!(log.find_time(0, Isolation::Uncommitted).unwrap(), Some((0, 10)));
    assert_eq!(log.find_time(16, Isolation::Uncommitted).unwrap(), Some((1, 20)));
    assert_eq!(log.find_time(21, Isolation::Uncommitted).unwrap(), Some((3, 40)));
    assert_eq!(log.find_time(41, Isolation::Uncommitted).unwrap(), None);
    assert_eq!(log.find_latest_time().unwrap(), Some((3, 40)));
}

#[test]
fn deleted_records_are_out_of_range() {
    let mut log = PartitionLog::default();
    log.produce(&plain(&[1, 2, 3])).unwrap();
    log.produce(&plain(&[4])).unwrap();
    assert_eq!(log.delete_before(2).unwrap(), 2);
    assert_eq!(log.read(1, Isolation::Uncommitted, ROOM).unwrap_err(), ResponseError::OffsetOutOfRange);
    assert_eq!(read_headers(&log, 2, Isolation::Uncommitted), [0, 3]);
    assert_eq!(log.offsets().end, 4);
}

#[test]
fn a_log_in_files_is_the_same_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = PartitionLog::open(folder.path(), 0).unwrap();
    log.produce(&produced(2, 0, &[1, 2], false)).unwrap();
    in_transaction(&mut log, 1, 0);
    log.end_transaction(1, 0, false, 9).unwrap();
    in_transaction(&mut log, 1, 1);
    let before = log.offsets();
    drop(log);
    let mut log = PartitionLog::open(folder.path(), 0).unwrap();
    assert_eq!(log.offsets(), before);
    assert_eq!(log.open_producers(), [1]);
    assert_eq!(log.produce(&produced(2, 0, &[1, 2], false)), Ok(0));
    assert_eq!(log.produce(&produced(2, 3, &[1], false)), Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(log.read(0, Isolation::Committed, ROOM).unwrap().aborted, [Aborted { producer_id: 1, first: 2, last: 3 }]);
    assert_eq!(read_headers(&log, 0, Isolation::Uncommitted), [0, 2, 3, 4]);
}

#[test]
fn a_deleted_partition_takes_no_more_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = PartitionLog::open(&folder.path().join("topic-0"), 0).unwrap();
    log.produce(&plain(&[1])).unwrap();
    log.delete().unwrap();
    assert!(!folder.path().join("topic-0").exists());
    assert_eq!(log.produce(&plain(&[1])), Err(ResponseError::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_an_append() {
    let mut log = PartitionLog::default();
    let reader = Arc::new(Notify::new());
    log.wake_at_change(&reader);
    log.produce(&plain(&[1])).unwrap();
    reader.notified().await;
}
