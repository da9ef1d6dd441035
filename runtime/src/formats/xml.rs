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

mod element;
mod members;
mod scanner;

use millrace_model::{Fault, Result, Schema};

use super::blocks::{self, Block, Blocks, Bytes, Opening};
use super::cell;
use super::columns::Columns;
use super::datum::Datum;
use super::numbered::Numbered;
use super::shape::Shape;
use super::{Problem, parsed};
use element::Element;
use scanner::Scanner;

/// An XML document, open.
pub struct XmlDocument {
    opening: Opening,
    schema: Schema,
    shape: Shape,
    scanner: Scanner,
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

impl XmlDocument {
    /// Opens a document whose records are the elements at `path`, such as `orders/order`, or of one name wherever they are. Records before
    /// [`Opening::from`] are read and left out.
    pub fn open(file: Box<dyn Bytes>, schema: &Schema, path: &str, nulls: &[String], opening: Opening) -> Result<Self> {
        let shape = Shape::of(schema)?;
        Columns::new(&shape, schema.arrow(), 0)?;
        let scanner = Scanner::new(file, path, opening.limit);
        let (schema, nulls) = (schema.clone(), nulls.to_vec());
        let mut document = Self { opening, schema, shape, scanner, nulls, next: 0, damaged: None };
        while document.next < document.opening.from && document.scanner.record()?.is_some() {
            document.next += 1;
        }
        Ok(document)
    }

    fn row<'a>(&self, element: Result<Element, Problem>) -> Result<Vec<Datum<'a>>, Problem> {
        let members = members::members(&self.shape, element?, &self.nulls)?;
        Ok(cell::record(&self.shape, members)?.into_iter().map(Datum::into_owned).collect())
    }
}

impl Blocks for XmlDocument {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        let Self { opening, scanner, damaged, next, .. } = &mut *self;
        let mut numbered = Numbered::new(opening, *next, rows);
        let mut elements = Vec::with_capacity(rows);
        let found = blocks::bring(rows, damaged, || {
            let Some(found) = scanner.record()? else { return Ok(false) };
            numbered.push(&found.text);
            elements.push(found.element);
            Ok(true)
        });
        if found? == 0 {
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

#[cfg(test)]
mod tests;
