//! CSV rows by schema, and where a row ends in a text.
//!
//! RFC 4180 as [`csv_core`] reads it: quotes protect delimiters and line ends, a quote in a quoted field is
//! doubled, any of LF, CR and CRLF ends a row, empty lines are no rows.

use std::cell::RefCell;
use std::sync::Arc;

use millrace_model::{Batch, Code, Fault, Origin, Records, Result, Schema};

use super::columns::Columns;
use super::datum::Datum;
use super::shape::{Member, Shape};
use super::{Parsed, Problem, scalar, shortened};

/// How a file writes its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// What stands between fields; a comma by default.
    pub delimiter: u8,
    /// The fields that mean null, such as `NA`, quoted or not. An empty field without quotes is null too, in a
    /// column that may be null.
    pub nulls: Vec<String>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', nulls: Vec::new() }
    }
}

/// Splits text into rows and rows into fields.
#[derive(Debug)]
pub struct Scanner {
    machine: csv_core::Reader,
    /// A second one that finds where fields begin. (In csv-core 0.1.13 a clone forgets its tables, and making them takes longer than reading a row.)
    finder: RefCell<csv_core::Reader>,
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

impl Scanner {
    /// A scanner of rows whose fields stand between `delimiter`s.
    pub fn new(delimiter: u8) -> Self {
        let machine = || csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self { machine: machine(), finder: machine().into(), text: vec![0; 1024], ends: vec![0; 64], fields: 0 }
    }

    /// Reads the row at the beginning of `text`, and returns how many bytes it takes, its line end included (of
    /// CRLF the CR only); `None` when the row does not end within `text`. A byte order mark before it is passed over.
    pub fn row(&mut self, text: &[u8]) -> Option<usize> {
        self.machine.reset();
        self.read(text)
    }

    fn read(&mut self, text: &[u8]) -> Option<usize> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        let (mut read, mut written) = (0, 0);
        self.fields = 0;
        while read < text.len() {
            let (result, took, wrote, ended) =
                self.machine.read_record(&text[read..], &mut self.text[written..], &mut self.ends[self.fields..]);
            (read, written, self.fields) = (read + took, written + wrote, self.fields + ended);
            match result {
                Record => return Some(read),
                OutputFull => self.text.resize(self.text.len() * 2, 0),
                OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                InputEmpty | End => break,
            }
        }
        None
    }

    /// The fields of the row read last.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.fields).map(|field| {
            let start = if field == 0 { 0 } else { self.ends[field - 1] };
            &self.text[start..self.ends[field]]
        })
    }

    /// Whether a field of `row` begins with a quote.
    fn is_quoted(&self, row: &[u8], field: usize) -> bool {
        if memchr::memchr(b'"', row).is_none() {
            return false;
        }
        let mut finder = self.finder.borrow_mut();
        finder.reset();
        // It stops where the ends of the fields before this one fill the room for them.
        let (_, start, _, _) = finder.read_record(row, &mut vec![0; row.len() + 1], &mut vec![0; field]);
        row.get(start) == Some(&b'"')
    }

    /// The same for a row that is not the first of a file: what looks like a byte order mark is text.
    fn inner_row(&mut self, text: &[u8]) -> Option<usize> {
        self.machine.reset();
        // The machine looks for a mark in the first bytes that it is given.
        self.machine.read_record(b"\n", &mut [0], &mut [0]);
        self.read(text)
    }

    /// Reads one row that may lack its line end; tells whether `row` is that: no more, no less.
    fn whole_row(&mut self, row: &[u8], scratch: &mut Vec<u8>) -> Result<(), &'static str> {
        scratch.clear();
        scratch.extend_from_slice(row);
        scratch.push(b'\n');
        match self.inner_row(scratch) {
            Some(end) if end == scratch.len() => Ok(()),
            Some(_) => Err("the line holds more than one row"),
            None if row.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => Err("the line is empty"),
            None => Err("a quote is not closed"),
        }
    }
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The row as it is but for CR and LF: a blank before them may be a delimiter.
fn without_line_end(mut row: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] = row {
        row = rest;
    }
    row
}

/// The names in a header row, without a byte order mark.
pub fn header(row: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let mut scanner = Scanner::new(delimiter);
    scanner.whole_row(without_line_end(row.strip_prefix(BYTE_ORDER_MARK).unwrap_or(row)), &mut Vec::new())?;
    let name = |field: &[u8]| String::from_utf8(field.to_vec()).map_err(|_| "the header is not UTF-8".to_owned());
    scanner.fields().map(name).collect()
}

/// Reads records whose values are one row each, under one header.
#[derive(Debug)]
pub struct CsvReader {
    schema: Schema,
    shape: Shape,
    dialect: Dialect,
    /// For each column of the file the field of the schema.
    columns: Vec<usize>,
    /// The values of the fields that the file has no column for.
    absent: Vec<Option<Datum<'static>>>,
}

impl CsvReader {
    /// A reader of rows under `header`. Refuses a header that does not fit the schema: columns that the
    /// schema has not, fields without a default that the header has not, and names that come twice (`CsvInvalid`,
    /// for an operator: every row of the file would fail).
    pub fn new(schema: &Schema, header: &[String], dialect: Dialect) -> Result<Self> {
        let shape = Shape::of(schema)?;
        Columns::new(&shape, schema.arrow(), 0)?;
        let columns = columns(&shape, header)?;
        let absent = absent(&shape, &columns)?;
        Ok(Self { schema: schema.clone(), shape, dialect, columns, absent })
    }

    /// Reads each record's value; a row that does not fit is refused alone.
    pub fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        let mut columns = Columns::new(&self.shape, self.schema.arrow(), records.len())?;
        let mut rows = Vec::with_capacity(records.len());
        let mut refused = Vec::new();
        let mut scanner = Scanner::new(self.dialect.delimiter);
        let mut scratch = Vec::new();
        for index in 0..records.len() as u32 {
            match self.check(records.value(index as usize).unwrap_or_default(), &mut scanner, &mut scratch) {
                Ok(row) => {
                    columns.append(row);
                    rows.push(index);
                }
                Err(problem) => refused.push(problem.of_record(index)),
            }
        }
        Ok(Parsed { batch: Batch::new(columns.finish()?, Origin::of(Arc::clone(records), rows)), refused })
    }

    fn check<'s>(&self, row: &[u8], scanner: &'s mut Scanner, scratch: &mut Vec<u8>) -> Result<Vec<Datum<'s>>, Problem> {
        scanner.whole_row(row, scratch).map_err(|reason| Problem::new(Code::CsvInvalid, reason))?;
        if scanner.fields != self.columns.len() {
            let reason = format!("the row has {} fields, the header {}", scanner.fields, self.columns.len());
            return Err(Problem::new(Code::CsvInvalid, reason));
        }
        let scanner: &'s Scanner = scanner;
        let mut values: Vec<Option<Datum<'s>>> = self.absent.clone();
        for (column, (bytes, &field)) in scanner.fields().zip(&self.columns).enumerate() {
            let member = &self.shape.fields[field];
            let value = if bytes.is_empty() && member.slot.nullable && !scanner.is_quoted(row, column) {
                Datum::Null
            } else {
                self.value(member, bytes).map_err(|problem| problem.in_field(&member.name))?
            };
            values[field] = Some(value);
        }
        Ok(values.into_iter().map(|value| value.unwrap_or(Datum::Null)).collect())
    }

    fn value<'s>(&self, member: &Member, bytes: &'s [u8]) -> Result<Datum<'s>, Problem> {
        let kind = &member.slot.kind;
        let text = std::str::from_utf8(bytes).map_err(|_| Problem::new(Code::EncodingInvalid, "the field is not UTF-8"))?;
        if self.dialect.nulls.iter().any(|null| null == text) {
            return if member.slot.nullable { Ok(Datum::Null) } else { Err(Problem::expected(&kind.name(), &format!("null ({text})"))) };
        }
        scalar::of_field(kind, text).map_err(|more| {
            let found = if text.is_empty() { "nothing".into() } else { shortened(text) };
            let comma = if more.is_empty() { "" } else { ", " };
            Problem::expected(&kind.name(), &format!("{found}{comma}{more}"))
        })
    }
}

fn columns(shape: &Shape, header: &[String]) -> Result<Vec<usize>> {
    let mut columns = Vec::with_capacity(header.len());
    for name in header {
        let index = shape.index(name).ok_or_else(|| {
            refused(format!("the column `{}` of the header is not in the schema{}", shortened(name), shape.suggestion(name)))
        })?;
        if columns.contains(&index) {
            return Err(refused(format!("the column `{name}` comes twice in the header")));
        }
        if shape.fields[index].slot.kind.is_nested() {
            let message = format!("the column `{name}` is of the type {}, which CSV can't carry", shape.fields[index].slot.kind.name());
            return Err(Fault::operator(Code::SchemaUnsupported, message));
        }
        columns.push(index);
    }
    Ok(columns)
}

fn absent(shape: &Shape, columns: &[usize]) -> Result<Vec<Option<Datum<'static>>>> {
    let value = |(index, member): (usize, &Member)| match member.absent() {
        _ if columns.contains(&index) => Ok(None),
        Some(value) => Ok(Some(value)),
        None => Err(refused(format!("the header has no column `{}`, and the schema gives it no default", member.name))),
    };
    shape.fields.iter().enumerate().map(value).collect()
}

fn refused(message: String) -> Fault {
    Fault::operator(Code::CsvInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{records, schema};
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;
    use serde_json::json;

    fn flights() -> Schema {
        schema(&json!([
            { "name": "carrier", "type": "string" },
            { "name": "delay", "type": ["null", "int"], "default": null },
            { "name": "note", "type": ["null", "string"] },
            { "name": "seats", "type": "int", "default": 7 },
        ]))
    }

    fn reader(header: &[&str]) -> Result<CsvReader> {
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        CsvReader::new(&flights(), &header, Dialect { nulls: vec!["NA".into()], ..Dialect::default() })
    }

    fn refusals(rows: &[&[u8]]) -> Vec<(u32, Code, String)> {
        let parsed = reader(&["carrier", "delay", "note"]).expect("fits").read(&records(rows)).expect("reads");
        parsed.refused.into_iter().map(|refusal| (refusal.record, refusal.code, refusal.text())).collect()
    }

    #[test]
    fn rows_are_mapped_by_the_header_and_absent_columns_take_their_default() {
        let reader = reader(&["delay", "carrier"]).expect("fits");
        let parsed = reader.read(&records(&["5,UA", "NA,\"B\"\"6\"", ",AA"])).expect("reads");
        let columns = parsed.batch.columns();
        assert!(parsed.refused.is_empty());
        assert_eq!(columns.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["UA", "B\"6", "AA"]);
        assert_eq!(columns.column(1).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(5), None, None]);
        assert_eq!(columns.column(2).null_count(), 3);
        assert_eq!(columns.column(3).as_primitive::<Int32Type>().values(), &[7, 7, 7]);
    }

    #[test]
    fn an_empty_field_is_null_without_quotes_and_empty_text_with_them() {
        let parsed = reader(&["carrier", "delay", "note"]).expect("fits").read(&records(&["UA,1,", ",1,\"\""])).expect("reads");
        assert_eq!(parsed.batch.columns().column(2).as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("")]);
        assert_eq!(parsed.batch.columns().column(0).as_string::<i32>().value(1), "");
    }

    #[test]
    fn a_bad_row_is_refused_alone_and_says_why() {
        let refused =
            refusals(&[b"UA,1,x", b"UA,1", b"UA,1,x,y", b"UA,one,x", b"NA,1,x", b"UA,1,\"x", b"", b"UA,1,\xff", b"UA,2147483648,x"]);
        let expected = [
            (1, Code::CsvInvalid, "the row has 2 fields, the header 3"),
            (2, Code::CsvInvalid, "the row has 4 fields, the header 3"),
            (3, Code::FieldType, "delay: expected int, found one"),
            (4, Code::FieldType, "carrier: expected string, found null (NA)"),
            (5, Code::CsvInvalid, "a quote is not closed"),
            (6, Code::CsvInvalid, "the line is empty"),
            (7, Code::EncodingInvalid, "note: the field is not UTF-8"),
            (8, Code::FieldType, "delay: expected int, found 2147483648, which is out of range"),
        ];
        assert_eq!(refused, expected.map(|(record, code, text)| (record, code, text.to_owned())));
    }

    #[test]
    fn a_header_that_does_not_fit_is_for_an_operator() {
        let message = |header: &[&str]| reader(header).expect_err("refused").message().to_owned();
        assert_eq!(message(&["carier"]), "the column `carier` of the header is not in the schema; did you mean `carrier`?");
        assert_eq!(message(&["delay"]), "the header has no column `carrier`, and the schema gives it no default");
        assert_eq!(message(&["carrier", "carrier"]), "the column `carrier` comes twice in the header");
    }

    #[test]
    fn a_header_may_begin_with_a_byte_order_mark() {
        assert_eq!(header("\u{feff}a,\"b c\"\r".as_bytes(), b',').as_deref(), Ok(["a".to_owned(), "b c".into()].as_slice()));
        assert!(header(b"\xff", b',').is_err());
    }

    #[test]
    fn a_byte_order_mark_is_text_in_the_rows_after_the_header() {
        let parsed = reader(&["carrier", "delay", "note"]).expect("fits").read(&records(&["\u{feff}UA,1,x"])).expect("reads");
        assert_eq!(parsed.batch.columns().column(0).as_string::<i32>().value(0), "\u{feff}UA");
    }

    #[test]
    fn a_delimiter_at_the_end_of_a_header_is_kept() {
        assert_eq!(header(b"a\tb\t\r\n", b'\t').map(|names| names.len()), Ok(3));
    }

    proptest! {
        #[test]
        fn any_text_survives_quoting(fields in prop::collection::vec("[a-z\",\r\n é]{0,12}", 1..6)) {
            let row = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
            let text = format!("{row}\nnext,row\n");
            let mut scanner = Scanner::new(b',');
            prop_assert_eq!(scanner.row(text.as_bytes()), Some(row.len() + 1));
            let read: Vec<&[u8]> = scanner.fields().collect();
            prop_assert_eq!(read, fields.iter().map(String::as_bytes).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_panic(rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
            let parsed = reader(&["carrier", "delay", "note"]).expect("fits").read(&records(&rows)).expect("reads");
            prop_assert_eq!(parsed.batch.len() + parsed.refused.len(), rows.len());
        }
    }
}
