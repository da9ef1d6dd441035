//! Values that the source did not tell, because they had not changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use millrace_model::Batch;

use super::Change;
use super::flat::unchanged;

/// What Debezium writes in the place of such a value (`unavailable.value.placeholder`), as text, as bytes, or as the one item of a list.
const PLACEHOLDER: &str = "__debezium_unavailable_value";

/// Rows that have all of their columns, and the others by the columns that they lack. Keys are never lacked.
pub(super) fn split(rows: Batch, keys: &[usize]) -> Result<Vec<Change>, ArrowError> {
    let masks = masks(rows.columns(), keys)?;
    let headers = rows.origin().records().has_headers();
    if masks.is_empty() && !headers {
        return Ok(vec![Change::Write { rows, lacking: Vec::new() }]);
    }
    let mut groups: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
    for row in 0..rows.len() {
        groups.entry(lacking(&rows, &masks, keys, row)).or_default().push(row as u32);
    }
    if let [(lacking, _)] = groups.iter().collect::<Vec<_>>()[..]
        && lacking.is_empty()
    {
        return Ok(vec![Change::Write { rows, lacking: Vec::new() }]);
    }
    let schema = rows.columns().schema();
    let names = |lacking: Vec<usize>| lacking.into_iter().map(|column| Arc::from(schema.field(column).name().as_str())).collect();
    groups.into_iter().map(|(lacking, group)| Ok(Change::Write { rows: rows.take(&group.into())?, lacking: names(lacking) })).collect()
}

fn lacking(rows: &Batch, masks: &[(usize, BooleanArray)], keys: &[usize], row: usize) -> Vec<usize> {
    let mut lacking: Vec<usize> =
        masks.iter().filter(|(_, mask)| mask.is_valid(row) && mask.value(row)).map(|(column, _)| *column).collect();
    let origin = rows.origin();
    if let Some(names) = unchanged(origin.records(), origin.rows()[row]) {
        let schema = rows.columns().schema();
        let columns = names.split(',').filter_map(|name| schema.index_of(name.trim()).ok());
        lacking.extend(columns.filter(|column| !keys.contains(column)));
    }
    lacking.sort_unstable();
    lacking.dedup();
    lacking
}

/// For each column that has the placeholder somewhere, where it has it.
fn masks(columns: &RecordBatch, keys: &[usize]) -> Result<Vec<(usize, BooleanArray)>, ArrowError> {
    let mut masks = Vec::new();
    for (column, array) in columns.columns().iter().enumerate().filter(|(column, _)| !keys.contains(column)) {
        if let Some(mask) = mask(array)?.filter(|mask| mask.true_count() > 0) {
            masks.push((column, mask));
        }
    }
    Ok(masks)
}

fn mask(array: &ArrayRef) -> Result<Option<BooleanArray>, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8 => Some(eq(array, &Scalar::new(StringArray::from(vec![PLACEHOLDER])))?),
        DataType::Binary => Some(eq(array, &Scalar::new(BinaryArray::from(vec![PLACEHOLDER.as_bytes()])))?),
        DataType::List(item) if *item.data_type() == DataType::Utf8 => {
            let list = array.as_list::<i32>();
            let is_placeholder = |row: usize| {
                let items = list.value(row);
                let texts: &StringArray = items.as_string();
                texts.len() == 1 && texts.is_valid(0) && texts.value(0) == PLACEHOLDER
            };
            Some((0..list.len()).map(|row| Some(list.is_valid(row) && is_placeholder(row))).collect())
        }
        _ => None,
    })
}
