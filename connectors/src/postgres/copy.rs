//! A COPY into a table.

use std::ops::Range;

use sqlx::Error;
use sqlx::postgres::{PgConnection, PgCopyIn};

use super::encode::{HEADER, StageMark, TRAILER, write_rows};
use super::staged::Staged;
use super::types::Form;

/// How much is encoded before it is sent, in bytes.
const CHUNK: usize = 1 << 20;

/// A COPY that is under way. Dropping it instead of finishing it leaves the connection unusable, on purpose.
pub(super) struct Copy<'a> {
    copy: PgCopyIn<&'a mut PgConnection>,
    buffer: Vec<u8>,
    /// The number that the next row of a stage gets; none when the rows have no marks.
    sequence: Option<i64>,
}

impl<'a> Copy<'a> {
    /// Starts `COPY … FROM STDIN (FORMAT binary)`. The rows of a stage are numbered from `sequence` on.
    pub(super) async fn begin(connection: &'a mut PgConnection, statement: &str, sequence: Option<i64>) -> Result<Self, Error> {
        Ok(Self { copy: connection.copy_in_raw(statement).await?, buffer: HEADER.to_vec(), sequence })
    }

    /// Sends rows of a batch.
    pub(super) async fn send(&mut self, staged: &Staged, columns: &[(Option<usize>, Form)], rows: Range<usize>) -> Result<(), Error> {
        let mut row = rows.start;
        while row < rows.end {
            let mark = self.sequence.map(|sequence| StageMark { sequence, deleted: staged.deleted });
            let next = write_rows(staged.batch.columns(), columns, mark, row..rows.end, CHUNK, &mut self.buffer)
                .map_err(|error| Error::Encode(error.into()))?;
            self.sequence = self.sequence.map(|sequence| sequence + (next - row) as i64);
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
