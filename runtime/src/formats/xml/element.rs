//! An element of a document with all that is in it, made from the parser's events.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::super::Problem;
use millrace_model::{Code, Result};

/// How deep elements of a record may be nested.
const DEPTH: usize = 64;

/// An element of a record.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) attributes: Vec<(String, String)>,
    pub(super) elements: Vec<(String, Element)>,
    pub(super) text: String,
    pub(super) is_nil: bool,
}

/// An element in the making, and those in it that are open.
pub(super) struct Building {
    /// From the record's own element inwards.
    open: Vec<(String, Element)>,
    done: Option<Element>,
    /// How many elements are open, those that are not kept counted.
    depth: usize,
    problem: Option<Problem>,
}

impl Building {
    pub(super) fn begin(start: &BytesStart<'_>) -> Self {
        let mut building = Self { open: Vec::new(), done: None, depth: 0, problem: None };
        building.start(start);
        building
    }

    pub(super) fn is_done(&self) -> bool {
        self.depth == 0
    }

    pub(super) fn finish(self) -> Result<Element, Problem> {
        match (self.problem, self.done) {
            (Some(problem), _) => Err(problem),
            (None, done) => Ok(done.unwrap_or_default()),
        }
    }

    pub(super) fn take(&mut self, event: &Event<'_>, passing_over: bool) {
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
fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

/// An element's name without its namespace's prefix.
pub(super) fn local(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

/// An element with its attributes. Those that declare namespaces and schemas say nothing of the record.
pub(super) fn element(start: &BytesStart<'_>) -> Result<Element, Problem> {
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
