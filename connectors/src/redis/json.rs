//! Rows as JSON objects, of which some columns change.

use std::collections::BTreeMap;

use millrace_model::{Code, Fault, Result};
use serde_json::value::RawValue;

/// The members of an object, each as it is written: numbers keep all of their digits.
pub(super) type Object = BTreeMap<String, Box<RawValue>>;

/// The members of a JSON object that a row was written as.
pub(super) fn parse(text: &[u8]) -> Result<Object> {
    serde_json::from_slice(text).map_err(|error| Fault::fatal(Code::Internal, "a row is no JSON object").because(error))
}

/// Whether text is a JSON object.
pub(super) fn is_object(text: &[u8]) -> bool {
    serde_json::from_slice::<Object>(text).is_ok()
}

/// The object's text: first the columns, in their order and null where it has none, then its other members.
pub(super) fn write<'a>(mut object: Object, columns: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) -> Result<()> {
    let members: Vec<_> = columns.map(|column| (column, object.remove(column))).collect();
    out.push(b'{');
    for (name, value) in members {
        member(name, value.as_deref().unwrap_or(RawValue::NULL), out)?;
    }
    for (name, value) in &object {
        member(name, value, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn member(name: &str, value: &RawValue, out: &mut Vec<u8>) -> Result<()> {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    let named = serde_json::to_writer(&mut *out, name);
    named.map_err(|error| Fault::fatal(Code::Internal, "a row can't be written as JSON").because(error))?;
    out.push(b':');
    out.extend_from_slice(value.get().as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_does_not_tell_stays_digit_by_digit() {
        let mut object = parse(br#"{"id":1,"price":123456789012345678901.50,"note":"a","theirs":[1]}"#).expect("is an object");
        object.extend(parse(br#"{"id":1,"note":null}"#).expect("is an object"));
        let mut out = Vec::new();
        write(object, ["id", "note", "price", "new"].into_iter(), &mut out).expect("writes");
        assert_eq!(String::from_utf8_lossy(&out), r#"{"id":1,"note":null,"price":123456789012345678901.50,"new":null,"theirs":[1]}"#);
    }

    #[test]
    fn text_of_others_may_be_no_object() {
        assert!(is_object(b"{}") && !is_object(b"[]") && !is_object(b"{") && !is_object(b"7"));
    }
}
