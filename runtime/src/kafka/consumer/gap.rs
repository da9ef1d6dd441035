//! What is said of a position at which the topic has nothing any more.

use std::fmt;

use millrace_model::{Code, Fault, Offsets, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::Offset;

use super::super::client::REQUEST_TIMEOUT;
use super::super::topics::Extent;
use super::context::Context;

/// A partition whose position is outside of what the topic has.
struct Gap {
    partition: TopicPartition,
    position: i64,
    extent: Extent,
}

impl Gap {
    fn of(partition: TopicPartition, position: i64, extent: Extent) -> Option<Self> {
        (position < extent.start || position > extent.end).then_some(Self { partition, position, extent })
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, position, extent: Extent { start, end } } = self;
        if position < start {
            let (gone, last) = (start - position, start - 1);
            write!(f, "{partition}: {gone} offsets are gone unread, {position} to {last}; the topic begins at {start} now")
        } else {
            write!(f, "{partition}: the position is {position}, and the topic ends at {end} already")
        }
    }
}

/// The fault of a consumer that was refused a position, with every partition of its own for which that is so.
pub(super) fn fault(client: &BaseConsumer<Context>, refused: &(TopicPartition, i64)) -> Fault {
    let context = client.context();
    let gaps: Vec<String> = gaps(client, &context.starts(), refused).iter().map(Gap::to_string).collect();
    let (topic, group) = (context.topic_name(), context.group());
    let what = if gaps.is_empty() { Code::KafkaPositionGone.title().to_owned() } else { gaps.join("; ") };
    let message = format!("reading topic {topic} stopped: {what}. To go on without them, run `millrace positions accept {group}`");
    Fault::operator(Code::KafkaPositionGone, message)
}

/// A broker that does not tell now is not asked again: the fault is certain without it.
fn gaps(client: &BaseConsumer<Context>, starts: &Offsets, refused: &(TopicPartition, i64)) -> Vec<Gap> {
    let Ok(positions) = client.position() else { return Vec::new() };
    let gap = |partition: TopicPartition, read: Offset| {
        let position = match read {
            // librdkafka counts the refusal, which comes in the place of a record, as one that was read.
            _ if partition == refused.0 => refused.1,
            Offset::Offset(position) => position,
            _ => *starts.get(&partition)?,
        };
        let (start, end) = client.fetch_watermarks(&partition.topic, partition.partition, REQUEST_TIMEOUT).ok()?;
        Gap::of(partition, position, Extent { start, end })
    };
    let elements = positions.elements();
    elements.iter().filter_map(|one| gap(TopicPartition::new(one.topic(), one.partition()), one.offset())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_says_how_many_are_gone_and_where_the_topic_begins() {
        let said = |position| Gap::of(TopicPartition::new("t", 3), position, Extent { start: 10, end: 20 }).map(|gap| gap.to_string());
        assert_eq!(said(4).as_deref(), Some("t-3: 6 offsets are gone unread, 4 to 9; the topic begins at 10 now"));
        assert_eq!(said(21).as_deref(), Some("t-3: the position is 21, and the topic ends at 20 already"));
        assert_eq!((said(10), said(20)), (None, None), "nothing is missing there");
    }
}
