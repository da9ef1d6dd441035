//! librdkafka's messages as records.

use millrace_model::{Header, Record};
use rdkafka::message::{Headers, Message};

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

/// The headers of a message, in their order.
pub(super) fn headers(message: &impl Message) -> Vec<Header> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    headers.map(|header| Header { key: header.key.to_owned(), value: header.value.map(<[u8]>::to_vec) }).collect()
}
