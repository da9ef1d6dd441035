//! Rows on their way from a database: read by a task of their own, which is a batch ahead of Kafka and no more.

use millrace_model::{Code, Fault, Result};
use millrace_runtime::formats::Cell;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::database::{QueryColumn, Shared};

/// A row's cells, in the order of the query's columns.
pub(crate) type Row = Vec<Cell<'static>>;

/// A batch is handed out when it has so many bytes, however few rows that is.
const BYTES: usize = 8 << 20;
/// A row takes about as much beside what is in it.
const BYTES_OF_ROW: usize = 64;

/// The rows of a running statement.
#[derive(Debug)]
pub(super) struct Rows {
    /// Nothing stands for the end: a task that ends without saying so has failed.
    batches: mpsc::Receiver<Result<Option<Vec<Row>>>>,
    _task: AbortOnDropHandle<()>,
}

impl Rows {
    /// Runs the statement; at most `batch` rows are handed out together.
    pub(super) fn run(database: Shared, statement: String, columns: Vec<QueryColumn>, batch: usize) -> Self {
        let (sender, batches) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            let mut outlet = Outlet { sender, rows: Vec::new(), bytes: 0, batch };
            let read = database.read(&statement, &columns, &mut outlet).await;
            outlet.end(read).await;
        });
        Self { batches, _task: AbortOnDropHandle::new(task) }
    }

    /// The next rows; `None` after the last ones. What is dropped before it is done loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        let ended_early = || Err(Fault::fatal(Code::Internal, "the task that reads a query ended in mid-result"));
        self.batches.recv().await.unwrap_or_else(ended_early)
    }

    /// All rows of a statement that has few.
    pub(super) async fn all(mut self) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        while let Some(rows) = self.next().await? {
            all.extend(rows);
        }
        Ok(all)
    }
}

/// Where a database puts its rows.
#[derive(Debug)]
pub(crate) struct Outlet {
    sender: mpsc::Sender<Result<Option<Vec<Row>>>>,
    rows: Vec<Row>,
    bytes: usize,
    batch: usize,
}

/// Nobody takes the rows any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Outlet {
    /// How many rows may be handed out together.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Takes a row; waits while a whole batch is waiting.
    pub(crate) async fn push(&mut self, row: Row) -> Result<(), Closed> {
        self.bytes += BYTES_OF_ROW + row.iter().map(bytes).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() >= self.batch || self.bytes >= BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        self.sender.send(Ok(Some(std::mem::take(&mut self.rows)))).await.map_err(|_| Closed)
    }

    /// The rows that are left, and that there are no more; or why there are none.
    async fn end(mut self, read: Result<()>) {
        let last = match read {
            Ok(()) if self.flush().await.is_err() => return,
            Ok(()) => Ok(None),
            Err(fault) => Err(fault),
        };
        // Nobody takes it where nobody takes the rows.
        self.sender.send(last).await.unwrap_or_default();
    }
}

fn bytes(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Number(text) | Cell::Text(text) | Cell::Field(text) | Cell::Json(text) | Cell::Invalid(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        Cell::List(items) => items.iter().map(bytes).sum(),
        _ => size_of::<i64>(),
    }
}
