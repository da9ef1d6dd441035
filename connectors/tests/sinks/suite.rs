//! What every sink must do.

pub(crate) use crate::growth::*;
pub(crate) use crate::parked::*;
pub(crate) use crate::replaced::*;

use futures::future::join_all;
use futures::poll;
use millrace_connectors::TableConfig;
use millrace_model::{Code, Commit, Edge, Fault, LoadBound, Offsets, Origin, Retry, Schema, Sink, TopicPartition};

use crate::everything;
use crate::rows::{
    append, at, batch, insert_ignore, keys, mirror, notes, partition, records, records_of, replace, rows_at, upsert, without_notes,
};
use crate::warehouse::{Warehouse, other_partition};

async fn commit(sink: &mut Box<dyn Sink>, from: &Offsets, to: &Offsets) -> Commit {
    sink.commit(from, to).await.expect("commits or is fenced")
}

async fn settled(sink: &mut Box<dyn Sink>) -> Vec<(i64, Code)> {
    let rejected = sink.settle().await.expect("settles");
    rejected.iter().map(|one| (one.record().offset, one.code())).collect()
}

/// A table in each mode that the target has.
fn tables(warehouse: &dyn Warehouse) -> Vec<TableConfig> {
    let tables = warehouse.able([append(), upsert(), insert_ignore(), mirror()]);
    assert!(!tables.is_empty(), "{} has no mode at all", warehouse.connection().capabilities().name);
    tables
}

/// A table in the first mode that the target has, for what holds in all of them.
fn table(warehouse: &dyn Warehouse) -> TableConfig {
    tables(warehouse).swap_remove(0)
}

pub(crate) async fn rows_and_positions_become_durable_together(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    assert_eq!(sink.write(&batch(&[(1, Some("a")), (2, None)])).await.expect("writes"), []);
    assert_eq!(sink.write(&batch(&[(3, Some("a"))])).await.expect("writes"), []);
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(warehouse.notes().await, [""; 0], "nothing shows before the commit");
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    assert_eq!(warehouse.notes().await.len(), 3);
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(3));
}

pub(crate) async fn a_round_follows_another_in_the_same_sink(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    for offset in 0..3 {
        sink.write(&batch(&[(offset, None)])).await.expect("writes");
        assert_eq!(settled(&mut sink).await, []);
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        assert_eq!(commit(&mut sink, &from, &at(offset + 1)).await, Commit::Done);
    }
    assert_eq!(warehouse.notes().await, ["0 null", "1 null", "2 null"]);
}

pub(crate) async fn a_crash_at_any_point_before_the_commit_leaves_nothing(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        for settles in [false, true] {
            let mut sink = warehouse.claimed(&table, None).await;
            sink.write(&batch(&[(1, Some("lost"))])).await.expect("writes");
            if settles {
                assert_eq!(settled(&mut sink).await, []);
            }
            drop(sink);
        }
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(warehouse.notes().await, [""; 0]);
        sink.write(&batch(&[(1, Some("kept"))])).await.expect("writes");
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["1 kept"]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_commit_whose_answer_was_lost_is_found_by_the_next_claim(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    settled(&mut sink).await;
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    drop(sink);

    let mut sink = warehouse.claimed(&table(warehouse), Some(1)).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    settled(&mut sink).await;
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Fenced, "the round was committed before");
    assert_eq!(warehouse.notes().await, ["1 null"]);
}

pub(crate) async fn a_writer_whose_positions_were_moved_is_fenced(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut old = warehouse.claimed(&table, None).await;
        let mut new = warehouse.claimed(&table, None).await;
        new.write(&batch(&[(1, Some("new"))])).await.expect("writes");
        settled(&mut new).await;
        assert_eq!(commit(&mut new, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_fenced(&mut old).await;
        assert_eq!(warehouse.notes().await, ["1 new"]);
        assert_eq!(old.claim(&[partition()]).await.expect("claims again"), at(1));
        drop((old, new));
        warehouse.clean().await;
    }
}

/// The old writer's session may have been ended, or it is left to find that its positions have moved.
async fn assert_fenced(old: &mut Box<dyn Sink>) {
    let round = async {
        old.write(&batch(&[(1, Some("old"))])).await?;
        old.settle().await?;
        old.commit(&Offsets::new(), &at(1)).await
    };
    match round.await {
        Ok(commit) => assert_eq!(commit, Commit::Fenced),
        Err(fault) => assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}"),
    }
}

pub(crate) async fn one_moved_position_fences_all_of_a_commit(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    sink.claim(&[partition(), other_partition()]).await.expect("claims");
    let both = |left, right| Offsets::from([(partition(), left), (other_partition(), right)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &both(5, 7)).await, Commit::Done);
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    settled(&mut sink).await;
    assert_eq!(commit(&mut sink, &both(5, 6), &both(8, 9)).await, Commit::Fenced);
    assert_eq!(warehouse.notes().await, [""; 0]);
    assert_eq!(sink.claim(&[partition(), other_partition()]).await.expect("claims"), both(5, 7));
    assert_eq!(commit(&mut sink, &both(5, 7), &at(6)).await, Commit::Done, "a partition without news stays where it is");
    assert_eq!(sink.claim(&[other_partition()]).await.expect("claims"), Offsets::from([(other_partition(), 7)]));
}

pub(crate) async fn a_claim_voids_the_round_that_is_open_and_may_be_repeated(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut sink = warehouse.claimed(&table, None).await;
        sink.write(&batch(&[(1, Some("void"))])).await.expect("writes");
        for _ in 0..2 {
            assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
        }
        sink.write(&batch(&[(2, Some("kept"))])).await.expect("writes");
        settled(&mut sink).await;
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["2 kept"]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn pipelines_have_positions_of_their_own(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(9)).await, Commit::Done);
    let other = TableConfig { pipeline: "shop.other".into(), ..table(warehouse) };
    warehouse.claimed(&other, None).await;
    warehouse.claimed(&table(warehouse), Some(9)).await;
}

pub(crate) async fn an_empty_batch_and_an_empty_round_move_positions_only(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(sink.write(&batch(&[])).await.expect("writes"), []);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &at(1), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, [""; 0]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_refused_row_is_rejected_alone(warehouse: &dyn Warehouse) {
    for table in [append(), upsert()] {
        warehouse
            .execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text NOT NULL CHECK (note <> 'bad'), UNIQUE (note)); INSERT INTO notes VALUES (0, 'taken')")
            .await;
        let mut sink = warehouse.claimed(&table, None).await;
        let rows = [
            (1, Some("a")),
            (2, None),
            (3, Some("bad")),
            (4, Some("b\0")),
            (5, Some("taken")),
            (6, Some("c")),
            (7, Some("a")),
            (8, Some("d")),
        ];
        let seen = sink.write(&batch(&rows)).await.expect("writes");
        let mut rejected: Vec<(i64, Code)> = seen.iter().map(|one| (i64::from(one.record), one.code)).collect();
        rejected.extend(settled(&mut sink).await);
        rejected.sort_unstable();
        let refused = Code::RowRefused;
        let mut expected = vec![(1, Code::ValueNull), (2, refused), (3, Code::ValueForbidden), (4, refused), (6, refused)];
        let mut notes = vec!["0 taken", "1 a", "4 b\0", "6 c", "8 d"];
        if warehouse.takes_nul() {
            expected.remove(2);
        } else {
            notes.remove(2);
        }
        assert_eq!(rejected, expected);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(8)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, notes);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_rejection_names_the_column_and_gives_the_reason(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint, note text NOT NULL, CONSTRAINT polite CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&append(), None).await;
    let mut reasons: Vec<String> = Vec::new();
    let seen = sink.write(&batch(&[(1, None), (2, Some("bad"))])).await.expect("writes");
    reasons.extend(seen.into_iter().map(|one| one.reason));
    reasons.extend(sink.settle().await.expect("settles").iter().map(|one| one.reason().to_owned()));
    assert!(reasons[0].contains("\"note\" is null"), "{reasons:?}");
    assert!(reasons[1].contains("polite"), "{reasons:?}");
}

pub(crate) async fn a_batch_that_is_refused_whole_still_moves_positions(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint, note text CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&append(), None).await;
    let bad: Vec<_> = (0..50).map(|id| (id, Some("bad"))).collect();
    let seen = sink.write(&batch(&bad)).await.expect("writes");
    assert_eq!(seen.len() + settled(&mut sink).await.len(), 50);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(50)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, [""; 0]);
}

pub(crate) async fn refused_rows_among_many_are_all_found(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
        let mut sink = warehouse.claimed(&table, None).await;
        for round in 0..2 {
            let is_bad = |id: i64| id % 997 == 3;
            let rows: Vec<_> = (0..5_000).map(|id| (round * 5_000 + id, Some(if is_bad(id) { "bad" } else { "good" }))).collect();
            let seen = sink.write(&batch(&rows)).await.expect("writes");
            let mut rejected: Vec<i64> = seen.iter().map(|one| i64::from(one.record)).collect();
            rejected.extend(settled(&mut sink).await.iter().map(|one| one.0));
            assert_eq!(rejected, [3, 1_000, 1_997, 2_994, 3_991, 4_988]);
            let from = if round == 0 { Offsets::new() } else { at(round) };
            assert_eq!(commit(&mut sink, &from, &at(round + 1)).await, Commit::Done);
        }
        assert_eq!(warehouse.rows("SELECT count(*) FROM notes").await, [[Some("9988".to_owned())]]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_later_row_or_deletion_of_a_key_wins(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([upsert()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, Some("first")), (2, Some("stays")), (3, Some("goes")), (1, Some("second"))])).await.expect("writes");
    sink.delete(&keys(&[3, 4, 99])).await.expect("deletes");
    sink.write(&batch(&[(4, Some("comes")), (1, Some("third"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(9)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 third", "2 stays", "4 comes"]);

    sink.delete(&keys(&[1, 2])).await.expect("deletes");
    sink.write(&batch(&[(2, None), (4, Some("changed"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(9), &at(13)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 null", "4 changed"]);
}

pub(crate) async fn a_refused_row_does_not_hide_the_earlier_one_of_its_key(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.write(&batch(&[(1, Some("good")), (1, Some("bad")), (2, Some("good"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, [(1, Code::RowRefused)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 good", "2 good"]);
}

pub(crate) async fn an_append_has_no_deletions(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([append()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    let rejected = sink.delete(&keys(&[1, 2])).await.expect("answers");
    assert_eq!(
        rejected.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(),
        [(0, Code::TombstoneRefused), (1, Code::TombstoneRefused)]
    );
}

pub(crate) async fn a_call_that_is_dropped_voids_its_round(warehouse: &dyn Warehouse) {
    let table = warehouse.able([upsert(), append()]).swap_remove(0);
    let mut sink = warehouse.claimed(&table, None).await;
    let many: Vec<_> = (0..10_000).map(|id| (id, Some("void"))).collect();
    sink.write(&batch(&many)).await.expect("writes");
    let mut settling = sink.settle();
    assert!(poll!(&mut settling).is_pending());
    drop(settling);
    let fault = sink.commit(&Offsets::new(), &at(1)).await.expect_err("the round is void");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    sink.write(&batch(&[(2, Some("kept"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 kept"]);
}

pub(crate) async fn a_round_that_was_not_settled_is_not_committed(warehouse: &dyn Warehouse) {
    let table = warehouse.able([upsert(), append()]).swap_remove(0);
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    let fault = sink.commit(&Offsets::new(), &at(1)).await.expect_err("the row would be nowhere");
    assert_eq!(fault.code(), Code::Internal);
}

pub(crate) async fn every_type_and_its_null_arrive(warehouse: &dyn Warehouse) {
    let (schema, batch) = everything::batch();
    for table in tables(warehouse) {
        let mut sink = warehouse.open(&table, &schema).await.expect("opens");
        sink.claim(&[partition()]).await.expect("claims");
        assert_eq!(sink.write(&batch).await.expect("writes"), []);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
        let shown = warehouse.all_values(&schema).await;
        let shown: Vec<Vec<Option<&str>>> = shown.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        assert_eq!(shown, warehouse.everything());
        drop(sink);
        warehouse.clean().await;
    }
}

async fn refused(warehouse: &dyn Warehouse, table: &TableConfig, schema: &Schema) -> Fault {
    match warehouse.open(table, schema).await {
        Ok(_) => panic!("the table does not fit"),
        Err(fault) => fault,
    }
}

pub(crate) async fn a_table_that_does_not_fit_is_refused_with_what_to_do(warehouse: &dyn Warehouse) {
    let cases = [
        ("CREATE TABLE notes (id bigint, note integer)", append(), "\"note\""),
        ("CREATE TABLE notes (id bigint, note text, more text NOT NULL)", append(), "\"more\""),
        ("CREATE TABLE notes (id bigint, note text)", upsert(), "CREATE UNIQUE INDEX"),
    ];
    for (sql, table, told) in cases {
        warehouse.execute(sql).await;
        let fault = refused(warehouse, &table, &notes()).await;
        assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
        assert!(fault.message().contains(told), "{fault}");
        warehouse.execute("DROP TABLE notes").await;
    }
}

pub(crate) async fn columns_that_fill_themselves_may_stand_beside_those_of_the_schema(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (extra text, note text, id bigint, source text NOT NULL DEFAULT 'kafka', UNIQUE (id))").await;
    for table in [append(), upsert()] {
        warehouse.claimed(&table, None).await;
    }
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.write(&batch(&[(1, Some("a"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    assert_eq!(warehouse.rows("SELECT source FROM notes").await, [[Some("kafka".to_owned())]]);
}

pub(crate) async fn writers_that_start_at_once_make_the_tables_once(warehouse: &dyn Warehouse) {
    let tables: Vec<TableConfig> = (0..8).map(|number| TableConfig { pipeline: format!("shop.{number}"), ..table(warehouse) }).collect();
    let schema = notes();
    let opened = join_all(tables.iter().map(|table| async {
        let mut sink = warehouse.open(table, &schema).await?;
        sink.write(&batch(&[(1, None)])).await?;
        sink.settle().await?;
        sink.claim(&[partition()]).await
    }));
    for claimed in opened.await {
        assert_eq!(claimed.expect("opens and claims"), Offsets::new());
    }
}

pub(crate) async fn check_tells_the_columns_without_a_server(warehouse: &dyn Warehouse) {
    let connection = warehouse.connection();
    let columns = connection.check(&warehouse.table(&table(warehouse)), &notes()).expect("fits");
    assert_eq!(columns.iter().map(|column| (column.name.as_str(), column.nullable)).collect::<Vec<_>>(), [("id", false), ("note", true)]);
    for table in tables(warehouse).into_iter().filter(|table| table.mode.is_keyed()) {
        let nullable_key = TableConfig { keys: vec!["note".into()], ..table };
        assert_eq!(
            connection.check(&warehouse.table(&nullable_key), &notes()).expect_err("a key can't be null").code(),
            Code::TargetSchema
        );
    }
}

pub(crate) async fn the_types_of_avro_have_columns(warehouse: &dyn Warehouse) {
    let table = table(warehouse);
    let columns = warehouse.connection().check(&warehouse.table(&table), &everything::avro()).expect("fits");
    let types: Vec<&str> = columns.iter().map(|column| column.sql_type.as_str()).collect();
    assert_eq!(types, warehouse.types_of_avro());
    warehouse.open(&table, &everything::avro()).await.expect("the table is made");
}

pub(crate) async fn a_query_shows_columns_without_rows_and_changes_nothing(warehouse: &dyn Warehouse) {
    warehouse.claimed(&append(), None).await;
    let result = warehouse.connection().query("SELECT id, note FROM notes WHERE id < 0").await.expect("runs");
    assert_eq!((result.columns, result.rows.len()), (vec!["id".to_owned(), "note".to_owned()], 0));
    warehouse.connection().query("DELETE FROM notes").await.expect_err("is read only");
    let fault = warehouse.connection().query("SELECT nonsense FROM notes").await.expect_err("has no such column");
    assert_eq!(fault.code(), Code::TargetSchema, "{fault}");
}

pub(crate) async fn names_are_taken_as_they_are_written(warehouse: &dyn Warehouse) {
    let table = TableConfig { table: "Order \"Notes\"; --".into(), ..table(warehouse) };
    let mut sink = warehouse.open(&table, &notes()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink.write(&batch(&[(1, Some("a'; DROP TABLE x; --"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
}

pub(crate) async fn the_first_row_of_a_key_stays_where_later_ones_are_ignored(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([insert_ignore()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, Some("first")), (2, Some("only")), (1, Some("second"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    sink.write(&batch(&[(2, Some("late")), (3, None), (3, Some("late"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(3), &at(6)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 first", "2 only", "3 null"]);
    let rejected = sink.delete(&keys(&[1])).await.expect("answers");
    assert_eq!(rejected.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::TombstoneRefused]);
}

pub(crate) async fn a_refused_row_leaves_its_key_to_the_next_one(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&insert_ignore(), None).await;
    sink.write(&batch(&[(1, Some("bad")), (1, Some("good")), (1, Some("late"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, [(0, Code::RowRefused)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 good"]);
}

pub(crate) async fn a_column_that_a_row_lacks_is_left_as_it_is(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([mirror()]).pop() else { return };
    let schema = everything::seen();
    let mut sink = warehouse.open(&table, &schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let lacking_note = |rows: &[(i64, i64)]| everything::seen_batch(&schema, rows, None);
    let whole = |rows: &[(i64, i64)], note| everything::seen_batch(&schema, rows, Some(note));
    sink.write(&whole(&[(1, 7), (2, 7)], "kept")).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    // 1: only `seen` changes; 2: written anew, then again without its note; 3: new without a note; 4: deleted and new without one.
    sink.write(&lacking_note(&[(1, 8)])).await.expect("writes");
    sink.write(&whole(&[(2, 8), (4, 8)], "told")).await.expect("writes");
    sink.write(&lacking_note(&[(2, 9), (3, 9)])).await.expect("writes");
    sink.delete(&keys(&[4])).await.expect("deletes");
    sink.write(&lacking_note(&[(4, 9), (1, 9)])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(1), &at(9)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 kept", "2 told", "3 null", "4 null"]);
    assert_eq!(warehouse.values(&["seen"]).await, vec![[Some("9".to_owned())]; 4]);
}

pub(crate) async fn a_row_that_is_there_may_lack_what_the_target_requires(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text NOT NULL); INSERT INTO notes VALUES (1, 'kept')").await;
    let mut sink = warehouse.claimed(&mirror(), None).await;
    sink.write(&without_notes(&[1, 2])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, [(1, Code::RowRefused)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 kept"]);
}

pub(crate) async fn a_table_that_is_cleared_keeps_only_what_comes_after(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([mirror()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, Some("before"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    sink.write(&batch(&[(2, Some("before"))])).await.expect("writes");
    sink.clear(Origin::all(records(3, 1))).await.expect("clears");
    sink.write(&batch(&[(3, Some("after")), (2, Some("after"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(warehouse.notes().await, ["1 before"], "nothing shows before the commit");
    assert_eq!(commit(&mut sink, &at(1), &at(4)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 after", "3 after"]);
    sink.clear(Origin::all(records(4, 1))).await.expect("clears");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(4), &at(5)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, [""; 0]);
}

pub(crate) async fn rows_of_ten_megabytes_arrive(warehouse: &dyn Warehouse) {
    let text = "x".repeat(10 << 20);
    for table in tables(warehouse) {
        let mut sink = warehouse.claimed(&table, None).await;
        sink.write(&batch(&[(1, Some(&text)), (2, Some("small")), (3, Some(&text))])).await.expect("writes");
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
        let notes = warehouse.values(&["note"]).await;
        let notes: Vec<Option<&str>> = notes.iter().map(|row| row[0].as_deref()).collect();
        assert!(notes == [Some(&*text), Some("small"), Some(&*text)], "all that was written");
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn as_many_columns_arrive_as_the_target_takes_and_one_more_is_refused_by_check(warehouse: &dyn Warehouse) {
    let connection = warehouse.connection();
    for table in tables(warehouse) {
        let most = connection.capabilities().most_columns(&table);
        let (schema, batch) = everything::wide(most);
        let mut sink = warehouse.open(&table, &schema).await.expect("opens");
        sink.claim(&[partition()]).await.expect("claims");
        assert_eq!(sink.write(&batch).await.expect("writes"), []);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
        let last = warehouse.values(&["id", &format!("c{}", most - 1)]).await;
        assert_eq!(last, [["0", "0"], ["1", "1"]].map(|row| row.map(|text| Some(text.to_owned()))));
        let fault = connection.check(&warehouse.table(&table), &everything::wide(most + 1).0).expect_err("is one too many");
        assert!(fault.message().contains(&format!("more than the {most}")), "{fault}");
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_writer_that_stands_still_keeps_no_successor_from_any_mode(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut stale = warehouse.claimed(&table, None).await;
        stale.write(&batch(&[(1, Some("stale"))])).await.expect("writes");
        let mut successor = warehouse.claimed(&table, None).await;
        successor.write(&batch(&[(1, Some("successor"))])).await.expect("writes");
        assert_eq!(settled(&mut successor).await, []);
        assert_eq!(commit(&mut successor, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_fenced_again(&mut stale).await;
        assert_eq!(warehouse.notes().await, ["1 successor"]);
        drop((stale, successor));
        warehouse.clean().await;
    }
}

/// What it had staged does not come, whichever call tells so.
async fn assert_fenced_again(stale: &mut Box<dyn Sink>) {
    let round = async {
        stale.settle().await?;
        stale.commit(&Offsets::new(), &at(1)).await
    };
    match round.await {
        Ok(commit) => assert_eq!(commit, Commit::Fenced),
        Err(fault) => assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}"),
    }
}

/// A bound of a load at an offset of a partition, of a topic of two.
fn bound(edge: Edge, load: &str, partition: i32, offset: i64) -> LoadBound {
    LoadBound { edge, load: load.into(), origin: Origin::all(records_of(partition, offset, 1)), partitions: 2 }
}

/// Settles and commits a round of both partitions; returns what was rejected.
async fn round(sink: &mut Box<dyn Sink>, from: i64, to: i64) -> Vec<(i64, Code)> {
    let rejected = settled(sink).await;
    let both = |offset: i64| -> Offsets {
        if offset == 0 { Offsets::new() } else { [0, 1].map(|number| (TopicPartition::new("orders", number), offset)).into() }
    };
    assert_eq!(commit(sink, &both(from), &both(to)).await, Commit::Done);
    rejected
}

async fn replacing(warehouse: &dyn Warehouse, keys: &[&str]) -> Box<dyn Sink> {
    let table = TableConfig { keys: keys.iter().map(|&key| key.to_owned()).collect(), ..replace() };
    let mut sink = warehouse.open(&table, &notes()).await.expect("opens");
    sink.claim(&[partition(), other_partition()]).await.expect("claims");
    sink
}

pub(crate) async fn a_load_takes_the_place_of_all_rows_when_it_has_ended_everywhere(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &[]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("a")), (2, Some("a"))])).await.expect("writes");
    sink.write(&rows_at(1, 0, &[(3, Some("a"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 2)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 10).await, []);
    assert_eq!(warehouse.notes().await, [""; 0], "one partition is still to come");
    // The next load comes in one partition before the first one has ended in the other; a new sink goes on.
    sink.write(&rows_at(0, 10, &[(1, Some("b"))])).await.expect("writes");
    assert_eq!(round(&mut sink, 10, 20).await, []);
    drop(sink);
    let mut sink = replacing(warehouse, &[]).await;
    sink.bound(bound(Edge::End, "a", 1, 20)).await.expect("ends");
    assert_eq!(round(&mut sink, 20, 30).await, []);
    assert_eq!(warehouse.notes().await, ["1 a", "2 a", "3 a"]);
    sink.bound(bound(Edge::End, "b", 0, 30)).await.expect("ends");
    sink.bound(bound(Edge::End, "b", 1, 30)).await.expect("ends");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(warehouse.notes().await, ["1 a", "2 a", "3 a"], "nothing shows before the commit");
    assert_eq!(round(&mut sink, 30, 40).await, []);
    assert_eq!(warehouse.notes().await, ["1 b"]);
    let left = warehouse.rows("SELECT (SELECT count(*) FROM notes__loading), (SELECT count(*) FROM millrace_loads)").await;
    assert_eq!(left, [["0", "0"].map(|text| Some(text.to_owned()))]);
}

pub(crate) async fn a_load_that_begins_voids_what_came_before_it_and_never_ended(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &[]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("broken off"))])).await.expect("writes");
    sink.bound(bound(Edge::Begin, "a", 0, 1)).await.expect("begins");
    sink.write(&rows_at(0, 1, &[(2, Some("whole"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 2)).await.expect("ends");
    sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 3).await, []);
    assert_eq!(warehouse.notes().await, ["2 whole"]);
    // A second end of the same name before the load was whole voids the first one.
    sink.write(&rows_at(0, 3, &[(3, Some("broken off"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "b", 0, 4)).await.expect("ends");
    sink.write(&rows_at(0, 5, &[(4, Some("whole"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "b", 0, 6)).await.expect("ends");
    sink.bound(bound(Edge::End, "b", 1, 6)).await.expect("ends");
    assert_eq!(round(&mut sink, 3, 7).await, []);
    assert_eq!(warehouse.notes().await, ["4 whole"]);
}

pub(crate) async fn the_last_row_of_a_key_counts_in_a_load_with_keys(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &["id"]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("first")), (2, Some("only")), (1, Some("last"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 3)).await.expect("ends");
    sink.bound(bound(Edge::End, "a", 1, 3)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 4).await, []);
    assert_eq!(warehouse.notes().await, ["1 last", "2 only"]);
}

pub(crate) async fn a_load_that_the_target_refuses_leaves_the_table_as_it_is(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint, note text NOT NULL, UNIQUE (note)); INSERT INTO notes VALUES (0, 'kept')").await;
    let mut sink = replacing(warehouse, &[]).await;
    let seen = sink.write(&rows_at(0, 0, &[(1, Some("same")), (2, Some("same")), (3, None)])).await.expect("writes");
    assert_eq!(seen.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(), [(2, Code::ValueNull)], "what is seen is rejected alone");
    sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
    sink.bound(bound(Edge::End, "a", 0, 3)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 4).await, [(3, Code::LoadRefused)]);
    assert_eq!(warehouse.notes().await, ["0 kept"]);
    sink.write(&rows_at(1, 4, &[(5, Some("next"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "b", 0, 4)).await.expect("ends");
    sink.bound(bound(Edge::End, "b", 1, 5)).await.expect("ends");
    assert_eq!(round(&mut sink, 4, 6).await, []);
    assert_eq!(warehouse.notes().await, ["5 next"]);
}

pub(crate) async fn a_crash_before_the_commit_of_the_last_end_leaves_the_table_and_the_load(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &[]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("a"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 1)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 2).await, []);
    for settles in [false, true] {
        sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
        if settles {
            assert_eq!(settled(&mut sink).await, []);
        } else {
            let fault = sink.commit(&at(2), &at(3)).await.expect_err("the end would be nowhere");
            assert_eq!(fault.code(), Code::Internal);
        }
        drop(sink);
        assert_eq!(warehouse.notes().await, [""; 0]);
        sink = replacing(warehouse, &[]).await;
    }
    sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
    assert_eq!(round(&mut sink, 2, 3).await, []);
    assert_eq!(warehouse.notes().await, ["1 a"]);
}
