//! Rows of cells under the names of their columns, by schema.

use std::sync::Arc;

use millrace_model::{Code, Fault, Records, Result, Schema};

use super::cell::{self, Cell};
use super::columns::Columns;
use super::datum::Datum;
use super::shape::{Kind, Member, Shape};
use super::{Parsed, Problem, parsed, shortened};

/// What a column's cells are, as far as its source says it before it has read one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellType {
    /// Whatever each cell says.
    Any,
    /// [`Cell::Boolean`].
    Boolean,
    /// [`Cell::Integer`].
    Integer,
    /// [`Cell::Bit`].
    Bit,
    /// [`Cell::Number`].
    Number,
    /// [`Cell::Float`].
    Float,
    /// [`Cell::Text`].
    Text,
    /// [`Cell::Bytes`].
    Bytes,
    /// [`Cell::Uuid`].
    Uuid,
    /// [`Cell::Date`].
    Date,
    /// [`Cell::Time`].
    Time,
    /// [`Cell::Timestamp`].
    Timestamp,
    /// [`Cell::LocalTimestamp`].
    LocalTimestamp,
    /// [`Cell::Json`].
    Json,
    /// [`Cell::List`] of such cells.
    List(Box<CellType>),
}

/// Reads rows whose columns have names, each in the same order.
#[derive(Debug)]
pub struct RowReader {
    schema: Schema,
    shape: Shape,
    /// For each column the field of the schema.
    columns: Vec<usize>,
    /// The values of the fields that there is no column for.
    absent: Vec<Option<Datum<'static>>>,
}

impl RowReader {
    /// A reader of rows with these columns, which `whole` is the word for, such as "query". Refuses columns that do not fit the schema
    /// (`ColumnsUnfit`, for an operator: every row would fail): one that the schema has not, one that comes twice, one of a type whose
    /// values never fit, and a field without a default that there is no column for.
    pub fn new(schema: &Schema, whole: &str, columns: &[(String, CellType)]) -> Result<Self> {
        let shape = Shape::of(schema)?;
        Columns::new(&shape, schema.arrow(), 0)?;
        let columns = placed(&shape, whole, columns)?;
        let absent = absent(&shape, whole, &columns)?;
        Ok(Self { schema: schema.clone(), shape, columns, absent })
    }

    /// Whether there can be rows of `schema` at all.
    pub fn check(schema: &Schema) -> Result<()> {
        Columns::new(&Shape::of(schema)?, schema.arrow(), 0).map(|_| ())
    }

    /// Reads a row of cells, in the order of the columns, for each of the records; a row that does not fit is refused alone.
    pub fn read<'a>(&self, records: &Arc<Records>, rows: impl Iterator<Item = Vec<Cell<'a>>>) -> Result<Parsed> {
        self.read_checked(records, rows.map(Ok))
    }

    /// The same of rows of which some are no rows.
    pub(super) fn read_checked<'a>(
        &self,
        records: &Arc<Records>,
        rows: impl Iterator<Item = Result<Vec<Cell<'a>>, Problem>>,
    ) -> Result<Parsed> {
        parsed(&self.shape, &self.schema, records, rows.map(|row| self.row(row?)))
    }

    fn row<'a>(&self, cells: Vec<Cell<'a>>) -> Result<Vec<Datum<'a>>, Problem> {
        let mut values: Vec<Option<Datum<'a>>> = self.absent.clone();
        for (cell, &field) in cells.into_iter().zip(&self.columns) {
            let member = &self.shape.fields[field];
            values[field] = Some(cell::datum(&member.slot, cell).map_err(|problem| problem.in_field(&member.name))?);
        }
        Ok(values.into_iter().map(|value| value.unwrap_or(Datum::Null)).collect())
    }
}

fn placed(shape: &Shape, whole: &str, names: &[(String, CellType)]) -> Result<Vec<usize>> {
    let mut columns = Vec::with_capacity(names.len());
    for (name, of) in names {
        let shown = shortened(name);
        let Some(index) = shape.index(name) else {
            return Err(unfit(format!("the column `{shown}` of the {whole} is not in the schema{}", shape.suggestion(name))));
        };
        if columns.contains(&index) {
            return Err(unfit(format!("the column `{shown}` comes twice in the {whole}")));
        }
        let kind = &shape.fields[index].slot.kind;
        if !of.fits(kind) {
            let wanted = kind.name();
            return Err(unfit(format!("the column `{shown}` of the {whole} is {}, and the schema has: {wanted}", of.name())));
        }
        columns.push(index);
    }
    Ok(columns)
}

fn absent(shape: &Shape, whole: &str, columns: &[usize]) -> Result<Vec<Option<Datum<'static>>>> {
    let mut given = vec![false; shape.fields.len()];
    columns.iter().for_each(|&column| given[column] = true);
    let value = |(member, given): (&Member, bool)| match member.absent() {
        _ if given => Ok(None),
        Some(value) => Ok(Some(value)),
        None => Err(unfit(format!("the {whole} has no column `{}`, and the schema gives it no default", member.name))),
    };
    shape.fields.iter().zip(given).map(value).collect()
}

fn unfit(message: String) -> Fault {
    Fault::operator(Code::ColumnsUnfit, message)
}

impl CellType {
    /// Whether any such cell can be a value of the type.
    fn fits(&self, kind: &Kind) -> bool {
        match self {
            Self::Any | Self::Json => true,
            Self::Bit => is_number(kind) || matches!(kind, Kind::Boolean),
            Self::Boolean => matches!(kind, Kind::Boolean),
            Self::Integer => is_number(kind) || matches!(kind, Kind::Timestamp(_) | Kind::LocalTimestamp(_)),
            Self::Number => is_number(kind) || matches!(kind, Kind::String),
            Self::Float => matches!(kind, Kind::Float | Kind::Double),
            Self::Text => !matches!(kind, Kind::Boolean | Kind::Int | Kind::Long | Kind::Float | Kind::Double),
            Self::Bytes => matches!(kind, Kind::Bytes | Kind::Fixed(_) | Kind::Uuid),
            Self::Uuid => matches!(kind, Kind::Uuid | Kind::UuidText | Kind::String),
            Self::Date => matches!(kind, Kind::Date),
            Self::Time => matches!(kind, Kind::Time(_)),
            Self::Timestamp => matches!(kind, Kind::Timestamp(_)),
            Self::LocalTimestamp => matches!(kind, Kind::LocalTimestamp(_)),
            Self::List(items) => matches!(kind, Kind::Array(slot) if items.fits(&slot.kind)),
        }
    }

    /// The type in words, after "is".
    fn name(&self) -> String {
        match self {
            Self::Any => "of any type".into(),
            Self::Boolean => "boolean".into(),
            Self::Integer | Self::Bit => "an integer".into(),
            Self::Number => "a decimal number".into(),
            Self::Float => "a binary fraction".into(),
            Self::Text => "text".into(),
            Self::Bytes => "bytes".into(),
            Self::Uuid => "a uuid".into(),
            Self::Date => "a date".into(),
            Self::Time => "a time of day".into(),
            Self::Timestamp => "a timestamp with time zone".into(),
            Self::LocalTimestamp => "a timestamp without time zone".into(),
            Self::Json => "JSON".into(),
            Self::List(items) => format!("a list whose items are each {}", items.name()),
        }
    }
}

fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Int | Kind::Long | Kind::Float | Kind::Double | Kind::Decimal { .. })
}
