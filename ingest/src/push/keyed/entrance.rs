//! The way of a request with a key: into a lane of this replica, or to the owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::request;
use axum::response::Response;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout_at};

use super::super::answer::Refused;
use super::super::request::Request;
use super::forward::{Forwarder, Hop, handed_over};
use super::owners::Owners;
use super::place::{Places, Where, record_key};

/// How long a request waits for an owner.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a failed try the owner is looked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// What the route of a pipeline knows of owners.
pub(crate) struct Entrance {
    pub(crate) pipeline: Arc<str>,
    pub(crate) places: watch::Receiver<Places>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) forwarder: Forwarder,
}

/// What became of a request.
pub(crate) enum Way {
    /// It belongs to this replica.
    Here(mpsc::Sender<Request>),
    /// The owner has answered it.
    Answered(Response),
}

impl Entrance {
    /// Finds the owner of the key, and sends the request on to it if that is another replica. While the owner changes it waits a little,
    /// and then says so. What came from another replica stays here.
    pub(crate) async fn way(&self, key: &str, hop: Hop, head: &request::Parts, body: &Bytes) -> Result<Way, Refused> {
        let (key, mut places) = (record_key(&self.pipeline, key), self.places.clone());
        let deadline = Instant::now() + PATIENCE;
        let mut tried = None;
        while Instant::now() < deadline {
            let place = places.borrow_and_update().of(&key);
            match place {
                Where::Here(requests) => return Ok(Way::Here(requests)),
                Where::Elsewhere(_) if hop == Hop::Replica => break,
                Where::Elsewhere(partition) => {
                    if let Some(response) = self.forward(partition, tried, head, body, deadline).await {
                        return Ok(Way::Answered(response));
                    }
                    tried = Some(Instant::now());
                    self.pause(&mut places, Instant::now() + PAUSE).await;
                }
                Where::Soon => self.pause(&mut places, deadline).await,
            }
        }
        Err(handed_over())
    }

    /// Waits until the places change, and no longer than `until`.
    async fn pause(&self, places: &mut watch::Receiver<Places>, until: Instant) {
        let changed = timeout_at(until.into(), places.changed()).await;
        if let Ok(Err(_)) = changed {
            // The membership has ended: nothing will change.
            sleep(until.saturating_duration_since(Instant::now())).await;
        }
    }

    /// The owner's answer, if it was where it is said to be since `tried`.
    async fn forward(
        &self,
        partition: i32,
        tried: Option<Instant>,
        head: &request::Parts,
        body: &Bytes,
        deadline: Instant,
    ) -> Option<Response> {
        let found = timeout_at(deadline.into(), self.owners.find(&self.pipeline, partition, tried)).await;
        let address = match found {
            Ok(Ok(address)) => address?,
            Ok(Err(fault)) => {
                tracing::debug!(%fault, "the owners of partitions can't be read");
                return None;
            }
            Err(_) => return None,
        };
        self.forwarder.send(&address, &self.pipeline, head, body.clone()).await.ok()
    }
}
