//! A COPY into a table.

use std::ops::Range;

use sqlx::Error;
use sqlx::postgres::{PgConnection, PgCopyIn};

use super::encode::{HEADER, StageMark, StageMarks, TRAILER, write_rows};
use super::staged::{Change, Staged};
use super::types::Form;

/// How much is encoded before it is sent, in bytes: what stays in the caches of both sides, each of which copies it.
const CHUNK: usize = 1 << 16;

/// A COPY that is under way. Dropping it instead of finishing it leaves the connection unusable, on purpose.
pub(super) struct Copy<'a> {
    copy: PgCopyIn<&'a mut PgConnection>,
    buffer: Vec<u8>,
    marks: Marks,
}

/// What stands before the columns of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Marks {
    /// Nothing: it goes straight into the target.
    None,
    /// The marks of a stage.
    Stage {
        /// The number that the next row gets.
        next: i64,
        /// Whether a mark says which columns a row lacks.
        partial: bool,
    },
}

impl Marks {
    fn others(self, staged: &Staged, columns: &[(Option<usize>, Form)]) -> StageMarks {
        let marks = StageMarks::deleted(staged.change == Change::Deletions);
        match self {
            Self::Stage { partial: true, .. } => marks.lacking(lacking(staged, columns).as_deref()),
            _ => marks,
        }
    }

    fn advance(&mut self, rows: usize) {
        if let Self::Stage { next, .. } = self {
            *next += rows as i64;
        }
    }
}

/// A bit for each column that the rows lack; none when they have all of them.
fn lacking(staged: &Staged, columns: &[(Option<usize>, Form)]) -> Option<Vec<u8>> {
    if staged.change == Change::Deletions || columns.iter().all(|(column, _)| column.is_some()) {
        return None;
    }
    let mut bits = vec![0_u8; columns.len().div_ceil(8)];
    let lacking = columns.iter().enumerate().filter(|(_, (column, _))| column.is_none());
    lacking.for_each(|(number, _)| bits[number / 8] |= 1 << (number % 8));
    Some(bits)
}

impl<'a> Copy<'a> {
    /// Starts `COPY … FROM STDIN (FORMAT binary)`.
    pub(super) async fn begin(connection: &'a mut PgConnection, statement: &str, marks: Marks) -> Result<Self, Error> {
        Ok(Self { copy: connection.copy_in_raw(statement).await?, buffer: HEADER.to_vec(), marks })
    }

    /// The next row has that number, where rows are numbered.
    pub(super) fn number(&mut self, row: usize) {
        if let Marks::Stage { next, .. } = &mut self.marks {
            *next = row as i64;
        }
    }

    /// Sends rows of a batch.
    pub(super) async fn send(&mut self, staged: &Staged, columns: &[(Option<usize>, Form)], rows: Range<usize>) -> Result<(), Error> {
        if staged.change == Change::Clear {
            self.marks.advance(rows.len());
            return Ok(());
        }
        let others = self.marks.others(staged, columns);
        let mut row = rows.start;
        while row < rows.end {
            let mark = match self.marks {
                Marks::Stage { next, .. } => Some(StageMark { sequence: next, others: &others }),
                Marks::None => None,
            };
            let next = write_rows(staged.batch.columns(), columns, mark, row..rows.end, CHUNK, &mut self.buffer)
                .map_err(|error| Error::Encode(error.into()))?;
            self.marks.advance(next - row);
            row = next;
            if self.buffer.len() >= CHUNK {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Ends the COPY; only now does the server tell what it refused.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        self.buffer.extend_from_slice(TRAILER);
        self.flush().await?;
        self.copy.finish().await.map(drop)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.copy.send(&self.buffer[..]).await?;
        self.buffer.clear();
        Ok(())
    }
}
