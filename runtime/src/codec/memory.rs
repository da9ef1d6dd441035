//! How much memory values take in Arrow beyond their bytes on the wire.
//!
//! A null takes one byte on the wire and its type's full width in Arrow, and a field that the writer has not takes its
//! default. In an array or map a short record can so become as many gigabytes as it likes.

use serde_json::Value;

use super::types::{Base, Logical, Type};

/// What the items of one record may take: far more than the items of any record that Kafka carries, but for nulls.
pub(super) const MOST: usize = 64 << 20;

/// Where a text or a list begins, in the column that holds them all.
const OFFSET: usize = 4;

/// Of which branch a value of a union is, and where it is among that branch's values.
const BRANCH: usize = 5;

/// The bytes that each item of what is read as `read` takes, its own texts and items aside.
pub(super) fn of_item(read: Option<&Type>) -> usize {
    match read.map(Type::value) {
        Some(Type::Array(items)) => width(items),
        Some(Type::Map(values)) => width(values).saturating_add(OFFSET),
        _ => 0,
    }
}

/// What the items are read as.
pub(super) fn item(read: Option<&Type>) -> Option<&Type> {
    match read?.value() {
        Type::Array(items) => Some(items),
        Type::Map(values) => Some(values),
        _ => None,
    }
}

/// What the field of that name is read as; nothing if it is skipped.
pub(super) fn field<'a>(read: Option<&'a Type>, name: &str) -> Option<&'a Type> {
    let Type::Record { fields, .. } = read?.value() else { return None };
    fields.iter().find(|field| field.name == name).map(|field| &field.kind)
}

/// What a branch of a union, or the type in its place, is read as.
pub(super) fn branch<'a>(read: Option<&'a Type>, written: &Type) -> Option<&'a Type> {
    match read?.branches() {
        Some(branches) => branches.iter().find(|branch| branch.is_kin_of(written)),
        None => read,
    }
}

fn width(kind: &Type) -> usize {
    match kind.value() {
        Type::Null => 0,
        Type::Scalar { logical: Some(Logical::Uuid), .. } | Type::Decimal { .. } => 16,
        Type::Scalar { base, .. } => of_scalar(*base),
        Type::Fixed { fixed, .. } => fixed.size,
        Type::Enum { .. } | Type::Array(_) | Type::Map(_) => OFFSET,
        Type::Record { fields, .. } => {
            let widths = fields.iter().map(|field| width(&field.kind).saturating_add(field.default.as_ref().map_or(0, of_default)));
            widths.fold(0, usize::saturating_add)
        }
        Type::Union(branches) => branches.iter().map(width).max().unwrap_or(0).saturating_add(BRANCH),
        Type::Foreign { written, .. } => width(written),
    }
}

fn of_scalar(base: Base) -> usize {
    match base {
        Base::Boolean => 1,
        Base::Int | Base::Float => 4,
        Base::Long | Base::Double => 8,
        Base::Bytes | Base::String => OFFSET,
    }
}

/// About what a default adds to its type's width.
fn of_default(default: &Value) -> usize {
    match default {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => default.to_string().len(),
        _ => 0,
    }
}
