//! CSV: where rows end, and what they hold.

use std::sync::LazyLock;

use millrace_model::Schema;
use millrace_runtime::formats::csv::{CsvReader, Dialect, Scanner, header};

use crate::samples::{flat, records, schema};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema(&flat()));

/// The first byte chooses the delimiter; the first row is the header, each further one a record.
pub fn csv(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else { return };
    let delimiter = [b',', b';', b'\t', b'|'][choice as usize % 4];
    let dialect = Dialect { delimiter, nulls: vec!["NA".to_owned()] };
    let mut rows = rows(text, delimiter);
    let first = if rows.is_empty() { &[][..] } else { rows.remove(0) };
    // A header of noise is refused; its rows are read under a good one all the same.
    let named = header(first, delimiter).ok().and_then(|names| CsvReader::new(&SCHEMA, &names, dialect.clone()).ok());
    let reader = named.unwrap_or_else(|| CsvReader::new(&SCHEMA, &["id".to_owned(), "name".to_owned()], dialect).expect("fits"));
    let parsed = reader.read(&records(rows.iter().copied())).expect("reads");
    assert_eq!(parsed.batch.len() + parsed.refused.len(), rows.len(), "each row is a row or a refusal");
}

/// The rows of a text, and what is left of it.
fn rows(mut text: &[u8], delimiter: u8) -> Vec<&[u8]> {
    let (mut scanner, mut rows) = (Scanner::new(delimiter), Vec::new());
    while let Some(end) = scanner.row(text) {
        assert!(end > 0 && end <= text.len(), "a row takes bytes");
        rows.push(&text[..end]);
        text = &text[end..];
    }
    rows.extend((!text.is_empty()).then_some(text));
    rows
}
