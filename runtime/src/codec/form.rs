//! The Arrow form of a type: one for each type, whoever made the array.
//!
//! arrow-avro notes in a field's metadata how it came by the field, the steps make fields of their own, and Arrow's
//! kernels mend dictionaries when they join them. All of that is the same data under another label. [`conform`] puts the
//! label of the schema on it; only an enum's indices may have to be changed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray,
    StructArray, UnionArray,
};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Field, FieldRef, Fields, Int32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UnionFields, UnionMode,
};
use arrow::error::ArrowError;

use super::types::{self, Type};

/// The columns of `batch` in the form of `schema`, which is that of the record type `kind`; columns are found by name.
pub(super) fn conform_batch(batch: &RecordBatch, kind: &Type, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().zip(fields_of(kind)).map(|(field, kind)| {
        let column = batch.column_by_name(field.name());
        let column = column.ok_or_else(|| ArrowError::SchemaError(format!("there is no column `{}`", field.name())))?;
        conform(column, &kind.kind, field.data_type()).map_err(|error| named(field.name(), &error))
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// The public form of what arrow-avro decodes: the same, but that a UUID in fixed bytes is known as one.
pub(super) fn labelled(schema: &Schema, kind: &Type) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().zip(fields_of(kind)).map(|(field, kind)| label(field, &kind.kind)).collect::<Fields>()))
}

fn fields_of(kind: &Type) -> &[types::Field] {
    match kind {
        Type::Record { fields, .. } => fields,
        _ => &[],
    }
}

fn label(field: &FieldRef, kind: &Type) -> FieldRef {
    let kind = kind.value();
    let mut metadata = field.metadata().clone();
    if let Type::Fixed { uuid: true, .. } = kind {
        metadata.insert("logicalType".to_owned(), "uuid".to_owned());
    }
    let data_type = label_type(field.data_type(), kind);
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

fn label_type(data_type: &DataType, kind: &Type) -> DataType {
    match (data_type, kind) {
        (DataType::List(item), Type::Array(items)) => DataType::List(label(item, items)),
        (DataType::Map(entries, sorted), Type::Map(values)) => DataType::Map(label_entries(entries, values), *sorted),
        (DataType::Struct(children), Type::Record { fields, .. }) => {
            DataType::Struct(children.iter().zip(fields).map(|(child, field)| label(child, &field.kind)).collect())
        }
        (DataType::Union(children, mode), Type::Union(branches)) => {
            let labelled = children.iter().zip(branches).map(|((id, child), branch)| (id, label(child, branch)));
            DataType::Union(labelled.collect(), *mode)
        }
        (other, _) => other.clone(),
    }
}

fn label_entries(entries: &FieldRef, values: &Type) -> FieldRef {
    let DataType::Struct(children) = entries.data_type() else { return Arc::clone(entries) };
    let labelled = children.iter().enumerate().map(|(index, child)| if index == 0 { Arc::clone(child) } else { label(child, values) });
    Arc::new(entries.as_ref().clone().with_data_type(DataType::Struct(labelled.collect())))
}

fn conform(array: &ArrayRef, kind: &Type, form: &DataType) -> Result<ArrayRef, ArrowError> {
    match (kind.value(), form) {
        (Type::Enum { symbols, .. }, _) => enumeration(array, symbols),
        (Type::Array(items), DataType::List(item)) => list(array, items, item),
        (Type::Map(values), DataType::Map(entries, _)) => map(array, values, entries),
        (Type::Record { fields, .. }, DataType::Struct(children)) => record(array, fields, children),
        (Type::Union(branches), DataType::Union(children, UnionMode::Dense)) => union(array, branches, children),
        _ if array.data_type() == form => Ok(Arc::clone(array)),
        (_, DataType::Timestamp(unit, Some(zone))) => instant(array, *unit, zone).ok_or_else(|| misfit(array, form)),
        _ => Err(misfit(array, form)),
    }
}

fn list(array: &ArrayRef, items: &Type, item: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list_opt::<i32>().ok_or_else(|| misfit(array, &DataType::List(Arc::clone(item))))?;
    let values = conform(&unshifted(list.values()), items, item.data_type())?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?))
}

fn map(array: &ArrayRef, values: &Type, entries: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let form = DataType::Map(Arc::clone(entries), false);
    let (Some(map), DataType::Struct(children)) = (array.as_map_opt(), entries.data_type()) else { return Err(misfit(array, &form)) };
    let value_form = children.get(1).ok_or_else(|| misfit(array, &form))?.data_type();
    let columns = vec![Arc::clone(map.keys()), conform(&unshifted(map.values()), values, value_form)?];
    let pairs = StructArray::try_new(children.clone(), columns, None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), map.offsets().clone(), pairs, map.nulls().cloned(), false)?))
}

fn record(array: &ArrayRef, fields: &[types::Field], children: &Fields) -> Result<ArrayRef, ArrowError> {
    let record = array.as_struct_opt().ok_or_else(|| misfit(array, &DataType::Struct(children.clone())))?;
    let columns = children.iter().zip(fields).map(|(child, field)| {
        let column = record.column_by_name(child.name());
        let column = column.ok_or_else(|| ArrowError::SchemaError(format!("there is no field `{}`", child.name())))?;
        conform(column, &field.kind, child.data_type()).map_err(|error| named(child.name(), &error))
    });
    Ok(Arc::new(StructArray::try_new_with_length(
        children.clone(),
        columns.collect::<Result<_, _>>()?,
        record.nulls().cloned(),
        record.len(),
    )?))
}

fn union(array: &ArrayRef, branches: &[Type], children: &UnionFields) -> Result<ArrayRef, ArrowError> {
    let misfit = || misfit(array, &DataType::Union(children.clone(), UnionMode::Dense));
    let union = array.as_union_opt().filter(|union| union.fields().iter().map(|(id, _)| id).eq(children.iter().map(|(id, _)| id)));
    let union = union.ok_or_else(misfit)?;
    let columns =
        children.iter().zip(branches).map(|((id, child), branch)| conform(&unshifted(union.child(id)), branch, child.data_type()));
    let columns = columns.collect::<Result<_, _>>()?;
    Ok(Arc::new(UnionArray::try_new(children.clone(), union.type_ids().clone(), union.offsets().cloned(), columns)?))
}

/// arrow-avro's writer takes the bit offset of a list's booleans for an offset of its items.
fn unshifted(array: &ArrayRef) -> ArrayRef {
    match array.as_boolean_opt() {
        Some(booleans) if booleans.offset() != 0 => Arc::new(booleans.iter().collect::<BooleanArray>()),
        _ => Arc::clone(array),
    }
}

/// A dictionary whose values are the enum's symbols in their order, so that its keys are Avro's indices.
fn enumeration(array: &ArrayRef, symbols: &[String]) -> Result<ArrayRef, ArrowError> {
    let form = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let dictionary = array.as_dictionary_opt::<Int32Type>().ok_or_else(|| misfit(array, &form))?;
    let values = dictionary.values().as_string_opt::<i32>().ok_or_else(|| misfit(array, &form))?;
    if values.null_count() == 0 && values.iter().flatten().eq(symbols.iter().map(String::as_str)) {
        return Ok(Arc::clone(array));
    }
    let keys = renumbered(dictionary, values, symbols)?;
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from_iter_values(symbols)))?))
}

fn renumbered(dictionary: &DictionaryArray<Int32Type>, values: &StringArray, symbols: &[String]) -> Result<Int32Array, ArrowError> {
    let indices: HashMap<&str, i32> = symbols.iter().map(String::as_str).zip(0..).collect();
    let renumber: Vec<Option<i32>> = values.iter().map(|value| value.and_then(|value| indices.get(value).copied())).collect();
    let keys = dictionary.keys().iter().map(|key| key.map(|key| (key, renumber[key as usize])));
    keys.map(|key| match key {
        None => Ok(None),
        Some((_, Some(index))) => Ok(Some(index)),
        Some((key, None)) if values.is_null(key as usize) => Ok(None),
        Some((key, None)) => Err(ArrowError::InvalidArgumentError(format!("`{}` is no symbol of the enum", values.value(key as usize)))),
    })
    .collect()
}

/// An instant is the same in whatever zone it is shown.
fn instant(array: &ArrayRef, unit: TimeUnit, zone: &Arc<str>) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::Timestamp(of, Some(_)) if *of == unit => {}
        _ => return None,
    }
    Some(match unit {
        TimeUnit::Millisecond => Arc::new(in_zone(array.as_primitive::<TimestampMillisecondType>(), zone)),
        TimeUnit::Microsecond => Arc::new(in_zone(array.as_primitive::<TimestampMicrosecondType>(), zone)),
        TimeUnit::Nanosecond => Arc::new(in_zone(array.as_primitive::<TimestampNanosecondType>(), zone)),
        TimeUnit::Second => return None,
    })
}

fn in_zone<T: ArrowTimestampType>(array: &PrimitiveArray<T>, zone: &Arc<str>) -> PrimitiveArray<T> {
    array.clone().with_timezone(Arc::clone(zone))
}

fn misfit(array: &ArrayRef, form: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("is of the Arrow type {}, not {form}", array.data_type()))
}

fn named(field: &str, error: &ArrowError) -> ArrowError {
    ArrowError::SchemaError(format!("`{field}`: {error}"))
}
