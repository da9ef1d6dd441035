//! The folders of a partitioned table: rows with one value of the partition column, or of one range of time, are in files of their own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{DatePart, cast, date_part, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Int32Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::table_config::{PartitionBy, Partitioning};

const DAY: i64 = 86_400_000_000;
/// What stands for null in the name of a folder, as Hive has it.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// What a folder's name does not have as it is.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'*')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'~')
    .add(b'+');

/// The column that a table is partitioned by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    /// The column that it is made of.
    from: String,
    by: Partitioning,
    /// The column of the table that has its values.
    pub(super) column: String,
}

/// Rows of one folder.
pub(super) struct Group {
    /// The value of the partition column.
    pub(super) value: Option<String>,
    /// The rows, without that column.
    pub(super) rows: RecordBatch,
}

impl Folders {
    pub(super) fn of(by: &PartitionBy) -> Self {
        let from = by.column.clone();
        let column = match by.by {
            Partitioning::Day => format!("{from}_day"),
            Partitioning::Month => format!("{from}_month"),
            Partitioning::Year => format!("{from}_year"),
            Partitioning::List | Partitioning::Hash => from.clone(),
        };
        Self { from, by: by.by, column }
    }

    /// The column that it adds to the table; none where the column is one of the table already.
    pub(super) fn added(&self) -> Option<Field> {
        let data_type = match self.by {
            Partitioning::Day => DataType::Date32,
            Partitioning::Month => DataType::Utf8,
            Partitioning::Year => DataType::Int32,
            Partitioning::List | Partitioning::Hash => return None,
        };
        Some(Field::new(&self.column, data_type, true))
    }

    /// Whether a folder can be named after values of such a column.
    pub(super) fn takes(&self, column: &Field) -> bool {
        self.by.is_range()
            || matches!(
                column.data_type(),
                DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Utf8 | DataType::Date32 | DataType::Decimal128(..)
            )
    }

    /// The rows of each folder.
    pub(super) fn split(&self, rows: &RecordBatch) -> Result<Vec<Group>, ArrowError> {
        let values = self.values(rows)?;
        let rows = self.without_column(rows)?;
        let keys = RowConverter::new(vec![SortField::new(values.data_type().clone())])?.convert_columns(&[Arc::clone(&values)])?;
        let mut groups: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for number in 0..rows.num_rows() {
            groups.entry(keys.row(number).data()).or_default().push(number as u32);
        }
        let mut groups: Vec<Vec<u32>> = groups.into_values().collect();
        groups.sort_unstable_by_key(|group| group[0]);
        groups.into_iter().map(|group| self.group(&values, &rows, group)).collect()
    }

    fn group(&self, values: &ArrayRef, rows: &RecordBatch, group: Vec<u32>) -> Result<Group, ArrowError> {
        let value = self.text(values, group[0] as usize)?;
        if group.len() == rows.num_rows() {
            return Ok(Group { value, rows: rows.clone() });
        }
        Ok(Group { value, rows: take_record_batch(rows, &UInt32Array::from(group))? })
    }

    /// What tells folders apart, for each row.
    fn values(&self, rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let column = rows.column_by_name(&self.from).ok_or_else(|| ArrowError::SchemaError(format!("there is no column {}", self.from)))?;
        if self.added().is_none() {
            return Ok(Arc::clone(column));
        }
        let days: Date32Array = match column.data_type() {
            DataType::Date32 => column.as_primitive::<Date32Type>().clone(),
            _ => column.as_primitive::<TimestampMicrosecondType>().unary(|micros| micros.div_euclid(DAY) as i32),
        };
        if self.by == Partitioning::Day {
            return Ok(Arc::new(days));
        }
        let years = date_part(&days, DatePart::Year)?;
        if self.by == Partitioning::Year {
            return Ok(years);
        }
        let (years, months) = (years.as_primitive::<Int32Type>(), date_part(&days, DatePart::Month)?);
        let months: Int32Array = arrow::compute::binary(years, months.as_primitive::<Int32Type>(), |year, month| year * 12 + month - 1)?;
        Ok(Arc::new(months))
    }

    /// A value as the log has it.
    fn text(&self, values: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
        if values.is_null(row) {
            return Ok(None);
        }
        if self.by == Partitioning::Month {
            let month = values.as_primitive::<Int32Type>().value(row);
            return Ok(Some(format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1)));
        }
        let text = cast(&values.slice(row, 1), &DataType::Utf8)?;
        let text: &StringArray = text.as_string();
        Ok(Some(text.value(0).to_owned()))
    }

    /// A file does not have the column that its folder has.
    fn without_column(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let others: Vec<usize> =
            rows.schema().fields().iter().enumerate().filter(|(_, field)| *field.name() != self.column).map(|(number, _)| number).collect();
        rows.project(&others)
    }

    /// The folder of a value.
    pub(super) fn folder(&self, value: Option<&str>) -> String {
        let escaped = |text| utf8_percent_encode(text, ESCAPED).to_string();
        format!("{}={}", escaped(&self.column), value.map_or_else(|| NULL.to_owned(), escaped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, TimestampMicrosecondArray};

    fn split(by: Partitioning) -> Vec<(Option<String>, Vec<i64>)> {
        // 1969-12-31 23:59:59.999999, 1970-01-01, 1970-02-01, null, 1970-01-31.
        let at = TimestampMicrosecondArray::from(vec![Some(-1), Some(0), Some(31 * DAY), None, Some(30 * DAY)]).with_timezone("UTC");
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]));
        let rows =
            RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("at", Arc::new(at) as ArrayRef, true)]).expect("two columns");
        let folders = Folders::of(&PartitionBy { column: "at".into(), by, partitions: None });
        let groups = folders.split(&rows).expect("splits");
        let ids = |rows: &RecordBatch| rows.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
        groups.into_iter().map(|group| (group.value, ids(&group.rows))).collect()
    }

    #[test]
    fn rows_go_where_their_time_is() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            split(Partitioning::Month),
            [(some("1969-12"), vec![1]), (some("1970-01"), vec![2, 5]), (some("1970-02"), vec![3]), (None, vec![4])]
        );
        assert_eq!(split(Partitioning::Year), [(some("1969"), vec![1]), (some("1970"), vec![2, 3, 5]), (None, vec![4])]);
        assert_eq!(split(Partitioning::Day)[0], (some("1969-12-31"), vec![1]));
    }

    #[test]
    fn a_folder_is_named_after_its_value() {
        let folders = Folders::of(&PartitionBy { column: "kind".into(), by: Partitioning::List, partitions: None });
        assert_eq!(folders.folder(Some("a/b c%=ż")), "kind=a%2Fb%20c%25%3D%C5%BC");
        assert_eq!(folders.folder(None), "kind=__HIVE_DEFAULT_PARTITION__");
    }
}
