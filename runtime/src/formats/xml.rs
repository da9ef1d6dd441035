//! XML documents: one record for each element of a name, its attributes and the elements in it the record's fields.
//!
//! | schema | XML |
//! |---|---|
//! | a field | an attribute or an element of that name, prefixes of namespaces left out |
//! | a type of one piece | text, as a CSV field has it; white space around it is no part of it, except in a string |
//! | null | `xsi:nil="true"`, or an empty element where the type has no empty value |
//! | record | an element with attributes and elements; its own text is the field `value`, if it has attributes |
//! | map | an element whose elements are the entries |
//! | array | the element repeated, or one element that has nothing but the items, all of one name |
//!
//! A document type is passed over: no entity that it declares is known, none is read from elsewhere. So a record that mentions
//! one is rejected, and nothing that is small here becomes large.

use std::borrow::Cow;
use std::io::BufReader;

use millrace_model::{Code, Fault, Result, Schema};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer, XmlVersion};

use super::blocks::{Block, Blocks, Bytes, Opening};
use super::cell::{self, Cell};
use super::columns::Columns;
use super::datum::Datum;
use super::numbered::Numbered;
use super::shape::{Kind, Shape, Slot};
use super::{Problem, parsed};

/// How deep elements of a record may be nested.
const DEPTH: usize = 64;
/// The field that the text of an element with attributes is.
const VALUE: &str = "value";

/// An XML document, open.
pub struct XmlDocument {
    opening: Opening,
    schema: Schema,
    shape: Shape,
    /// The names of the elements down to that of a record; one name is found at any depth.
    path: Vec<String>,
    reader: Reader<BufReader<Box<dyn Bytes>>>,
    /// The elements that are open around the present place.
    open: Vec<String>,
    /// Texts that stand for null.
    nulls: Vec<String>,
    next: u64,
    /// Why nothing follows what was brought last.
    damaged: Option<Fault>,
}

impl std::fmt::Debug for XmlDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XmlDocument").field("opening", &self.opening).field("next", &self.next).finish_non_exhaustive()
    }
}

/// An element of a record.
#[derive(Debug, Default)]
struct Element {
    attributes: Vec<(String, String)>,
    elements: Vec<(String, Element)>,
    text: String,
    is_nil: bool,
}

/// A record as it was read.
struct Found {
    text: Vec<u8>,
    element: Result<Element, Problem>,
}

impl XmlDocument {
    /// Opens a document whose records are the elements at `path`, such as `orders/order`, or of one name wherever they are. Records before
    /// [`Opening::from`] are read and left out.
    pub fn open(file: Box<dyn Bytes>, schema: &Schema, path: &str, nulls: &[String], opening: Opening) -> Result<Self> {
        let shape = Shape::of(schema)?;
        Columns::new(&shape, schema.arrow())?;
        let path = path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let reader = Reader::from_reader(BufReader::new(file));
        let (schema, nulls) = (schema.clone(), nulls.to_vec());
        let mut document = Self { opening, schema, shape, path, reader, open: Vec::new(), nulls, next: 0, damaged: None };
        while document.next < document.opening.from && document.record()?.is_some() {
            document.next += 1;
        }
        Ok(document)
    }

    /// The next record; `None` at the end of the document.
    fn record(&mut self) -> Result<Option<Found>> {
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
        let mut original = Original { writer: Writer::new(Vec::new()), limit: self.opening.limit };
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

    fn row<'a>(&self, element: Result<Element, Problem>) -> Result<Vec<Datum<'a>>, Problem> {
        let members = members(&self.shape, element?, &self.nulls)?;
        Ok(cell::record(&self.shape, members)?.into_iter().map(Datum::into_owned).collect())
    }
}

impl Blocks for XmlDocument {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        if let Some(fault) = self.damaged.take() {
            return Err(fault);
        }
        let opening = self.opening.clone();
        let mut numbered = Numbered::new(&opening, self.next, rows);
        let mut elements = Vec::with_capacity(rows);
        while elements.len() < rows {
            match self.record() {
                Ok(Some(found)) => {
                    numbered.push(&found.text);
                    elements.push(found.element);
                }
                Ok(None) => break,
                Err(fault) if elements.is_empty() => return Err(fault),
                // What came before it is brought first.
                Err(fault) => {
                    self.damaged = Some(fault);
                    break;
                }
            }
        }
        if elements.is_empty() {
            return Ok(None);
        }
        let originals = numbered.finish();
        let rows = elements.into_iter().map(|element| self.row(element));
        let parsed = parsed(&self.shape, &self.schema, &originals.records, rows)?;
        let block = originals.block(parsed, |number| format!("element {}", number + 1))?;
        self.next = block.next;
        Ok(Some(block))
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

/// An element in the making, and those in it that are open.
struct Building {
    /// From the record's own element inwards.
    open: Vec<(String, Element)>,
    done: Option<Element>,
    /// How many elements are open, those that are not kept counted.
    depth: usize,
    problem: Option<Problem>,
}

impl Building {
    fn begin(start: &BytesStart<'_>) -> Self {
        let mut building = Self { open: Vec::new(), done: None, depth: 0, problem: None };
        building.start(start);
        building
    }

    fn is_done(&self) -> bool {
        self.depth == 0
    }

    fn finish(self) -> Result<Element, Problem> {
        match (self.problem, self.done) {
            (Some(problem), _) => Err(problem),
            (None, done) => Ok(done.unwrap_or_default()),
        }
    }

    fn take(&mut self, event: &Event<'_>, passing_over: bool) {
        match event {
            Event::Start(_) if passing_over => self.depth += 1,
            Event::End(_) if passing_over => self.depth -= 1,
            _ if passing_over => {}
            Event::Start(start) => self.start(start),
            Event::Empty(empty) => {
                self.start(empty);
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(data) => self.text(&data.xml10_content()),
            Event::GeneralRef(reference) => match character(reference) {
                Some(character) => self.text(character.encode_utf8(&mut [0; 4])),
                None => self.fail(format!("the entity &{}; is not known: entities of a document type are not read", &**reference)),
            },
            _ => {}
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) {
        self.depth += 1;
        if self.depth > DEPTH {
            self.fail(format!("its elements are nested deeper than {DEPTH}"));
        } else if self.problem.is_none() {
            match element(start) {
                Ok(element) => self.open.push((local(start), element)),
                Err(problem) => self.problem = Some(problem),
            }
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
        if self.problem.is_some() {
            return;
        }
        if let Some((name, element)) = self.open.pop() {
            match self.open.last_mut() {
                Some((_, outer)) => outer.elements.push((name, element)),
                None => self.done = Some(element),
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let (None, Some((_, element))) = (&self.problem, self.open.last_mut()) {
            element.text.push_str(text);
        }
    }

    fn fail(&mut self, reason: String) {
        self.problem.get_or_insert_with(|| Problem::new(Code::XmlInvalid, reason));
    }
}

/// A character that is named by its number, or one of the five that XML itself names.
fn character(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

fn is_record(path: &[String], open: &[String]) -> bool {
    match path {
        [name] => open.last() == Some(name),
        path => path == open,
    }
}

fn local(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

/// An element with its attributes. Those that declare namespaces and schemas say nothing of the record.
fn element(start: &BytesStart<'_>) -> Result<Element, Problem> {
    let mut element = Element::default();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| invalid(&error))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| invalid(&error))?;
        let name: &str = attribute.key.as_ref();
        match name.rsplit_once(':') {
            _ if name == "xmlns" => {}
            Some(("xmlns", _)) => {}
            Some((_, "nil")) => element.is_nil = matches!(&*value, "true" | "1"),
            Some((_, "schemaLocation" | "noNamespaceSchemaLocation" | "type")) if name.starts_with("xsi:") => {}
            Some((_, local)) => element.attributes.push((local.to_owned(), value.into_owned())),
            None => element.attributes.push((name.to_owned(), value.into_owned())),
        }
    }
    Ok(element)
}

fn invalid(error: &impl std::fmt::Display) -> Problem {
    Problem::new(Code::XmlInvalid, format!("not valid XML: {error}"))
}

fn damaged(error: quick_xml::Error) -> Fault {
    Fault::operator(Code::FileDamaged, "not a whole XML document").because(error)
}

type Members = Vec<(Cow<'static, str>, Cell<'static>)>;

/// The fields of a record's element: its attributes, and its elements, of which those that repeat are an array.
fn members(shape: &Shape, element: Element, nulls: &[String]) -> Result<Members, Problem> {
    let mut members = Members::new();
    let text = element.text.trim();
    if !text.is_empty() {
        members.push((Cow::Borrowed(VALUE), field(text.to_owned(), nulls)));
    }
    for (name, value) in element.attributes {
        members.push((Cow::Owned(name), field(value, nulls)));
    }
    let mut groups: Vec<(String, Vec<Element>)> = Vec::new();
    for (name, element) in element.elements {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, elements)) => elements.push(element),
            None => groups.push((name, vec![element])),
        }
    }
    for (name, elements) in groups {
        let cell = match shape.index(&name) {
            Some(index) => group(&shape.fields[index].slot, elements, nulls).map_err(|problem| problem.in_field(&name))?,
            None => Cell::Null,
        };
        members.push((Cow::Owned(name), cell));
    }
    Ok(members)
}

/// All elements of one name.
fn group(slot: &Slot, mut elements: Vec<Element>, nulls: &[String]) -> Result<Cell<'static>, Problem> {
    let Kind::Array(items) = &slot.kind else {
        return match elements.pop() {
            Some(element) if elements.is_empty() => cell(slot, element, nulls),
            _ => Err(Problem::new(Code::FieldType, "the element occurs several times, and its type is no array")),
        };
    };
    if let [only] = elements.as_mut_slice() {
        if only.is_nil && slot.nullable {
            return Ok(Cell::Null);
        }
        if is_wrapper(items, only) {
            elements = std::mem::take(&mut only.elements).into_iter().map(|(_, element)| element).collect();
        }
    }
    let item = |(index, element)| cell(items, element, nulls).map_err(|problem| problem.at_index(index));
    elements.into_iter().enumerate().map(item).collect::<Result<_, _>>().map(Cell::List)
}

/// Whether an element is no item but holds them: it has nothing else, and they are no fields of an item.
fn is_wrapper(items: &Slot, element: &Element) -> bool {
    let Some((name, _)) = element.elements.first() else {
        return element.attributes.is_empty() && element.text.trim().is_empty();
    };
    let alike = element.elements.iter().all(|(other, _)| other == name);
    let is_field = matches!(&items.kind, Kind::Record(shape) if shape.index(name).is_some());
    alike && !is_field && element.attributes.is_empty() && element.text.trim().is_empty()
}

fn cell(slot: &Slot, element: Element, nulls: &[String]) -> Result<Cell<'static>, Problem> {
    match &slot.kind {
        _ if element.is_nil => Ok(Cell::Null),
        Kind::Record(shape) => members(shape, element, nulls).map(Cell::Object),
        Kind::Map(values) => {
            let entry = |(name, element): (String, Element)| match cell(values, element, nulls) {
                Ok(cell) => Ok((Cow::Owned(name), cell)),
                Err(problem) => Err(problem.in_field(&name)),
            };
            element.elements.into_iter().map(entry).collect::<Result<_, _>>().map(Cell::Object)
        }
        _ if !element.elements.is_empty() => Err(Problem::expected(&slot.kind.name(), "elements")),
        _ if !element.attributes.is_empty() => {
            Err(Problem::expected(&slot.kind.name(), "an element with attributes, whose type is a record"))
        }
        Kind::String => Ok(field(element.text, nulls)),
        _ if element.text.trim().is_empty() && slot.nullable => Ok(Cell::Null),
        _ => Ok(field(element.text.trim().to_owned(), nulls)),
    }
}

fn field(text: String, nulls: &[String]) -> Cell<'static> {
    if nulls.contains(&text) { Cell::Null } else { Cell::Field(Cow::Owned(text)) }
}

#[cfg(test)]
mod tests;
