//! Positions that their topic has nothing for any more, because retention took it or another topic has the name now: accepted, so that the
//! pipeline goes on.

use millrace_ingest::{ASSIGNMENTS, POSITIONS};
use millrace_loader::reading::Reading;
use millrace_loader::service::Load;
use millrace_model::{Code, Commit, Fault, Offsets, Result, TopicId, TopicIdentity, TopicPartition};
use millrace_runtime::kafka::topics::{self, Extent};
use millrace_runtime::kafka::{Cluster, groups};
use millrace_transform::service::Transform;

/// Where a pipeline goes on whose position is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// With the first record that the topic has.
    Beginning,
    /// With what comes from now on.
    End,
}

impl Onward {
    const fn of(self, extent: Extent) -> i64 {
        match self {
            Self::Beginning => extent.start,
            Self::End => extent.end,
        }
    }
}

/// A position that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Where it was.
    pub from: i64,
    /// Where it is.
    pub to: i64,
}

/// What is accepted, and what positions are of.
struct Acceptance<'a> {
    cluster: &'a Cluster,
    /// The pipeline, and its consumer group.
    id: &'a str,
    topic: &'a str,
    now: Option<TopicId>,
    extents: Vec<Extent>,
    onward: Onward,
}

impl<'a> Acceptance<'a> {
    async fn of(cluster: &'a Cluster, id: &'a str, topic: &'a str, onward: Onward) -> Result<Self> {
        let (now, extents) = (topics::id(cluster, topic).await?, topics::extents(cluster, topic).await?);
        Ok(Self { cluster, id, topic, now, extents, onward })
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        (0..self.extents.len() as i32).map(|number| TopicPartition::new(self.topic, number)).collect()
    }

    /// From now on positions are of the topic that there is.
    fn identity(&self) -> TopicIdentity {
        self.now.map_or(TopicIdentity::Unknown, TopicIdentity::Becomes)
    }

    fn moved(&self, held: &Offsets, is_another: bool) -> Vec<Moved> {
        let moved = |partition: TopicPartition, extent: &Extent| {
            let from = *held.get(&partition)?;
            let stands = !is_another && (extent.start..=extent.end).contains(&from);
            (!stands).then(|| Moved { partition, from, to: self.onward.of(*extent) })
        };
        self.partitions().into_iter().zip(&self.extents).filter_map(|(partition, extent)| moved(partition, extent)).collect()
    }
}

/// Whether positions are those of another topic, by what asking for them says.
fn is_another(asked: &Result<Offsets>) -> bool {
    asked.as_ref().is_err_and(|fault| fault.code() == Code::KafkaTopicAnother)
}

/// Moves the positions of a load that its topic has nothing for. Its loaders may run: they are fenced, and go on from there.
///
/// # Errors
/// [`Code::TargetFenced`] where a loader was quicker; nothing was changed.
pub async fn accept_for_load(cluster: &Cluster, id: &str, load: &Load, onward: Onward) -> Result<Vec<Moved>> {
    let acceptance = Acceptance::of(cluster, id, &load.config.from, onward).await?;
    let reading = Reading::new(&load.config, &load.schema)?;
    let mut sink = load.connection.open(&load.table, reading.table_schema()).await?;
    let partitions = acceptance.partitions();
    sink.identify(acceptance.now.into());
    let is_another = is_another(&sink.claim(&partitions).await);
    sink.identify(acceptance.identity());
    let held = sink.claim(&partitions).await?;
    let moved = acceptance.moved(&held, is_another);
    if moved.is_empty() {
        return Ok(moved);
    }
    let from = moved.iter().map(|one| (one.partition.clone(), one.from)).collect();
    let to = moved.iter().map(|one| (one.partition.clone(), one.to)).collect();
    sink.settle().await?;
    match sink.commit(&from, &to).await? {
        Commit::Done => Ok(moved),
        Commit::Fenced => Err(Fault::passing(Code::TargetFenced, "a loader has moved the positions meanwhile; look at its state again")),
    }
}

/// Lets the sources of an ingest pipeline be read from their beginning, where the topic of its positions was made anew. None of its instances may
/// be a member of its group: they are stopped, or halted.
pub async fn accept_for_ingest(cluster: &Cluster, id: &str) -> Result<()> {
    let shares = topics::partitions(cluster, ASSIGNMENTS).await?;
    let offsets = (0..shares).map(|share| (TopicPartition::new(ASSIGNMENTS, share), 0)).collect();
    groups::commit(cluster, id, offsets, topics::id(cluster, POSITIONS).await?).await
}

/// Moves the offsets of a transform's group that its topic has nothing for. None of its instances may be a member: they are stopped, or halted.
pub async fn accept_for_transform(cluster: &Cluster, id: &str, transform: &Transform, onward: Onward) -> Result<Vec<Moved>> {
    let acceptance = Acceptance::of(cluster, id, &transform.config.from, onward).await?;
    let asked = groups::committed(cluster, id, acceptance.partitions(), acceptance.now.into()).await;
    let is_another = is_another(&asked);
    let held = if is_another { groups::committed(cluster, id, acceptance.partitions(), TopicIdentity::Unknown).await? } else { asked? };
    let moved = acceptance.moved(&held, is_another);
    if !moved.is_empty() {
        let to = moved.iter().map(|one| (one.partition.clone(), one.to)).collect();
        groups::commit(acceptance.cluster, acceptance.id, to, acceptance.now).await?;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_runtime::project::KafkaConfig;

    fn moved(held: &[(i32, i64)], is_another: bool, onward: Onward) -> Vec<(i32, i64, i64)> {
        let cluster = Cluster::new(&KafkaConfig::default(), "test");
        let extents = vec![Extent { start: 10, end: 20 }; 3];
        let acceptance = Acceptance { cluster: &cluster, id: "shop.rows", topic: "t", now: None, extents, onward };
        let held = held.iter().map(|&(number, offset)| (TopicPartition::new("t", number), offset)).collect();
        acceptance.moved(&held, is_another).into_iter().map(|one| (one.partition.partition, one.from, one.to)).collect()
    }

    #[test]
    fn only_positions_that_the_topic_has_nothing_for_are_moved() {
        assert_eq!(moved(&[(0, 4), (1, 15), (2, 25)], false, Onward::Beginning), [(0, 4, 10), (2, 25, 10)]);
        assert_eq!(moved(&[(0, 4), (1, 10), (2, 20)], false, Onward::End), [(0, 4, 20)]);
    }

    #[test]
    fn no_position_of_another_topic_means_anything() {
        assert_eq!(
            moved(&[(0, 4), (1, 15)], true, Onward::Beginning),
            [(0, 4, 10), (1, 15, 10)],
            "and partition 2 has none: it begins anyway"
        );
    }
}
