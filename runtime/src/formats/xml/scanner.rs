//! The records of an XML document: the elements at a path, each with its own text.

use std::io::BufReader;

use millrace_model::{Code, Fault, Result};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

use super::super::Problem;
use super::super::blocks::Bytes;
use super::element::{Building, Element, element, local};

/// A record as it was read.
pub(super) struct Found {
    pub(super) text: Vec<u8>,
    pub(super) element: Result<Element, Problem>,
}

/// Finds the records of a document.
pub(super) struct Scanner {
    reader: Reader<BufReader<Box<dyn Bytes>>>,
    /// The names of the elements down to that of a record; one name is found at any depth.
    path: Vec<String>,
    /// The elements that are open around the present place.
    open: Vec<String>,
    /// How long a record's text may be, in bytes.
    limit: usize,
}

impl Scanner {
    /// Scans `file` for the elements at `path`; the text of one that is longer than `limit` bytes is cut a little behind it.
    pub(super) fn new(file: Box<dyn Bytes>, path: &str, limit: usize) -> Self {
        let path = path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Self { reader: Reader::from_reader(BufReader::new(file)), path, open: Vec::new(), limit }
    }

    /// The next record; `None` at the end of the document.
    pub(super) fn record(&mut self) -> Result<Option<Found>> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match self.reader.read_event_into(&mut buffer).map_err(damaged)? {
                Event::Start(start) => {
                    self.open.push(local(&start));
                    if is_record(&self.path, &self.open) {
                        let start = start.into_owned();
                        let found = self.found(&start)?;
                        self.open.pop();
                        return Ok(Some(found));
                    }
                }
                Event::Empty(empty) => {
                    self.open.push(local(&empty));
                    let is_record = is_record(&self.path, &self.open);
                    self.open.pop();
                    if is_record {
                        return Ok(Some(Found { text: format!("<{}/>", &*empty).into_bytes(), element: element(&empty) }));
                    }
                }
                Event::End(_) => {
                    self.open.pop();
                }
                Event::Eof if self.open.is_empty() => return Ok(None),
                Event::Eof => return Err(Fault::operator(Code::FileDamaged, "not a whole XML document: it ends within an element")),
                _ => {}
            }
        }
    }

    /// The record that begins with `start`, up to its end.
    fn found(&mut self, start: &BytesStart<'_>) -> Result<Found> {
        let mut original = Original { writer: Writer::new(Vec::new()), limit: self.limit };
        original.take(&Event::Start(start.borrow()));
        let mut building = Building::begin(start);
        let mut buffer = Vec::new();
        while !building.is_done() {
            buffer.clear();
            let event = self.reader.read_event_into(&mut buffer).map_err(damaged)?;
            if matches!(event, Event::Eof) {
                return Err(Fault::operator(Code::FileDamaged, "not a whole XML document: it ends within a record"));
            }
            original.take(&event);
            // What is too long is rejected as that, so what is in it is not kept.
            building.take(&event, original.is_overlong());
        }
        Ok(Found { text: original.writer.into_inner(), element: building.finish() })
    }
}

/// A record's own text, up to a little more than it may have.
struct Original {
    writer: Writer<Vec<u8>>,
    limit: usize,
}

impl Original {
    fn take(&mut self, event: &Event<'_>) {
        if !self.is_overlong() {
            // Writing to a vector can't fail.
            self.writer.write_event(event.borrow()).unwrap_or_default();
        }
    }

    fn is_overlong(&self) -> bool {
        self.writer.get_ref().len() > self.limit
    }
}

fn is_record(path: &[String], open: &[String]) -> bool {
    match path {
        [name] => open.last() == Some(name),
        path => path == open,
    }
}

fn damaged(error: quick_xml::Error) -> Fault {
    Fault::operator(Code::FileDamaged, "not a whole XML document").because(error)
}
