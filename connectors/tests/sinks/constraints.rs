//! PostgreSQL's constraints that many rows of a round are against: each such row is rejected with the server's words, and no other.

use std::collections::BTreeMap;

use millrace_model::{Commit, Offsets};

use crate::rows::{append, at, batch};
use crate::warehouse::{Postgres, Warehouse};

const GOOD: &str = "good";
const LONG: &str = "longer than it may be";

/// Loads rows into a table made so; returns the reasons of those that are rejected, by the places of the rows, and how many are in the table.
async fn loaded(test: &str, definition: &str, rows: &[(i64, Option<&str>)]) -> (BTreeMap<i64, String>, usize) {
    let postgres = Postgres::new(test).await;
    postgres.execute(definition).await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = warehouse.claimed(&append(), None).await;
    assert!(sink.write(&batch(rows)).await.expect("writes").is_empty(), "only the server knows");
    let rejected = sink.settle().await.expect("settles");
    let reasons = rejected.iter().map(|one| (one.record().offset, one.reason().to_owned())).collect();
    assert_eq!(sink.commit(&Offsets::new(), &at(rows.len() as i64)).await.expect("commits"), Commit::Done);
    (reasons, warehouse.notes().await.len())
}

#[tokio::test]
async fn rows_against_checks_are_found_among_many_with_those_against_keys() {
    let definition = "CREATE TABLE notes (id bigint PRIMARY KEY, note text CONSTRAINT \"it's short\" CHECK (length(note) < 10), CONSTRAINT a CHECK (id <> 7))";
    let mut rows: Vec<(i64, Option<&str>)> = (0..2000).map(|id| (id, Some(if id % 100 == 3 { LONG } else { GOOD }))).collect();
    rows[500] = (499, Some(GOOD));
    rows[600] = (600, None);
    let (reasons, count) = loaded("checks", definition, &rows).await;
    let short = "new row for relation \"notes\" violates check constraint \"it's short\"";
    let mut expected: BTreeMap<i64, String> = (0..20).map(|hundred| (100 * hundred + 3, short.to_owned())).collect();
    expected.insert(7, "new row for relation \"notes\" violates check constraint \"a\"".to_owned());
    let twice = "duplicate key value violates unique constraint \"notes_pkey\": Key (id)=(499) already exists.";
    expected.insert(500, twice.to_owned());
    assert_eq!(reasons, expected);
    assert_eq!(count, 2000 - 22);
}

#[tokio::test]
async fn a_row_that_a_trigger_mends_is_not_rejected_for_what_it_was() {
    let definition = "CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (length(note) < 10)); \
         CREATE FUNCTION mend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := left(NEW.note, 5); RETURN NEW; END $$; \
         CREATE TRIGGER mends BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION mend()";
    let (reasons, count) = loaded("mended", definition, &[(1, Some(LONG)), (2, Some(GOOD)), (2, Some(GOOD))]).await;
    assert_eq!((reasons.into_keys().collect::<Vec<_>>(), count), (vec![2], 2));
}

#[tokio::test]
async fn a_check_that_fails_on_a_row_rejects_that_row() {
    let definition = "CREATE TABLE notes (id bigint, note text CHECK (length(note) < 10), CHECK (10 / id > 0))";
    let (reasons, count) = loaded("failing", definition, &[(1, Some(GOOD)), (0, Some(GOOD)), (2, Some(LONG)), (3, Some(GOOD))]).await;
    let reasons: Vec<(i64, String)> = reasons.into_iter().collect();
    assert_eq!(reasons[0], (1, "division by zero".to_owned()));
    assert_eq!((reasons[1].0, reasons.len(), count), (2, 2, 2));
}
