//! Rows as the arguments of a statement.

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::mysql::MySqlArguments;

use super::target::Loaded;
use super::types::Form;
use crate::table::{Value, Values};

/// How many bytes of values go into one statement, if they are not those of one row. More make nothing faster.
const BYTES: usize = 1 << 20;
/// What a value has besides its bytes: its type, whether it is null, its length.
const AROUND: usize = 16;

/// The columns of a batch, read row by row.
pub(super) struct Rows<'a> {
    columns: Vec<Values<'a>>,
    /// The values of one row.
    row: Vec<Value<'a>>,
}

/// Why rows can't be sent.
pub(super) enum Unsendable {
    /// A row needs so many bytes, which is more than a statement may have.
    TooLarge(usize),
    /// What holds them is broken.
    Broken(BoxDynError),
}

impl<'a> Rows<'a> {
    /// Those of a batch whose columns hold what `fields` say, for the columns of the target.
    pub(super) fn of(fields: &'a [FieldRef], batch: &'a RecordBatch, loaded: &[Loaded]) -> Result<Self, ArrowError> {
        let columns = fields.iter().zip(batch.columns());
        let columns = columns.map(|(field, array)| {
            let form = loaded.iter().find(|column| column.name == *field.name()).map(|column| column.form);
            match form {
                Some(Form::UuidBytes) => Ok(Values::uuid_bytes(array)),
                _ => Values::new(field, array, &format(array.data_type())),
            }
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, row: Vec::new() })
    }

    /// The values of as many of the rows as one statement takes, one at least and `most` at most, and how many they are.
    pub(super) fn take(&mut self, rows: Range<usize>, most: usize, packet: usize) -> Result<(MySqlArguments, usize), Unsendable> {
        let mut arguments = MySqlArguments::default();
        let (mut bytes, mut taken) = (0, 0);
        for row in rows.take(most) {
            self.read(row).map_err(Unsendable::Broken)?;
            let size = self.size();
            if size > packet {
                return Err(Unsendable::TooLarge(size));
            }
            if taken > 0 && bytes + size > BYTES.min(packet) {
                break;
            }
            self.row.drain(..).try_for_each(|value| add(value, &mut arguments)).map_err(Unsendable::Broken)?;
            (bytes, taken) = (bytes + size, taken + 1);
        }
        Ok((arguments, taken))
    }

    /// Some of a row's values, in another order.
    pub(super) fn parameters(&mut self, row: usize, columns: &[usize]) -> Result<MySqlArguments, BoxDynError> {
        let mut arguments = MySqlArguments::default();
        for &column in columns {
            add(self.columns[column].of(row)?, &mut arguments)?;
        }
        Ok(arguments)
    }

    fn read(&mut self, row: usize) -> Result<(), BoxDynError> {
        self.row.clear();
        for values in &mut self.columns {
            self.row.push(values.of(row)?);
        }
        Ok(())
    }

    /// How many bytes of a statement the row takes.
    fn size(&self) -> usize {
        self.row.iter().map(|value| AROUND + length(value)).sum()
    }
}

fn length(value: &Value<'_>) -> usize {
    match value {
        Value::Null => 0,
        Value::Boolean(_) | Value::Int(_) | Value::Long(_) | Value::Float(_) | Value::Double(_) => 8,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    }
}

fn add(value: Value<'_>, to: &mut MySqlArguments) -> Result<(), BoxDynError> {
    match value {
        Value::Null => to.add(None::<i64>),
        Value::Boolean(value) => to.add(value),
        Value::Int(value) => to.add(value),
        Value::Long(value) => to.add(value),
        Value::Float(value) => to.add(value),
        Value::Double(value) => to.add(value),
        Value::Text(Cow::Borrowed(text)) => to.add(text),
        Value::Text(Cow::Owned(text)) => to.add(text),
        Value::Bytes(bytes) => to.add(bytes),
    }
}

/// Instants in UTC, which is the session's zone.
fn format(data_type: &DataType) -> FormatOptions<'static> {
    let options = FormatOptions::new().with_display_error(false);
    match data_type {
        DataType::Timestamp(_, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f")),
        DataType::Timestamp(_, None) => options.with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f")),
        DataType::Time32(_) | DataType::Time64(_) => options.with_time_format(Some("%H:%M:%S%.6f")),
        _ => options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    fn taken(texts: &[&str], most: usize, packet: usize) -> Result<usize, usize> {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let batch = RecordBatch::try_from_iter([("c", column)]).expect("one column");
        let schema = batch.schema();
        let mut rows = Rows::of(schema.fields(), &batch, &[]).expect("is text");
        match rows.take(0..texts.len(), most, packet) {
            Ok((arguments, taken)) => {
                assert_eq!(arguments.len(), taken);
                Ok(taken)
            }
            Err(Unsendable::TooLarge(bytes)) => Err(bytes),
            Err(Unsendable::Broken(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_statement_takes_as_many_rows_as_it_has_room_for() {
        assert_eq!(taken(&["a", "b", "c"], 2, 1 << 20), Ok(2));
        assert_eq!(taken(&["12345678", "12345678", "12345678"], 9, 50), Ok(2));
        let long = "x".repeat(BYTES - 100);
        assert_eq!(taken(&[&long, &long], 9, 1 << 24), Ok(1));
    }

    #[test]
    fn a_row_that_no_statement_has_room_for_is_told() {
        assert_eq!(taken(&["12345678"], 9, 20), Err(24));
    }
}
