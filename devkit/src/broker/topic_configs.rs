//! The settings that a topic may have, with the defaults of Apache Kafka 4.3.
//!
//! All are kept and shown; of them this broker acts on `max.message.bytes` alone. It never compacts and never expires records.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

/// The largest batch that a topic takes unless it says otherwise, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_048_588;

/// What a setting's value is, as `DescribeConfigs` numbers it (KIP-569).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

impl Kind {
    fn takes(self, value: &str) -> bool {
        match self {
            Self::Boolean => value.parse::<bool>().is_ok(),
            Self::Int => value.parse::<i32>().is_ok(),
            Self::Long => value.parse::<i64>().is_ok(),
            Self::Double => value.parse::<f64>().is_ok(),
            Self::String | Self::List => true,
        }
    }
}

/// Name, kind and default of every setting.
pub(crate) const SETTINGS: &[(&str, Kind, &str)] = &[
    ("cleanup.policy", Kind::List, "delete"),
    ("compression.gzip.level", Kind::Int, "-1"),
    ("compression.lz4.level", Kind::Int, "9"),
    ("compression.type", Kind::String, "producer"),
    ("compression.zstd.level", Kind::Int, "3"),
    ("delete.retention.ms", Kind::Long, "86400000"),
    ("file.delete.delay.ms", Kind::Long, "60000"),
    ("flush.messages", Kind::Long, "9223372036854775807"),
    ("flush.ms", Kind::Long, "9223372036854775807"),
    ("index.interval.bytes", Kind::Int, "4096"),
    ("local.retention.bytes", Kind::Long, "-2"),
    ("local.retention.ms", Kind::Long, "-2"),
    ("max.compaction.lag.ms", Kind::Long, "9223372036854775807"),
    ("max.message.bytes", Kind::Int, "1048588"),
    ("message.timestamp.after.max.ms", Kind::Long, "3600000"),
    ("message.timestamp.before.max.ms", Kind::Long, "9223372036854775807"),
    ("message.timestamp.type", Kind::String, "CreateTime"),
    ("min.cleanable.dirty.ratio", Kind::Double, "0.5"),
    ("min.compaction.lag.ms", Kind::Long, "0"),
    ("min.insync.replicas", Kind::Int, "1"),
    ("preallocate", Kind::Boolean, "false"),
    ("remote.storage.enable", Kind::Boolean, "false"),
    ("retention.bytes", Kind::Long, "-1"),
    ("retention.ms", Kind::Long, "604800000"),
    ("segment.bytes", Kind::Int, "1073741824"),
    ("segment.index.bytes", Kind::Int, "10485760"),
    ("segment.jitter.ms", Kind::Long, "0"),
    ("segment.ms", Kind::Long, "604800000"),
    ("unclean.leader.election.enable", Kind::Boolean, "false"),
];

fn setting(name: &str) -> Option<&'static (&'static str, Kind, &'static str)> {
    SETTINGS.iter().find(|(known, _, _)| *known == name)
}

/// Refuses a setting that a topic can't have.
pub(crate) fn check(configs: &BTreeMap<String, String>) -> Result<(), ResponseError> {
    let sound = |(name, value): (&String, &String)| setting(name).is_some_and(|(_, kind, _)| kind.takes(value));
    if configs.iter().all(sound) { Ok(()) } else { Err(ResponseError::InvalidConfig) }
}

/// One change of a setting (KIP-339), as the protocol numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl TryFrom<i8> for Operation {
    type Error = ResponseError;

    fn try_from(number: i8) -> Result<Self, ResponseError> {
        match number {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            _ => Err(ResponseError::InvalidRequest),
        }
    }
}

/// Makes one change; the whole is checked afterwards.
pub(crate) fn apply(configs: &mut BTreeMap<String, String>, operation: Operation, name: &str, value: &str) -> Result<(), ResponseError> {
    let (_, kind, default) = setting(name).ok_or(ResponseError::InvalidConfig)?;
    match operation {
        Operation::Delete => drop(configs.remove(name)),
        Operation::Set => drop(configs.insert(name.to_owned(), value.to_owned())),
        Operation::Append | Operation::Subtract => {
            if *kind != Kind::List {
                return Err(ResponseError::InvalidConfig);
            }
            let current = configs.get(name).map_or(*default, String::as_str);
            let changed = change_list(current, operation, value);
            configs.insert(name.to_owned(), changed);
        }
    }
    Ok(())
}

fn change_list(current: &str, operation: Operation, value: &str) -> String {
    let named: Vec<&str> = value.split(',').collect();
    let mut items: Vec<&str> = current.split(',').filter(|item| !item.is_empty() && !named.contains(item)).collect();
    if operation == Operation::Append {
        items.extend(named);
    }
    items.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(operation: Operation, name: &str, value: &str) -> Result<BTreeMap<String, String>, ResponseError> {
        let mut configs = BTreeMap::new();
        apply(&mut configs, operation, name, value)?;
        check(&configs).map(|()| configs)
    }

    #[test]
    fn settings_are_set_and_lists_extended() {
        assert_eq!(changed(Operation::Set, "retention.ms", "1").unwrap()["retention.ms"], "1");
        assert_eq!(changed(Operation::Append, "cleanup.policy", "compact").unwrap()["cleanup.policy"], "delete,compact");
        assert_eq!(changed(Operation::Subtract, "cleanup.policy", "delete").unwrap()["cleanup.policy"], "");
        assert!(changed(Operation::Delete, "retention.ms", "").unwrap().is_empty());
    }

    #[test]
    fn settings_that_a_topic_can_not_have_are_refused() {
        assert_eq!(changed(Operation::Set, "retention.msec", "1"), Err(ResponseError::InvalidConfig));
        assert_eq!(changed(Operation::Set, "retention.ms", "soon"), Err(ResponseError::InvalidConfig));
        assert_eq!(changed(Operation::Append, "retention.ms", "1"), Err(ResponseError::InvalidConfig));
    }

    #[test]
    fn every_default_is_of_its_kind() {
        let defaults = SETTINGS.iter().map(|(name, _, default)| ((*name).to_owned(), (*default).to_owned())).collect();
        check(&defaults).unwrap();
    }
}
