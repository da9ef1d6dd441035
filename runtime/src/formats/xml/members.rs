//! The values of a record's element, by its schema.

use std::borrow::Cow;

use millrace_model::{Code, Result};

use super::super::Problem;
use super::super::cell::Cell;
use super::super::shape::{Kind, Shape, Slot};
use super::element::Element;

/// The field that the text of an element with attributes is.
const VALUE: &str = "value";

pub(super) type Members = Vec<(Cow<'static, str>, Cell<'static>)>;

/// The fields of a record's element: its attributes, and its elements, of which those that repeat are an array.
pub(super) fn members(shape: &Shape, element: Element, nulls: &[String]) -> Result<Members, Problem> {
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
