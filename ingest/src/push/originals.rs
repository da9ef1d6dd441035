//! What rejected records were, before they were read.

use std::sync::Arc;

use millrace_model::{Code, Fault, Header, Records, RecordsBuilder, Rejection, Result};
use millrace_runtime::codec::container;

use super::body::avro;
use super::body::event::{CONTENT_TYPE, header_of};

/// What a container of one value takes beside its schema and the value, at most.
pub(super) const FRAME: usize = 128;

/// How many bytes the dead letters of one request may take with the schema that each of them repeats.
const REPEATED: usize = 64 << 20;

/// How the records of a request are kept as dead letters.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Originals {
    /// As they are.
    #[default]
    Same,
    /// As they are, of this content type.
    Typed(Box<str>),
    /// As they are, each of its own content type.
    Each(Vec<Box<str>>),
    /// Each in an Avro container of its own, with the schema that all of them came with: nobody else knows it.
    Contained(Box<str>),
}

impl Originals {
    /// Whether so many of the records can be rejected.
    ///
    /// # Errors
    /// [`Code::KafkaTooLarge`] when their dead letters would repeat a schema so often that they fill the memory.
    pub(super) fn check(&self, rejected: usize) -> Result<()> {
        match self {
            Self::Contained(schema) if rejected.saturating_mul(schema.len() + FRAME) > REPEATED => {
                let message = format!(
                    "{rejected} records were rejected, and each would be kept with the container's schema of {} bytes, which is too much; \
                     nothing of this request was written: send fewer records in one request",
                    schema.len()
                );
                Err(Fault::operator(Code::KafkaTooLarge, message))
            }
            _ => Ok(()),
        }
    }

    /// The rejected of `records` as they are kept, and the rejections, of those.
    pub(super) fn of(&self, records: &Arc<Records>, mut rejections: Vec<Rejection>) -> (Arc<Records>, Vec<Rejection>) {
        if *self == Self::Same || rejections.is_empty() {
            return (Arc::clone(records), rejections);
        }
        let mut kept = RecordsBuilder::new(Arc::clone(records.topic()), rejections.len());
        for (rejection, place) in rejections.iter_mut().zip(0..) {
            self.keep(records, rejection.record as usize, &mut kept);
            rejection.record = place;
        }
        (Arc::new(kept.finish()), rejections)
    }

    fn keep(&self, records: &Records, row: usize, kept: &mut RecordsBuilder) {
        let mut record = records.record(row);
        let contained = match self {
            Self::Contained(schema) => record.value.map(|value| container::of_one(schema, avro::unframed(value))),
            _ => None,
        };
        record.value = contained.as_deref().or(record.value);
        kept.push_with_headers(&record, self.typed(record.headers, row));
    }

    fn typed(&self, headers: &[Header], row: usize) -> Vec<Header> {
        let content_type: &str = match self {
            Self::Same => return headers.to_vec(),
            Self::Typed(content_type) => content_type,
            Self::Each(content_types) => &content_types[row],
            Self::Contained(_) => "application/vnd.apache.avro",
        };
        let others = headers.iter().filter(|header| header.key != CONTENT_TYPE).cloned();
        others.chain([header_of(CONTENT_TYPE, content_type)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Code, Record};

    fn records(values: &[&[u8]]) -> Arc<Records> {
        let mut records = RecordsBuilder::new("http:/a".into(), values.len());
        for (value, offset) in values.iter().zip(5..) {
            let header = [header_of(CONTENT_TYPE, "application/avro")];
            records.push(&Record { topic: "", partition: 0, offset, timestamp: 1, key: None, value: Some(value), headers: &header });
        }
        Arc::new(records.finish())
    }

    #[test]
    fn a_rejected_event_keeps_its_place_and_is_of_the_type_that_was_sent() {
        let originals = Originals::Each(vec!["application/json".into(), "application/cloudevents+json".into()]);
        let (kept, rejections) = originals.of(&records(&[b"{}", b"[]"]), vec![Rejection::new(1, Code::EventInvalid, "no id")]);
        assert_eq!((kept.len(), kept.record(0).offset, kept.record(0).value), (1, 6, Some(&b"[]"[..])));
        assert_eq!(kept.headers(0), [header_of(CONTENT_TYPE, "application/cloudevents+json")]);
        assert_eq!(rejections[0].record, 0);
    }

    #[test]
    fn no_more_values_of_a_container_are_kept_than_their_schemas_leave_room_for() {
        let large = Originals::Contained("s".repeat(500_000).into());
        assert!(large.check(100).is_ok() && Originals::Same.check(usize::MAX).is_ok());
        assert_eq!(large.check(1_000).expect_err("is too much").code(), Code::KafkaTooLarge);
        assert_eq!(container::of_one("", &[]).len().max(FRAME), FRAME);
    }

    #[test]
    fn a_rejected_value_of_a_container_is_kept_in_one() {
        let rejections = vec![Rejection::new(0, Code::AvroInvalid, "cut")];
        let (kept, _) = Originals::Contained("\"long\"".into()).of(&records(&[&avro::framed(9, &[2])]), rejections);
        let mut container = container::Container::open(kept.value(0).expect("has a value")).expect("is a container");
        assert_eq!(container.blocks(9).expect("has blocks")[0].bytes, [2]);
    }
}
