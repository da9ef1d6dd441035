//! Which topic it is, of all that ever had its name.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::code::Code;
use crate::fault::{Fault, Result};
use crate::position::TopicPartition;

/// The id that Kafka gives a topic when it is made (KIP-516): one that is deleted and made anew has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(u128);

impl TopicId {
    /// The id of these bits; none of zeros, which brokers without ids answer.
    pub const fn new(bits: u128) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// The first 63 of its bits, for what keeps numbers only. They are as good as random.
    pub const fn number(self) -> i64 {
        (self.0 >> 65) as i64
    }
}

/// As Kafka's tools show it: base64 for URLs, 22 characters.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

/// Which topic positions are of: what is asked of those that are stored, and what is stored with the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TopicIdentity {
    /// It is not known: the broker gives no ids, or what is positioned is no topic. Nothing is compared, and an id that is stored stays.
    #[default]
    Unknown,
    /// This one. Positions of another are refused; those without an id get this one when they move next.
    Is(TopicId),
    /// This one from the next commit on, whichever it was before.
    Becomes(TopicId),
}

impl From<Option<TopicId>> for TopicIdentity {
    fn from(id: Option<TopicId>) -> Self {
        id.map_or(Self::Unknown, Self::Is)
    }
}

impl TopicIdentity {
    /// The id that positions must have, if they have any.
    pub const fn required(self) -> Option<TopicId> {
        match self {
            Self::Is(id) => Some(id),
            Self::Unknown | Self::Becomes(_) => None,
        }
    }

    /// The id that positions get when they move.
    pub const fn given(self) -> Option<TopicId> {
        match self {
            Self::Is(id) | Self::Becomes(id) => Some(id),
            Self::Unknown => None,
        }
    }

    /// Whether positions that are stored for `stored` are of this topic, as far as can be told.
    pub fn admits<T: PartialEq>(self, stored: Option<&T>, shown: impl Fn(TopicId) -> T) -> bool {
        match (self.required(), stored) {
            (Some(id), Some(stored)) => *stored == shown(id),
            _ => true,
        }
    }

    /// Refuses the position of a partition that is stored for another topic.
    ///
    /// # Errors
    /// [`Code::KafkaTopicAnother`], for an operator.
    pub fn check(self, pipeline: &str, partition: &TopicPartition, stored: Option<&str>) -> Result<()> {
        match (self.required(), stored) {
            (Some(id), Some(stored)) if id.to_string() != stored => Err(id.another(pipeline, partition, stored)),
            _ => Ok(()),
        }
    }
}

impl TopicId {
    /// The fault of a position of another topic than this one. `stored` is the other's id, or what is kept of it.
    pub fn another(self, pipeline: &str, partition: &TopicPartition, stored: &str) -> Fault {
        let message = format!(
            "the position of {partition} is that of the topic of id {stored}; now {} has the id {self}: it was deleted and made anew. What \
             was not read of the old one is gone. To read the new one, run `millrace positions accept {pipeline}`",
            partition.topic
        );
        Fault::operator(Code::KafkaTopicAnother, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(bits: u128) -> TopicId {
        TopicId::new(bits).expect("an id")
    }

    #[test]
    fn an_id_is_shown_as_kafka_s_tools_show_it() {
        assert_eq!(id(0x6ed2_b1ec_4d8c_4f9e_a1f2_9d0c_77b0_12fe).to_string(), "btKx7E2MT56h8p0Md7AS_g");
        assert_eq!(TopicId::new(0), None, "zeros say that there is none");
    }

    #[test]
    fn a_position_of_another_topic_is_refused_with_the_way_on() {
        let (one, other, place) = (id(7 << 70), id(8 << 70), TopicPartition::new("orders", 3));
        let stored = one.to_string();
        let fault = TopicIdentity::Is(other).check("shop.rows", &place, Some(&stored)).expect_err("it is another");
        assert_eq!(fault.code(), Code::KafkaTopicAnother);
        let said = fault.to_string();
        for part in ["orders-3", &stored, &other.to_string(), "millrace positions accept shop.rows"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn positions_of_the_topic_of_none_and_of_one_that_is_accepted_pass() {
        let (one, other, place) = (id(7), id(8), TopicPartition::new("orders", 3));
        let stored = one.to_string();
        for identity in [TopicIdentity::Is(one), TopicIdentity::Becomes(other), TopicIdentity::Unknown] {
            assert!(identity.check("shop.rows", &place, Some(&stored)).is_ok());
        }
        assert!(TopicIdentity::Is(other).check("shop.rows", &place, None).is_ok());
        assert_eq!(TopicIdentity::Becomes(other).given(), Some(other));
        assert_eq!(TopicIdentity::Unknown.given(), None);
    }
}
