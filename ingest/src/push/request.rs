//! A request on its way from the gateway to its pipeline and back.

use millrace_runtime::formats::Parsed;
use tokio::sync::oneshot;

use super::answer::{Answer, Refused};

/// What comes back for a request.
pub(super) type Reply = Result<Answer, Refused>;

/// The records of one request, read by schema.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) parsed: Parsed,
    pub(super) idempotency_key: Option<String>,
    reply: oneshot::Sender<Reply>,
}

impl Request {
    /// A request, and where its reply will come.
    pub(super) fn new(parsed: Parsed, idempotency_key: Option<String>) -> (Self, oneshot::Receiver<Reply>) {
        let (reply, replied) = oneshot::channel();
        (Self { parsed, idempotency_key, reply }, replied)
    }

    /// How many records it has, good and bad.
    pub(super) fn records(&self) -> usize {
        self.parsed.batch.origin().records().len()
    }

    /// Whether its sender has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn answer(self, reply: Reply) {
        // The sender may have gone; the records are durable all the same.
        self.reply.send(reply).ok();
    }
}
