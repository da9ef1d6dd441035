//! Sheets of Excel (`.xlsx`, `.xls`) and OpenDocument (`.ods`) workbooks: one record for each row under the header.
//!
//! | schema | cell |
//! |---|---|
//! | null | an empty cell |
//! | string, enum, uuid … | text |
//! | int, long, decimal, float, double | a number: every number of a sheet is a double, whose shortest digits are taken |
//! | boolean | a boolean |
//! | date | a date without a time of day |
//! | time | a time of day without a date |
//! | local-timestamp | a date and time, to the millisecond |
//!
//! A cell with an error (`#DIV/0!`) fits no type. A formula is its last result.

use std::borrow::Cow;
use std::io::{Read as _, Seek as _, SeekFrom};

use calamine::{Data, DataRef, ExcelDateTime, Ods, Reader, Xls, Xlsx};
use jiff::civil::{Date, Time};
use millrace_model::{Code, Fault, Result, Schema};

use super::blocks::{Block, Blocks, Bytes, Opening};
use super::cell::Cell;
use super::numbered::Numbered;
use super::original::write_object;
use super::rows::{CellType, RowReader};
use super::{Problem, shortened};

/// How much a workbook may be unpacked, in bytes: all of it is in memory while it is read.
const UNPACKED: u64 = 512 << 20;
/// What a workbook that is a zip archive begins with, and one that is not.
const ZIP: &[u8] = b"PK\x03\x04";
const COMPOUND: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0];

/// Which sheet is read, and what of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SheetOptions {
    /// The sheet's name, or its number from 1; the first sheet without it.
    pub sheet: Option<String>,
    /// The number of the header's row, from 1; the first row that is not empty without it.
    pub header_row: Option<u32>,
    /// The names of the columns where there is no header.
    pub columns: Option<Vec<String>>,
    /// Texts that stand for null.
    pub nulls: Vec<String>,
}

/// A sheet of a workbook, open.
pub struct Sheet {
    opening: Opening,
    reader: RowReader,
    names: Vec<String>,
    /// For each column of the header its number in the sheet.
    columns: Vec<u32>,
    name: String,
    nulls: Vec<String>,
    /// The rows under the header that are not empty.
    rows: Vec<Row>,
    next: usize,
}

impl std::fmt::Debug for Sheet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sheet").field("name", &self.name).field("rows", &self.rows.len()).field("next", &self.next).finish_non_exhaustive()
    }
}

/// A row: its number from 0, and its cells that are not empty, each with the number of its column.
struct Row {
    number: u32,
    cells: Vec<(u32, Data)>,
}

impl Sheet {
    /// Opens a sheet of rows of `schema`. The whole of it is read.
    pub fn open(mut file: Box<dyn Bytes>, schema: &Schema, options: &SheetOptions, opening: Opening) -> Result<Self> {
        let (name, mut rows) = match beginning(&mut file)? {
            begins if begins == ZIP => unpacked(file, options, UNPACKED)?,
            begins if begins == COMPOUND => of(Xls::new(file).map_err(damaged)?, options)?,
            _ => return Err(Fault::operator(Code::FileDamaged, "not a workbook: neither .xlsx, .xls nor .ods")),
        };
        let header = header(&mut rows, options, &name)?;
        let (columns, names): (Vec<u32>, Vec<String>) = header.into_iter().unzip();
        let types: Vec<_> = names.iter().map(|name| (name.clone(), CellType::Any)).collect();
        let reader = RowReader::new(schema, "sheet", &types)?;
        let next = usize::try_from(opening.from).unwrap_or(usize::MAX).min(rows.len());
        Ok(Self { opening, reader, names, columns, name, nulls: options.nulls.clone(), rows, next })
    }
}

impl Blocks for Sheet {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        let end = self.rows.len().min(self.next.saturating_add(rows));
        let some = &self.rows[self.next..end];
        if some.is_empty() {
            return Ok(None);
        }
        let mut numbered = Numbered::new(&self.opening, self.next as u64, some.len());
        let mut checked = Vec::with_capacity(some.len());
        let mut text = Vec::new();
        for row in some {
            let cells = cells(row, &self.columns, &self.nulls);
            text.clear();
            write_object(self.names.iter().map(String::as_str).zip(&cells), &mut text);
            numbered.push(&text);
            checked.push(unnamed(row, &self.columns).map_or(Ok(cells), Err));
        }
        let originals = numbered.finish();
        let parsed = self.reader.read_checked(&originals.records, checked.into_iter())?;
        let block = originals.block(parsed, |number| {
            let row = self.rows.get(number as usize).map_or(0, |row| row.number);
            format!("sheet {:?}, row {}", shortened(&self.name), row + 1)
        })?;
        self.next = end;
        Ok(Some(block))
    }
}

fn beginning(file: &mut Box<dyn Bytes>) -> Result<[u8; 4]> {
    let mut begins = [0; 4];
    let read =
        file.read_exact(&mut begins).or_else(|error| if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) });
    let rewound = read.and_then(|()| file.seek(SeekFrom::Start(0)));
    rewound.map_err(|error| Fault::operator(Code::FileUnreadable, "the file can't be read").because(error))?;
    Ok(begins)
}

/// A workbook that is an archive. What its parts unpack to is counted before one is kept: what they say of it need not be true.
fn unpacked(file: Box<dyn Bytes>, options: &SheetOptions, limit: u64) -> Result<(String, Vec<Row>)> {
    let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
    let mut left = limit;
    for number in 0..archive.len() {
        let part = archive.by_index(number).map_err(damaged)?;
        let size = std::io::copy(&mut part.take(left + 1), &mut std::io::sink()).map_err(damaged)?;
        left = left.checked_sub(size).ok_or_else(|| {
            Fault::operator(Code::FileDamaged, format!("the workbook unpacks to more than {} MiB: save the sheet as CSV", limit >> 20))
        })?;
    }
    let is_excel = archive.index_for_name("xl/workbook.xml").is_some();
    let file = archive.into_inner();
    if is_excel { streamed(Xlsx::new(file).map_err(damaged)?, options) } else { of(Ods::new(file).map_err(damaged)?, options) }
}

/// Cell by cell: two cells far apart would make a large rectangle.
fn streamed(mut workbook: Xlsx<Box<dyn Bytes>>, options: &SheetOptions) -> Result<(String, Vec<Row>)> {
    let name = chosen(&workbook.sheet_names(), options)?;
    let mut cells = workbook.worksheet_cells_reader(&name).map_err(damaged)?;
    let mut rows: Vec<Row> = Vec::new();
    while let Some(cell) = cells.next_cell().map_err(damaged)? {
        let (number, column) = cell.get_position();
        let value = owned(cell.get_value());
        if value == Data::Empty {
            continue;
        }
        match rows.last_mut() {
            Some(row) if row.number == number => row.cells.push((column, value)),
            _ => rows.push(Row { number, cells: vec![(column, value)] }),
        }
    }
    Ok((name, rows))
}

fn owned(value: &DataRef<'_>) -> Data {
    match value {
        DataRef::SharedString(text) => Data::String((*text).to_owned()),
        other => Data::from(other.clone()),
    }
}

/// A workbook of a format that has bounds of its own: 65,536 rows of 256 cells, or what the reader limits.
fn of<R: Reader<Box<dyn Bytes>>>(mut workbook: R, options: &SheetOptions) -> Result<(String, Vec<Row>)>
where
    R::Error: std::error::Error + Send + Sync + 'static,
{
    let name = chosen(&workbook.sheet_names(), options)?;
    let range = workbook.worksheet_range(&name).map_err(damaged)?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    let rows = range.rows().zip(first_row..).map(|(cells, number)| {
        let cells = cells.iter().zip(first_column..).filter(|(value, _)| **value != Data::Empty);
        Row { number, cells: cells.map(|(value, column)| (column, value.clone())).collect() }
    });
    Ok((name, rows.filter(|row| !row.cells.is_empty()).collect()))
}

fn chosen(names: &[String], options: &SheetOptions) -> Result<String> {
    let missing = |what: String| {
        let known = names.iter().map(|name| shortened(name)).collect::<Vec<_>>().join(", ");
        Fault::operator(Code::FileUnreadable, format!("the workbook has no {what}; it has: {known}"))
    };
    match options.sheet.as_deref() {
        None => names.first().cloned().ok_or_else(|| missing("sheet".to_owned())),
        Some(wanted) => {
            let number = || wanted.parse::<usize>().ok()?.checked_sub(1);
            let found = names.iter().find(|name| *name == wanted).or_else(|| names.get(number()?));
            found.cloned().ok_or_else(|| missing(format!("sheet {wanted}")))
        }
    }
}

/// The names of the columns, which are taken off the rows together with what is above them.
fn header(rows: &mut Vec<Row>, options: &SheetOptions, sheet: &str) -> Result<Vec<(u32, String)>> {
    if let Some(columns) = &options.columns {
        rows.retain(|row| row.number + 1 >= options.header_row.unwrap_or(0));
        return Ok((0..).zip(columns.iter().cloned()).collect());
    }
    let place = match options.header_row {
        Some(number) => rows.iter().position(|row| row.number + 1 == number),
        None => (!rows.is_empty()).then_some(0),
    };
    let place = place.ok_or_else(|| Fault::operator(Code::ColumnsUnfit, format!("the sheet {sheet:?} has no header row there")))?;
    let row = rows.drain(..=place).next_back();
    let cells = row.into_iter().flat_map(|row| row.cells);
    cells.map(|(column, value)| Ok((column, name(&value)?))).collect()
}

fn name(value: &Data) -> Result<String> {
    match value {
        Data::String(text) => Ok(text.trim().to_owned()),
        Data::Int(number) => Ok(number.to_string()),
        Data::Float(number) => Ok(number.to_string()),
        _ => Err(Fault::operator(Code::ColumnsUnfit, "the header row has a cell that is no name")),
    }
}

/// A cell that stands under no name.
fn unnamed(row: &Row, columns: &[u32]) -> Option<Problem> {
    let (column, _) = row.cells.iter().find(|(column, _)| columns.binary_search(column).is_err())?;
    Some(Problem::new(Code::FieldUnknown, format!("the cell in column {} stands under no name of the header", column + 1)))
}

/// A row's cells under the header.
fn cells<'a>(row: &'a Row, columns: &[u32], nulls: &[String]) -> Vec<Cell<'a>> {
    let mut cells = vec![Cell::Null; columns.len()];
    for (column, value) in &row.cells {
        if let Ok(place) = columns.binary_search(column) {
            cells[place] = cell(value, nulls);
        }
    }
    cells
}

fn cell<'a>(value: &'a Data, nulls: &[String]) -> Cell<'a> {
    match value {
        Data::Empty => Cell::Null,
        Data::String(text) if nulls.contains(text) => Cell::Null,
        Data::String(text) | Data::DateTimeIso(text) => Cell::Text(Cow::Borrowed(text)),
        Data::DurationIso(text) => Cell::Invalid(Cow::Borrowed(text)),
        Data::Bool(value) => Cell::Boolean(*value),
        Data::Int(value) => Cell::Integer(*value),
        Data::Float(value) => Cell::Number(Cow::Owned(value.to_string())),
        Data::DateTime(time) => moment(time),
        Data::Error(error) => Cell::Invalid(Cow::Owned(error.to_string())),
    }
}

/// Days since the last day of 1899, of which the first one has no date: a time of day.
fn moment(time: &ExcelDateTime) -> Cell<'static> {
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let clock = Time::new(hour as i8, minute as i8, second as i8, i32::from(milli) * 1_000_000).ok();
    let Some(clock) = clock else { return Cell::Invalid(Cow::Owned(time.to_string())) };
    let micros = clock.duration_since(Time::midnight()).as_micros() as i64;
    if time.is_duration() || (0.0..1.0).contains(&time.as_f64()) {
        return if time.as_f64() < 1.0 { Cell::Time(micros) } else { Cell::Invalid(Cow::Owned(time.to_string())) };
    }
    match Date::new(year as i16, month as i8, day as i8) {
        Ok(date) => {
            let days = (date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24) as i32;
            Cell::Moment { days, micros }
        }
        Err(_) => Cell::Invalid(Cow::Owned(time.to_string())),
    }
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::operator(Code::FileDamaged, "not a whole workbook").because(error)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    #[test]
    fn a_workbook_that_unpacks_to_too_much_is_not_read() {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("xl/workbook.xml", zip::write::SimpleFileOptions::default()).expect("begins a file");
        archive.write_all(&vec![0; 3 << 20]).expect("writes");
        let bytes = archive.finish().expect("ends").into_inner();
        assert!(bytes.len() < 1 << 15, "{}", bytes.len());
        let fault = unpacked(Box::new(Cursor::new(bytes)), &SheetOptions::default(), 2 << 20).err().expect("is refused");
        assert!(fault.code() == Code::FileDamaged && fault.message().contains("unpacks to more than 2 MiB"), "{fault}");
    }

    #[test]
    fn a_date_a_time_and_both_are_told_apart() {
        let of = |value| moment(&ExcelDateTime::new(value, calamine::ExcelDateTimeType::DateTime, false));
        assert_eq!(of(41_305.0), Cell::Moment { days: 15_736, micros: 0 });
        assert_eq!(of(41_305.5), Cell::Moment { days: 15_736, micros: 43_200_000_000 });
        assert_eq!(of(0.25), Cell::Time(21_600_000_000));
    }
}
