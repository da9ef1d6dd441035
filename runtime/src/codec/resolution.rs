//! Whether records of a writer's schema can be read as a reader's, by the rules of the Avro specification
//! (1.12, Schema Resolution), as far as arrow-avro keeps them.
//!
//! arrow-avro reads on where the specification does not let it (a timestamp of milliseconds as one of microseconds), and
//! loses conversions inside a union that is read as a plain type. Those are refused here, when the writer's
//! schema is learnt, so that no value is ever misread.

use super::types::{Base, Field, Fixed, Logical, Names, Path, Type, Unsupported};

/// The writer's type with its names replaced by the reader's they are read as, so that arrow-avro, which is
/// stricter than the specification, matches them; and with what the reader skips reduced to its bytes.
pub(super) fn align(writer: &Type, reader: &Type) -> Result<Type, Unsupported> {
    pair(writer, reader, &mut Path::default())
}

fn pair(writer: &Type, reader: &Type, path: &mut Path) -> Result<Type, Unsupported> {
    if let Some(branches) = reader.branches() {
        return as_union(writer, branches, path).ok_or_else(|| mismatch(writer, reader, path));
    }
    match (writer.nullable(), reader.nullable()) {
        (Some((written, null_first)), Some((read, _))) => Ok(nullable(pair(written, read, path)?, null_first)),
        (None, Some((read, _))) if !matches!(writer, Type::Union(_)) => pair(writer, read, path),
        (_, None) => match writer {
            Type::Union(branches) => union_as_plain(branches, reader, path),
            _ => plain(writer, reader, path),
        },
        _ => Err(mismatch(writer, reader, path)),
    }
}

fn nullable(value: Type, null_first: bool) -> Type {
    Type::Union(if null_first { vec![Type::Null, value] } else { vec![value, Type::Null] })
}

/// A value of a branch that the reader's union has no counterpart of is found when it is decoded, and rejected alone.
fn as_union(writer: &Type, read: &[Type], path: &mut Path) -> Option<Type> {
    let Type::Union(written) = writer else { return as_branch(writer, read, path) };
    let aligned: Vec<Option<Type>> = written.iter().map(|branch| as_branch(branch, read, path)).collect();
    let any = aligned.iter().any(Option::is_some);
    any.then(|| {
        Type::Union(aligned.into_iter().zip(written).map(|(aligned, written)| aligned.unwrap_or_else(|| written.clone())).collect())
    })
}

/// Read as the branch of its own kind, else as the first that it can be promoted to.
fn as_branch(written: &Type, read: &[Type], path: &mut Path) -> Option<Type> {
    match read.iter().find(|branch| branch.is_kin_of(written)) {
        Some(kin) => plain(written, kin, path).ok(),
        None => read.iter().find_map(|branch| plain(written, branch, path).ok()),
    }
}

/// A null among the values is found when it is decoded, and rejected alone.
fn union_as_plain(branches: &[Type], reader: &Type, path: &mut Path) -> Result<Type, Unsupported> {
    let branches = branches.iter().map(|branch| match branch {
        Type::Null => Ok(Type::Null),
        branch => branch_as_plain(branch, reader, path),
    });
    Ok(Type::Union(branches.collect::<Result<_, _>>()?))
}

fn branch_as_plain(branch: &Type, reader: &Type, path: &mut Path) -> Result<Type, Unsupported> {
    let aligned = plain(branch, reader, path)?;
    let nested = matches!(reader, Type::Array(_) | Type::Map(_) | Type::Record { .. });
    if nested && aligned != *reader { Err(mismatch(branch, reader, path)) } else { Ok(aligned) }
}

fn plain(writer: &Type, reader: &Type, path: &mut Path) -> Result<Type, Unsupported> {
    match (writer, reader) {
        (Type::Null, Type::Null) => Ok(Type::Null),
        (Type::Scalar { base: w, logical: wl }, Type::Scalar { base: r, logical: rl }) if scalar(*w, *wl, *r, *rl) => Ok(writer.clone()),
        (Type::Decimal { precision: w, scale: ws, fixed: wf }, Type::Decimal { precision: r, scale: rs, fixed: rf })
            if w <= r && ws == rs =>
        {
            let fixed = match (wf, rf) {
                (None, None) => None,
                (Some(wf), Some(rf)) if same_fixed(wf, rf) => Some(rf.clone()),
                _ => return Err(mismatch(writer, reader, path)),
            };
            Ok(Type::Decimal { precision: *w, scale: *ws, fixed })
        }
        (Type::Fixed { fixed: wf, uuid }, Type::Fixed { fixed: rf, .. }) if same_fixed(wf, rf) => {
            Ok(Type::Fixed { fixed: rf.clone(), uuid: *uuid })
        }
        (Type::Enum { names: wn, symbols, .. }, Type::Enum { names: rn, .. }) if rn.reads(wn) => {
            Ok(Type::Enum { names: rn.clone(), symbols: symbols.clone(), default: None })
        }
        (Type::Array(w), Type::Array(r)) => Ok(Type::Array(Box::new(path.at("[]", |path| pair(w, r, path))?))),
        (Type::Map(w), Type::Map(r)) => Ok(Type::Map(Box::new(path.at("{}", |path| pair(w, r, path))?))),
        (Type::Record { names: wn, fields: w }, Type::Record { names: rn, fields: r }) if rn.reads(wn) => record(rn, w, r, path),
        _ => Err(mismatch(writer, reader, path)),
    }
}

/// A logical type is read as the same one, or as the plain type under it, and a plain type as any logical type over it.
fn scalar(writer: Base, written: Option<Logical>, reader: Base, read: Option<Logical>) -> bool {
    if writer == reader {
        return written == read || written.is_none() || read.is_none();
    }
    let promotes = matches!(
        (writer, reader),
        (Base::Int, Base::Long | Base::Float | Base::Double)
            | (Base::Long, Base::Float | Base::Double)
            | (Base::Float, Base::Double)
            | (Base::String, Base::Bytes)
            | (Base::Bytes, Base::String)
    );
    promotes && read.is_none()
}

fn same_fixed(writer: &Fixed, reader: &Fixed) -> bool {
    writer.size == reader.size && reader.names.reads(&writer.names)
}

fn record(names: &Names, written: &[Field], read: &[Field], path: &mut Path) -> Result<Type, Unsupported> {
    let mut aligned: Vec<Field> = written.iter().map(skipped).collect();
    let mut taken = vec![false; written.len()];
    for field in read {
        match source(field, written).filter(|&index| !taken[index]) {
            Some(index) => {
                taken[index] = true;
                aligned[index].kind = path.field(&field.name, |path| pair(&written[index].kind, &field.kind, path))?;
                aligned[index].name.clone_from(&field.name);
            }
            None if field.default.is_some() => {}
            None => return Err(path.field(&field.name, |path| path.unsupported("is not in the writer's schema and has no default"))),
        }
    }
    Ok(Type::Record { names: names.clone(), fields: aligned })
}

/// The writer's field that a reader's field is read from: of its own name, else of its first alias there is one of.
fn source(field: &Field, written: &[Field]) -> Option<usize> {
    let mut names = std::iter::once(&field.name).chain(&field.aliases);
    names.find_map(|name| written.iter().position(|writer| writer.name == *name))
}

/// Strings of a field that nobody reads are walked over as bytes: what is in them makes no record bad.
fn skipped(field: &Field) -> Field {
    Field { name: field.name.clone(), aliases: Vec::new(), default: None, kind: as_bytes(&field.kind) }
}

fn as_bytes(kind: &Type) -> Type {
    match kind {
        Type::Scalar { base: Base::String, .. } | Type::Decimal { fixed: None, .. } => Type::Scalar { base: Base::Bytes, logical: None },
        Type::Scalar { base, .. } => Type::Scalar { base: *base, logical: None },
        Type::Decimal { fixed: Some(fixed), .. } => Type::Fixed { fixed: fixed.clone(), uuid: false },
        Type::Array(items) => Type::Array(Box::new(as_bytes(items))),
        Type::Map(values) => Type::Array(Box::new(entry(values))),
        Type::Record { names, fields } => Type::Record { names: names.clone(), fields: fields.iter().map(skipped).collect() },
        Type::Union(branches) => union_as_bytes(branches),
        Type::Foreign { written, .. } => as_bytes(written),
        Type::Null | Type::Fixed { .. } | Type::Enum { .. } => kind.clone(),
    }
}

/// A map is written as an array of its entries would be.
fn entry(values: &Type) -> Type {
    let field = |name: &str, kind| Field { name: name.to_owned(), aliases: Vec::new(), default: None, kind };
    let key = Type::Scalar { base: Base::Bytes, logical: None };
    let names = Names { full: "entry".to_owned(), aliases: Vec::new() };
    Type::Record { names, fields: vec![field("key", key), field("value", as_bytes(values))] }
}

/// A union may not have bytes twice, so one of both strings and bytes stays as it is.
fn union_as_bytes(branches: &[Type]) -> Type {
    let bytes: Vec<Type> = branches.iter().map(as_bytes).collect();
    let twice = (1..bytes.len()).any(|index| bytes[..index].contains(&bytes[index]));
    Type::Union(if twice { branches.to_vec() } else { bytes })
}

fn mismatch(writer: &Type, reader: &Type, path: &Path) -> Unsupported {
    path.unsupported(format!("is written as {} and can't be read as {}", writer.title(), reader.title()))
}
