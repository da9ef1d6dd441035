//! What the headers of dead letters say, as columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use jiff::Timestamp;
use millrace_runtime::dead_letters::DeadLetter;

/// A column and its values.
pub(crate) type Column = (Field, ArrayRef);

/// The columns `pipeline`, `stage`, `code`, `message`, `topic`, `partition`, `offset`, `at` and `key` of the letters.
pub(crate) fn columns(letters: &[&DeadLetter]) -> Vec<Column> {
    let mut columns: Vec<Column> = ["pipeline", "stage", "code", "message", "topic"].into_iter().map(|name| said(letters, name)).collect();
    let partitions: Int32Array = letters.iter().map(|letter| letter.partition()).collect();
    let offsets: Int64Array = letters.iter().map(|letter| letter.offset()).collect();
    let times: TimestampMillisecondArray = letters.iter().map(|letter| letter.at().map(Timestamp::as_millisecond)).collect();
    let keys: StringArray = letters.iter().map(|letter| std::str::from_utf8(letter.key.as_deref()?).ok()).collect();
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    columns.push((Field::new("partition", DataType::Int32, true), Arc::new(partitions)));
    columns.push((Field::new("offset", DataType::Int64, true), Arc::new(offsets)));
    columns.push((Field::new("at", instant, true), Arc::new(times.with_timezone("+00:00"))));
    columns.push((Field::new("key", DataType::Utf8, true), Arc::new(keys)));
    columns
}

fn said(letters: &[&DeadLetter], name: &str) -> Column {
    let texts: StringArray = letters.iter().map(|letter| Some(letter.said(name))).collect();
    (Field::new(name, DataType::Utf8, false), Arc::new(texts))
}
