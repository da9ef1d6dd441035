//! The COPY of a round, which goes on beside the loop: the server takes rows in while the next batch is being decoded.

use millrace_model::{Code, Fault, Result};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::fault::{fault, refusal};
use super::session::Session;
use super::staged::Staged;

/// Batches that wait for the server. More would only take memory: the socket's buffers hold some as well.
const WAITING: usize = 2;

/// A round's COPY that is under way. Dropping it ends its session.
pub(super) struct Copying {
    rows: mpsc::Sender<Staged>,
    task: AbortOnDropHandle<Result<Copied>>,
}

/// A COPY that has ended.
pub(super) struct Copied {
    pub(super) session: Session,
    /// What the server said to it.
    pub(super) done: Result<(), sqlx::Error>,
}

impl Copied {
    /// A fault unless it was rows that the server did not want.
    pub(super) fn unless_lost(self) -> Result<Self> {
        match self.done {
            Err(error) if refusal(&error).is_none() => Err(fault("copying rows", error)),
            _ => Ok(self),
        }
    }
}

impl Copying {
    /// Opens the round's transaction, and a COPY in it.
    pub(super) fn start(mut session: Session) -> Self {
        let (rows, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            let done = session.copy(receiver).await?;
            Ok(Copied { session, done })
        });
        Self { rows, task: AbortOnDropHandle::new(task) }
    }

    /// Hands rows over; waits while the server is slower than the loop. `false`: the COPY has ended before its time, and tells
    /// why when it is finished.
    pub(super) async fn send(&self, rows: Staged) -> bool {
        self.rows.send(rows).await.is_ok()
    }

    /// Waits until the server has taken everything, or has said why not.
    pub(super) async fn finish(self) -> Result<Copied> {
        drop(self.rows);
        self.task.await.map_err(|error| Fault::fatal(Code::Internal, "PostgreSQL: the task of a COPY panicked").because(error))?
    }
}
