//! The records of a JSON document, cut from its text without being parsed.

use std::io::Read;

use millrace_model::{Code, Fault, Result};

use super::super::blocks::Bytes;
use super::super::numbered::KEPT;
use super::nesting::{Nesting, Step};

/// How much is read at once, in bytes.
pub(super) const CHUNK: usize = 1 << 18;

/// Where a record's text stands in the buffer.
pub(super) struct Found {
    start: usize,
    end: usize,
    /// The length of the whole record, of which the buffer may have the beginning only.
    pub(super) length: usize,
}

/// Finds the records of a document: values at the top, or the items of an array there.
pub(super) struct Scanner {
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
    /// Scans `file`; of a record longer than `limit` bytes the beginning is kept.
    pub(super) fn new(file: Box<dyn Bytes>, limit: usize) -> Self {
        Self { file, buffer: Vec::new(), start: 0, ended: false, in_array: false, inner: false, limit }
    }

    /// Goes to the array that the names lead to.
    pub(super) fn descend(&mut self, names: &[String]) -> Result<()> {
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

    pub(super) fn text(&self, found: &Found) -> &[u8] {
        &self.buffer[found.start..found.end]
    }

    /// The next record; `None` at the end of the document.
    pub(super) fn record(&mut self) -> Result<Option<Found>> {
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
        let start = self.start;
        self.start += length;
        Found { start, end: self.start, length: length + dropped }
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
