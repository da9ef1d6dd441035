//! Where the owners of partitions are: each says so in the transaction that it begins with.
//!
//! One that was fenced can't say anything any more, so what is newest is true; what is read may be older, and who was sent to
//! the wrong replica reads again.

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::time::Instant;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::{Cluster, Outgoing, Producer, compacted};
use millrace_runtime::own_topics::GATEWAYS;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// An owner's record.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    address: String,
}

/// Tells the others that `partition` is owned here, in the producer's transaction.
pub(super) fn announce(producer: &mut Producer, pipeline: &str, partition: i32, address: &str) -> Result<()> {
    let topic = producer.topic(GATEWAYS)?;
    let value = serde_json::to_vec(&Owner { address: address.to_owned() });
    let value = value.map_err(|error| Fault::fatal(Code::Internal, "an address is JSON").because(error))?;
    let key = name(pipeline, partition);
    producer.send(topic, &Outgoing { key: Some(key.as_bytes()), value: Some(&value), ..Outgoing::default() })
}

fn name(pipeline: &str, partition: i32) -> String {
    format!("{pipeline}/{partition}")
}

/// The owners, as far as they were read.
pub(crate) struct Owners {
    cluster: Cluster,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// When they were read.
    at: Option<Instant>,
    addresses: HashMap<String, String>,
}

impl Owners {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), known: Mutex::default() }
    }

    /// The address of a partition's owner, as it was `since` or later; as it was ever read without. Many may ask at once: one reads.
    pub(super) async fn find(&self, pipeline: &str, partition: i32, since: Option<Instant>) -> Result<Option<String>> {
        let mut known = self.known.lock().await;
        if known.at.is_none_or(|at| since.is_some_and(|since| at < since)) {
            let at = Instant::now();
            let addresses = read(&self.cluster).await?;
            *known = Known { at: Some(at), addresses };
        }
        Ok(known.addresses.get(&name(pipeline, partition)).cloned())
    }
}

async fn read(cluster: &Cluster) -> Result<HashMap<String, String>> {
    let (sender, receiver) = channel();
    compacted::read_to_end(cluster, GATEWAYS, move |record| {
        let owner = record.value.and_then(|value| serde_json::from_slice::<Owner>(value).ok());
        if let (Some(key), Some(owner)) = (record.key, owner) {
            // The receiver outlives the reading.
            sender.send((String::from_utf8_lossy(key).into_owned(), owner.address)).unwrap_or_default();
        }
    })
    .await?;
    Ok(receiver.into_iter().collect())
}
