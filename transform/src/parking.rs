//! The parked keys of a transform pipeline: part of its transactions.

use std::sync::Arc;

use millrace_model::{Offsets, Records, Result, TopicPartition};
use millrace_runtime::dead_letters::Marks;
use millrace_runtime::kafka::{Assigned, Cluster, groups};
use millrace_runtime::parking::Parking;
use millrace_runtime::parking::rebuild::Truth;
use millrace_runtime::project::OnError;

use crate::service::Transform;

/// Parked keys, and how far this instance has come in the partitions that it holds.
///
/// What is released moves no offset. Its transaction commits the offsets as they are all the same: Kafka refuses that to a member that has lost the
/// partition, and with it the transaction (KIP-447).
pub(crate) struct Lot {
    pub(crate) parking: Parking,
    positions: Offsets,
}

impl Lot {
    /// That of a pipeline which parks keys.
    pub(crate) async fn open(transform: &Transform, cluster: &Cluster, pipeline: &str) -> Result<Option<Self>> {
        if transform.config.on_error != OnError::ParkKey {
            return Ok(None);
        }
        let parking = Parking::open(cluster, pipeline, &transform.config.from, &transform.config.parked).await?;
        Ok(Some(Self { parking, positions: Offsets::new() }))
    }

    /// Starts partitions where the group has committed; returns what goes on first.
    pub(crate) async fn take_over(&mut self, cluster: &Cluster, group: &str, assigned: Assigned) -> Result<Option<Arc<Records>>> {
        // Stable offsets: the transaction of a former owner has ended before they are told, and it can't begin another.
        let positions = groups::committed(cluster, group, assigned.partitions.clone(), assigned.topic).await?;
        let released = self.parking.take_over(cluster, &assigned.partitions, &positions, Truth::Topic).await?;
        self.positions.extend(positions.clone());
        assigned.start_at(positions);
        Ok(released)
    }

    /// The records are all written, rejected or kept; returns how far the partitions have been read. Records that waited are behind that.
    pub(crate) fn cover(&mut self, records: &Records) -> &Offsets {
        let before = self.positions.clone();
        records.advance(&mut self.positions);
        for (partition, position) in &mut self.positions {
            *position = before.get(partition).copied().unwrap_or_default().max(*position);
        }
        &self.positions
    }

    /// The partition is another instance's.
    pub(crate) fn give_up(&mut self, partition: &TopicPartition) {
        self.positions.remove(partition);
        self.parking.give_up(partition.partition);
    }

    /// Waits for what is to be released; for ever where no key can be parked.
    pub(crate) async fn marks(lot: &mut Option<Self>) -> Result<Marks> {
        match lot {
            Some(lot) => lot.parking.marks().await,
            None => std::future::pending().await,
        }
    }
}
