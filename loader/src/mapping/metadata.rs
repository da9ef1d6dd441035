//! Columns made of what stands beside a record's value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, MapBuilder, MapFieldNames, StringArray, StringBuilder,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Header, Origin, Rejection};

use super::keep;
use super::source::Source;
use crate::config::Metadata;

/// The type of all headers: a map from text to text.
pub(super) fn headers_type() -> DataType {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false)
}

/// That part of the records of a batch's rows.
pub(super) fn array(part: Metadata, origin: &Origin) -> Result<ArrayRef, ArrowError> {
    let (records, rows) = (origin.records(), origin.rows());
    let indices = || rows.iter().map(|&row| row as usize);
    Ok(match part {
        Metadata::Topic => Arc::new(StringArray::new_repeated(records.topic(), rows.len())),
        Metadata::Partition => Arc::new(Int32Array::from_iter_values(indices().map(|row| records.partitions()[row]))),
        Metadata::Offset => Arc::new(Int64Array::from_iter_values(indices().map(|row| records.offsets()[row]))),
        Metadata::Timestamp => {
            Arc::new(TimestampMillisecondArray::from_iter_values(indices().map(|row| records.timestamps()[row])).with_timezone("+00:00"))
        }
        Metadata::Key => Arc::new(indices().map(|row| records.key(row)).collect::<BinaryArray>()),
        Metadata::KeyText => Arc::new(indices().map(|row| text_key(origin, row)).collect::<StringArray>()),
        Metadata::Headers => return headers(origin),
    })
}

/// The last header of that name, as text.
pub(super) fn header(name: &str, origin: &Origin) -> ArrayRef {
    let value = |&row: &u32| origin.records().headers(row as usize).iter().rfind(|header| header.key == name).and_then(text);
    Arc::new(origin.rows().iter().map(value).collect::<StringArray>())
}

fn text(header: &Header) -> Option<String> {
    header.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
}

fn headers(origin: &Origin) -> Result<ArrayRef, ArrowError> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for &row in origin.rows() {
        for header in origin.records().headers(row as usize) {
            map.keys().append_value(&header.key);
            map.values().append_option(text(header));
        }
        map.append(true)?;
    }
    Ok(Arc::new(map.finish()))
}

fn text_key(origin: &Origin, record: usize) -> Option<&str> {
    origin.records().key(record).and_then(|key| std::str::from_utf8(key).ok())
}

/// The rows whose keys are text, where a column needs that, and the rejections of the others.
pub(super) fn with_text_keys<'a>(
    batch: &Batch,
    mut sources: impl Iterator<Item = &'a Source>,
) -> Result<(Batch, Vec<Rejection>), ArrowError> {
    if !sources.any(|source| *source == Source::Metadata(Metadata::KeyText)) {
        return Ok((batch.clone(), Vec::new()));
    }
    let origin = batch.origin();
    let has_text = |&record: &u32| text_key(origin, record as usize).is_some();
    let fits: BooleanArray = origin.rows().iter().map(has_text).map(Some).collect();
    let refused = origin.rows().iter().filter(|record| !has_text(record));
    let rejected = refused.map(|&record| Rejection::new(record, Code::KeyMissing, "the record has no key that is UTF-8 text"));
    Ok((keep(batch, &fits)?, rejected.collect()))
}
