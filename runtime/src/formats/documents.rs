//! JSON documents: one array of records, or records one after the other, with or without white space between them.

use std::io::Read;
use std::sync::Arc;

use millrace_model::{Code, Fault, Record, RecordsBuilder, Rejection, Result, Schema};

use super::blocks::{Block, Blocks, Bytes, Opening};
use super::json::JsonReader;

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 18;
/// How much is kept of a record that is too long, in bytes.
const KEPT: usize = 1 << 16;

/// A JSON document, open.
pub struct JsonDocument {
    opening: Opening,
    reader: JsonReader,
    scanner: Scanner,
    /// The number of the next record.
    next: u64,
}

impl std::fmt::Debug for JsonDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonDocument").field("opening", &self.opening).field("next", &self.next).finish_non_exhaustive()
    }
}

impl JsonDocument {
    /// Opens a document of records of `schema`: those of the document itself, or of the array that `names` lead to from it. Records before
    /// [`Opening::from`] are scanned, not parsed.
    pub fn open(file: Box<dyn Bytes>, schema: &Schema, names: &[String], opening: Opening) -> Result<Self> {
        let mut scanner = Scanner { file, buffer: Vec::new(), start: 0, ended: false, in_array: false, inner: false, limit: opening.limit };
        if !names.is_empty() {
            scanner.descend(names)?;
        }
        let mut document = Self { reader: JsonReader::new(schema)?, scanner, next: 0, opening };
        while document.next < document.opening.from && document.scanner.record()?.is_some() {
            document.next += 1;
        }
        Ok(document)
    }
}

impl Blocks for JsonDocument {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        let now = jiff::Timestamp::now().as_millisecond();
        let (mut builder, mut overlong) = (RecordsBuilder::new(Arc::clone(&self.opening.topic), rows), Vec::new());
        let mut damaged = None;
        while builder.len() < rows {
            let found = match self.scanner.record() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(fault) => {
                    damaged = Some(fault);
                    break;
                }
            };
            if found.length > self.opening.limit {
                overlong.push((builder.len() as u32, found.length));
            }
            let (topic, offset) = (&*self.opening.topic, (self.next + builder.len() as u64) as i64);
            let value = Some(self.scanner.text(&found));
            builder.push(&Record { topic, partition: 0, offset, timestamp: now, key: None, value, headers: &[] });
        }
        match damaged {
            // What came before it is brought first.
            Some(fault) if builder.is_empty() => return Err(fault),
            _ if builder.is_empty() => return Ok(None),
            _ => {}
        }
        self.block(builder, &overlong).map(Some)
    }
}

impl JsonDocument {
    fn block(&mut self, builder: RecordsBuilder, overlong: &[(u32, usize)]) -> Result<Block> {
        let records = Arc::new(builder.finish());
        let parsed = self.reader.read(&records)?;
        let first = self.next;
        self.next += records.len() as u64;
        let place = |record: u32| format!("record {}", first + u64::from(record) + 1);
        let rejected = parsed.refused.iter().map(|refusal| match overlong.iter().find(|(record, _)| *record == refusal.record) {
            Some((record, length)) => {
                let reason = format!("{}: {length} bytes, longer than {}; here are its first {KEPT}", place(*record), self.opening.limit);
                Rejection::new(*record, Code::KafkaTooLarge, reason)
            }
            None => Rejection::new(refusal.record, refusal.code, format!("{}: {}", place(refusal.record), refusal.text())),
        });
        Ok(Block { rejected: rejected.collect(), batch: parsed.batch, next: self.next })
    }
}

/// Where a record's text stands in the buffer.
struct Found {
    start: usize,
    end: usize,
    /// The length of the whole record, of which the buffer may have the beginning only.
    length: usize,
}

/// Finds the records of a document: values at the top, or the items of an array there.
struct Scanner {
    file: Box<dyn Bytes>,
    buffer: Vec<u8>,
    /// Up to where the buffer is done with.
    start: usize,
    ended: bool,
    in_array: bool,
    /// Whether the array is all that is read of the document.
    inner: bool,
    limit: usize,
}

impl Scanner {
    /// Goes to the array that the names lead to.
    fn descend(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            self.member(name)?;
        }
        let path = names.join(".");
        if self.peek()? != Some(b'[') {
            return Err(damaged(&format!("there is no array at `{path}`")));
        }
        self.start += 1;
        (self.in_array, self.inner) = (true, true);
        Ok(())
    }

    /// Goes to the value of that name in the object that begins here.
    fn member(&mut self, wanted: &str) -> Result<()> {
        let missing = || damaged(&format!("there is no `{wanted}`"));
        let mut opening = b'{';
        while self.peek()? == Some(opening) {
            self.start += 1;
            if self.peek()? != Some(b'"') {
                break;
            }
            let name = self.value()?;
            let found = serde_json::from_slice::<String>(self.text(&name)).is_ok_and(|name| name == wanted);
            if self.peek()? != Some(b':') {
                break;
            }
            self.start += 1;
            if found {
                return Ok(());
            }
            self.peek()?;
            self.value()?;
            opening = b',';
        }
        Err(missing())
    }

    fn text(&self, found: &Found) -> &[u8] {
        &self.buffer[found.start..found.end]
    }

    /// The next record; `None` at the end of the document.
    fn record(&mut self) -> Result<Option<Found>> {
        loop {
            if self.inner && !self.in_array {
                return Ok(None);
            }
            match self.peek()? {
                None if self.in_array => return Err(damaged("it ends within its array")),
                None => return Ok(None),
                Some(b'[') if !self.in_array => self.in_array = true,
                Some(b']') if self.in_array => self.in_array = false,
                Some(b',') if self.in_array => {}
                Some(_) => return self.value().map(Some),
            }
            self.start += 1;
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let rest = &self.buffer[self.start..];
            let gap = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.start += gap;
            if let Some(&byte) = self.buffer.get(self.start) {
                return Ok(Some(byte));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The value that begins at `start`, its end found by brackets and quotes.
    fn value(&mut self) -> Result<Found> {
        // Bytes of the value that have been looked at, and how many of them were not kept.
        let (mut nesting, mut length, mut dropped) = (Nesting::default(), 0, 0);
        loop {
            while let Some(&byte) = self.buffer.get(self.start + length) {
                match nesting.take(byte) {
                    Step::Within => length += 1,
                    Step::EndsWith => return Ok(self.found(length + 1, dropped)),
                    Step::EndsBefore => return Ok(self.found(length, dropped)),
                }
            }
            if length > self.limit {
                let kept = KEPT.min(self.limit);
                dropped += length - kept;
                self.buffer.truncate(self.start + kept);
                length = kept;
            }
            if !self.fill()? {
                return if nesting.is_scalar() { Ok(self.found(length, dropped)) } else { Err(damaged("it ends within a record")) };
            }
        }
    }

    /// The value of the next `length` bytes of the buffer, which lacks `dropped` bytes of it.
    fn found(&mut self, length: usize, dropped: usize) -> Found {
        let (start, whole) = (self.start, length + dropped);
        self.start += length;
        let kept = if whole > self.limit { length.min(KEPT).min(self.limit) } else { length };
        Found { start, end: start + kept, length: whole }
    }

    /// Reads more; tells whether there was more.
    fn fill(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        // What is done with goes from the front of the buffer.
        self.buffer.drain(..self.start);
        self.start = 0;
        let read = Read::by_ref(&mut self.file).take(CHUNK as u64).read_to_end(&mut self.buffer);
        let read = read.map_err(|error| Fault::operator(Code::FileUnreadable, "the file can't be read").because(error))?;
        self.ended = read == 0;
        Ok(read > 0)
    }
}

fn damaged(why: &str) -> Fault {
    Fault::operator(Code::FileDamaged, format!("not a whole JSON document: {why}"))
}

/// Where in a value a byte is.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

enum Step {
    Within,
    EndsWith,
    EndsBefore,
}

impl Nesting {
    /// Whether the value is one that needs no end of its own: a number, `true`, `null`.
    fn is_scalar(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    fn take(&mut self, byte: u8) -> Step {
        let first = !std::mem::replace(&mut self.begun, true);
        if self.in_string {
            return self.take_in_string(byte);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return if self.depth == 0 { Step::EndsWith } else { Step::Within };
            }
            b',' | b']' if self.depth == 0 && !first => return Step::EndsBefore,
            byte if self.depth == 0 && byte.is_ascii_whitespace() => return Step::EndsBefore,
            _ => {}
        }
        Step::Within
    }

    fn take_in_string(&mut self, byte: u8) -> Step {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                return if self.depth == 0 { Step::EndsWith } else { Step::Within };
            }
            _ => {}
        }
        Step::Within
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use arrow::array::AsArray;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::formats::testing::schema;

    fn open(text: &[u8], from: u64) -> Result<JsonDocument> {
        let schema = schema(&json!([{ "name": "s", "type": "string" }]));
        let opening = Opening { topic: "file:a.json".into(), from, limit: 40 };
        JsonDocument::open(Box::new(Cursor::new(text.to_vec())), &schema, &[], opening)
    }

    #[test]
    fn names_lead_to_the_array_of_records() {
        let schema = schema(&json!([{ "name": "s", "type": "string" }]));
        let open = |text: &str| {
            let opening = Opening { topic: "file:a.json".into(), from: 0, limit: 40 };
            let names = ["data".to_owned(), "items".to_owned()];
            JsonDocument::open(Box::new(Cursor::new(text.as_bytes().to_vec())), &schema, &names, opening)
        };
        let mut document =
            open(r#"{"n": [1, {"items": 2}], "data": {"a\"b": "]", "items": [{"s":"a"},{"s":"b"}], "more": [{"s":"c"}]}}"#).expect("opens");
        let block = document.next(9).expect("reads").expect("has records");
        assert_eq!(block.batch.columns().column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b"]);
        assert!(document.next(9).expect("reads").is_none());
        for text in ["", "{}", "[]", r#"{"data": 1}"#, r#"{"data": {"items": {}}}"#, r#"{"data""#] {
            assert_eq!(open(text).err().map(|fault| fault.code()), Some(Code::FileDamaged), "{text}");
        }
    }

    /// What came of each record: its text, or why there is none; and the fault at the end if there is one.
    fn read(text: &[u8], from: u64, rows: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let mut document = match open(text, from) {
            Ok(document) => document,
            Err(fault) => return vec![format!("!! {}", fault.message())],
        };
        loop {
            match document.next(rows) {
                Ok(Some(block)) => {
                    let strings = block.batch.columns().column(0).as_string::<i32>();
                    let good = (0..block.batch.len()).map(|row| (block.batch.origin().rows()[row], strings.value(row).to_owned()));
                    let bad = block.rejected.iter().map(|rejection| (rejection.record, format!("! {}", rejection.reason)));
                    let mut all: Vec<(u32, String)> = good.chain(bad).collect();
                    all.sort();
                    seen.extend(all.into_iter().map(|(_, text)| text));
                }
                Ok(None) => return seen,
                Err(fault) => {
                    seen.push(format!("!! {}", fault.message()));
                    return seen;
                }
            }
        }
    }

    #[test]
    fn an_array_and_records_one_after_the_other_are_read_alike() {
        for text in [r#"[{"s":"a"},{"s":"b]"},{"s":"\"}"}]"#, "{\"s\":\"a\"}{\"s\":\"b]\"}\n\n{\"s\":\"\\\"}\"}\n"] {
            assert_eq!(read(text.as_bytes(), 0, 2), ["a", "b]", "\"}"], "{text}");
            assert_eq!(read(text.as_bytes(), 1, 2), ["b]", "\"}"], "{text}");
        }
    }

    #[test]
    fn empty_documents_are_fine() {
        for text in ["", " \n", "[]", "[ ]\n"] {
            assert!(read(text.as_bytes(), 0, 2).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn a_bad_record_is_rejected_alone_by_its_number() {
        let seen = read(br#"[{"s":"a"},{"s":1}, 7 ,null,{"s" "b"},{"s":"c"}]"#, 0, 10);
        assert_eq!(seen[0], "a");
        assert_eq!(seen[1], "! record 2: s: expected string, found number 1");
        assert_eq!(seen[2], "! record 3: expected an object, found number 7");
        assert!(seen[4].starts_with("! record 5: not valid JSON"), "{seen:?}");
        assert_eq!(seen[5], "c");
    }

    #[test]
    fn a_record_that_is_too_long_is_rejected_alone() {
        let text = format!(r#"[{{"s":"a"}},{{"s":"{}"}},{{"s":"b"}}]"#, "x".repeat(CHUNK * 2));
        let seen = read(text.as_bytes(), 0, 10);
        assert!(seen[1].starts_with("! record 2: 524296 bytes, longer than 40"), "{}", &seen[1]);
        assert_eq!((&*seen[0], &*seen[2]), ("a", "b"));
    }

    #[test]
    fn a_truncated_document_is_damaged_after_what_is_whole() {
        assert_eq!(read(br#"[{"s":"a"},{"s":"b"}"#, 0, 10), ["a", "b", "!! not a whole JSON document: it ends within its array"]);
        assert_eq!(read(br#"{"s":"a"}{"s":"#, 0, 10), ["a", "!! not a whole JSON document: it ends within a record"]);
    }

    proptest! {
        #[test]
        fn reading_goes_on_from_every_record(items in prop::collection::vec("[a-c\\[\\]{},\"\\\\]{0,6}", 0..8), rows in 1..4usize, array: bool) {
            let texts: Vec<String> = items.iter().map(|item| json!({ "s": item }).to_string()).collect();
            let text = if array { format!("[{}]", texts.join(" ,")) } else { texts.concat() };
            for from in 0..=items.len() {
                prop_assert_eq!(read(text.as_bytes(), from as u64, rows), &items[from..]);
            }
        }

        #[test]
        fn no_bytes_panic(text in prop::collection::vec(prop_oneof![Just(b'['), Just(b'{'), Just(b'"'), Just(b','), Just(b'}'), any::<u8>()], 0..60)) {
            read(&text, 0, 3);
        }
    }
}
