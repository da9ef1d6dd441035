//! The keys of rows.
//!
//! Where a key has the values of several columns, there is a `:` between them, and `%` and `:` in a value are written `%25` and `%3A`: two
//! rows never share a key.

use arrow::array::{BinaryArray, BinaryBuilder, RecordBatch};
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;

use crate::table::Values;

/// What begins the names of keys that are Millrace's own. No row may have such a key.
pub(super) const OWN: &str = "millrace:";

/// How keys are made of the values of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

impl KeyTemplate {
    /// The table's name and the values of the key columns, with colons between them.
    pub(super) fn standard(table: &str, keys: &[String]) -> Self {
        let parts = keys.iter().enumerate().flat_map(|(number, key)| {
            let before = if number == 0 { format!("{table}:") } else { ":".into() };
            [Part::Text(before), Part::Column(key.clone())]
        });
        Self(parts.collect())
    }

    /// The template that is written so, of exactly those columns; or what is wrong with it.
    pub(super) fn read(text: &str, keys: &[String]) -> Result<Self, String> {
        let template = Self(parts(text)?);
        let named: Vec<&str> = template.columns().collect();
        if let Some(other) = named.iter().find(|name| keys.iter().all(|key| key != *name)) {
            return Err(format!("{{{other}}} is none of `keys`, by which alone a row is found"));
        }
        if let Some(lacking) = keys.iter().find(|key| !named.contains(&key.as_str())) {
            return Err(format!("the key lacks {{{lacking}}}: rows that differ there would share a key"));
        }
        match template.ambiguity() {
            Some((one, other)) => Err(format!("{{{one}}} and {{{other}}} need a colon between them, or two rows may share a key")),
            None => Ok(template),
        }
    }

    /// The text before the first column.
    pub(super) fn prefix(&self) -> &str {
        match self.0.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Two columns of which it can't be told where one ends and the other begins.
    fn ambiguity(&self) -> Option<(&str, &str)> {
        let mut last: Option<&str> = None;
        for part in &self.0 {
            match (part, last) {
                (Part::Text(text), _) if text.contains(':') => last = None,
                (Part::Text(_), _) => {}
                (Part::Column(next), Some(last)) => return Some((last, next)),
                (Part::Column(next), None) => last = Some(next),
            }
        }
        None
    }

    /// The keys of all rows of a batch, whose columns hold what `fields` say. No key column has a null.
    pub(super) fn keys(&self, fields: &[FieldRef], batch: &RecordBatch) -> Result<BinaryArray, ArrowError> {
        let escapes = self.columns().count() > 1;
        let mut writers = self.0.iter().map(|part| Writer::new(part, fields, batch)).collect::<Result<Vec<_>, _>>()?;
        let (mut keys, mut value) = (BinaryBuilder::new(), Vec::new());
        let mut key = Vec::new();
        for row in 0..batch.num_rows() {
            key.clear();
            for writer in &mut writers {
                match writer {
                    Writer::Text(text) => key.extend_from_slice(text.as_bytes()),
                    Writer::Column(texts) if escapes => {
                        value.clear();
                        texts.write(row, &mut value)?;
                        escape(&value, &mut key);
                    }
                    Writer::Column(values) => values.write(row, &mut key)?,
                }
            }
            keys.append_value(&key);
        }
        Ok(keys.finish())
    }
}

/// A part, and what writes it.
enum Writer<'a> {
    Text(&'a str),
    Column(Values<'a>),
}

impl<'a> Writer<'a> {
    fn new(part: &'a Part, fields: &'a [FieldRef], batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        match part {
            Part::Text(text) => Ok(Self::Text(text)),
            Part::Column(name) => {
                let number = batch.schema().index_of(name)?;
                let array = batch.column(number);
                Values::in_iso_8601(&fields[number], array).map(Self::Column)
            }
        }
    }
}

fn escape(value: &[u8], key: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b':' => key.extend_from_slice(b"%3A"),
            b'%' => key.extend_from_slice(b"%25"),
            _ => key.push(byte),
        }
    }
}

/// Texts and columns of a template, in turn.
fn parts(template: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            text.push_str(&brace[..1]);
            rest = &brace[2..];
            continue;
        }
        let name = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let Some((name, after)) = name else {
            return Err("a brace stands alone: `{{` and `}}` stand for the braces themselves".into());
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Column(name.into()));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
        RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array)))).expect("columns of one length")
    }

    fn keys(template: &KeyTemplate, batch: &RecordBatch) -> Vec<Vec<u8>> {
        let keys = template.keys(batch.schema().fields(), batch).expect("has keys");
        keys.iter().map(|key| key.expect("is there").to_vec()).collect()
    }

    fn told(template: &str, keys: &[&str]) -> String {
        KeyTemplate::read(template, &names(keys)).expect_err("can't be used")
    }

    #[test]
    fn the_standard_key_is_the_table_and_the_keys() {
        let rows = batch(&[("flight", Arc::new(Int64Array::from(vec![7]))), ("carrier", Arc::new(StringArray::from(vec!["UA"])))]);
        let template = KeyTemplate::standard("flights", &names(&["carrier", "flight"]));
        assert_eq!(keys(&template, &rows), [b"flights:UA:7"]);
        assert_eq!(template, KeyTemplate::read("flights:{carrier}:{flight}", &names(&["carrier", "flight"])).expect("reads"));
    }

    #[test]
    fn braces_stand_for_themselves_when_they_are_doubled() {
        let rows = batch(&[("id", Arc::new(Int64Array::from(vec![7])))]);
        let template = KeyTemplate::read("{{tag}}:{id}!", &names(&["id"])).expect("reads");
        assert_eq!((keys(&template, &rows), template.prefix()), (vec![b"{tag}:7!".to_vec()], "{tag}:"));
    }

    #[test]
    fn one_column_is_written_as_it_is_and_several_are_kept_apart() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a:b%"]));
        let rows = batch(&[("a", Arc::clone(&texts)), ("b", texts)]);
        assert_eq!(keys(&KeyTemplate::standard("t", &names(&["a"])), &rows), [b"t:a:b%"]);
        assert_eq!(keys(&KeyTemplate::standard("t", &names(&["a", "b"])), &rows), [b"t:a%3Ab%25:a%3Ab%25"]);
    }

    #[test]
    fn a_template_that_would_mix_rows_up_is_told_what_it_lacks() {
        assert!(told("t:{a}", &["a", "b"]).contains("{b}"));
        assert!(told("t:{a}:{c}", &["a"]).contains("{c} is none of `keys`"));
        assert!(told("t:{a}{b}", &["a", "b"]).contains("colon between them"));
        assert!(told("t:{a}-{b}", &["a", "b"]).contains("colon between them"));
        assert!(told("t:{a", &["a"]).contains("stands alone"));
        assert!(KeyTemplate::read("{a}-:{b}", &names(&["a", "b"])).is_ok());
    }

    proptest! {
        #[test]
        fn rows_that_differ_never_share_a_key(rows in proptest::collection::btree_set(("[a:%3A]{0,4}", "[a:%25]{0,4}"), 1..20)) {
            let texts = |of: fn(&(String, String)) -> &String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
            let rows = batch(&[("a", texts(|row| &row.0)), ("b", texts(|row| &row.1))]);
            let made: BTreeSet<Vec<u8>> = keys(&KeyTemplate::standard("t", &names(&["a", "b"])), &rows).into_iter().collect();
            prop_assert_eq!(made.len(), rows.num_rows());
        }
    }
}
