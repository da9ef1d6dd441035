//! Whether rows of one schema can be encoded in another, known from the two schemas: what [`super::form`] would find out
//! for each batch.

use millrace_model::{Result, Schema};

use super::types::{Field, Logical, Path, Type};

/// Why columns of `made` can't be encoded as those of the same name in `declared`, a sentence for each.
///
/// A column may be declared wider than it is made: nullable, or an enum of more symbols.
pub(crate) fn misfits(made: &Schema, declared: &Schema) -> Result<Vec<String>> {
    let (made, declared) = (super::kind_of(made)?, super::kind_of(declared)?);
    let (Type::Record { fields: made, .. }, Type::Record { fields: declared, .. }) = (&made, &declared) else { return Ok(Vec::new()) };
    let pairs = declared.iter().filter_map(|field| Some((named(&field.name, made)?, field)));
    Ok(pairs.filter_map(|(made, declared)| field_misfit(made, declared, &mut Path::default())).collect())
}

fn named<'a>(name: &str, fields: &'a [Field]) -> Option<&'a Field> {
    fields.iter().find(|field| field.name == name)
}

fn field_misfit(made: &Field, declared: &Field, path: &mut Path) -> Option<String> {
    path.field(&declared.name, |path| misfit(&made.kind, &declared.kind, path))
}

fn misfit(made: &Type, declared: &Type, path: &mut Path) -> Option<String> {
    if made.nullable().is_some() && declared.nullable().is_none() {
        return Some(format!("{} is never null in the schema, the pipeline may make it null", path.text()));
    }
    match (made.value(), declared.value()) {
        (Type::Enum { symbols: made, .. }, Type::Enum { symbols: declared, .. }) => foreign_symbol(made, declared, path),
        (Type::Array(made), Type::Array(declared)) => path.at("[]", |path| misfit(made, declared, path)),
        (Type::Map(made), Type::Map(declared)) => path.at("{}", |path| misfit(made, declared, path)),
        (Type::Record { fields: made, .. }, Type::Record { fields: declared, .. }) => record_misfit(made, declared, path),
        (made, declared) if same(made, declared) => None,
        (made, declared) => Some(format!("{} is {} in the schema, the pipeline makes {}", path.text(), declared.title(), made.title())),
    }
}

fn foreign_symbol(made: &[String], declared: &[String], path: &Path) -> Option<String> {
    let foreign = made.iter().find(|symbol| !declared.contains(symbol))?;
    Some(format!("{} is an enum without the symbol `{foreign}` in the schema, the pipeline may make it", path.text()))
}

fn record_misfit(made: &[Field], declared: &[Field], path: &mut Path) -> Option<String> {
    if let Some(extra) = made.iter().find(|field| named(&field.name, declared).is_none()) {
        return Some(format!("{} has no field `{}` in the schema, the pipeline makes one", path.text(), extra.name));
    }
    declared.iter().find_map(|field| match named(&field.name, made) {
        Some(made) => field_misfit(made, field, path),
        None => Some(format!("{} has a field `{}` in the schema that the pipeline does not make", path.text(), field.name)),
    })
}

/// Whether the two have one Arrow form.
fn same(made: &Type, declared: &Type) -> bool {
    match (made, declared) {
        (Type::Decimal { precision, scale, .. }, Type::Decimal { precision: digits, scale: places, .. }) => {
            (precision, scale) == (digits, places)
        }
        _ => made == declared || size(made).is_some_and(|made| size(declared) == Some(made)),
    }
}

/// The size of what is of one in Arrow: a UUID is 16 bytes, be it written as text.
fn size(kind: &Type) -> Option<usize> {
    match kind {
        Type::Fixed { fixed, .. } => Some(fixed.size),
        Type::Scalar { logical: Some(Logical::Uuid), .. } => Some(16),
        _ => None,
    }
}
