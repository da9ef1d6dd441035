//! A request on its way from the gateway to its pipeline and back.

use tokio::sync::oneshot;

use super::answer::{Answer, Refused};
use super::keyed::Key;
use super::reading::Read;

/// What comes back for a request.
pub(super) type Reply = Result<Answer, Refused>;

/// The records of one request, read by schema.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) read: Read,
    /// With it the request belongs to one partition of keys.
    pub(super) key: Option<Key>,
    reply: oneshot::Sender<Reply>,
}

impl Request {
    /// A request, and where its reply will come.
    pub(super) fn new(read: Read, key: Option<Key>) -> (Self, oneshot::Receiver<Reply>) {
        let (reply, replied) = oneshot::channel();
        (Self { read, key, reply }, replied)
    }

    /// How many records it has, good and bad.
    pub(super) fn records(&self) -> usize {
        self.read.content.records().len()
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
