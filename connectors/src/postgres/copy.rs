//! A COPY into a table.

use std::ops::Range;

use arrow::array::RecordBatch;
use sqlx::Error;
use sqlx::postgres::{PgConnection, PgCopyIn};

use super::encode::{HEADER, StageMark, TRAILER, write_rows};
use super::types::Form;

/// How much is encoded before it is sent, in bytes.
const CHUNK: usize = 1 << 20;

/// A COPY that is under way. Dropping it instead of finishing it leaves the connection unusable, on purpose.
pub(super) struct Copy<'a> {
    copy: PgCopyIn<&'a mut PgConnection>,
    buffer: Vec<u8>,
}

impl<'a> Copy<'a> {
    /// Starts `COPY … FROM STDIN (FORMAT binary)`.
    pub(super) async fn begin(connection: &'a mut PgConnection, statement: &str) -> Result<Self, Error> {
        Ok(Self { copy: connection.copy_in_raw(statement).await?, buffer: HEADER.to_vec() })
    }

    /// Sends rows of a batch. A stage's mark is that of the first one.
    pub(super) async fn send(
        &mut self,
        batch: &RecordBatch,
        columns: &[(Option<usize>, Form)],
        mark: Option<StageMark>,
        rows: Range<usize>,
    ) -> Result<(), Error> {
        let mut row = rows.start;
        while row < rows.end {
            let mark = mark.map(|first| StageMark { sequence: first.sequence + (row - rows.start) as i64, ..first });
            row = write_rows(batch, columns, mark, row..rows.end, CHUNK, &mut self.buffer).map_err(|error| Error::Encode(error.into()))?;
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
