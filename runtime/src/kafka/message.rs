//! librdkafka's messages as records.

use millrace_model::{Header, Record};
use rdkafka::message::Message;

pub(super) use super::native_message::headers_of as headers;

/// The record that a message of `topic` is, with headers from [`headers`].
pub(super) fn record<'a>(topic: &'a str, message: &'a impl Message, headers: &'a [Header]) -> Record<'a> {
    Record {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key(),
        value: message.payload(),
        headers,
    }
}
