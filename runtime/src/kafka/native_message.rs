//! One message, as librdkafka has it.

use std::ffi::{CStr, c_void};
use std::ptr;

use millrace_model::{Header, Record};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaHeaders, RDKafkaMessage};
use rdkafka_sys as sys;

/// A record as librdkafka has it, or the error that stands in its place.
pub(super) struct Message(*mut RDKafkaMessage);

impl Message {
    /// # Safety
    /// The message must be the caller's to destroy.
    pub(super) unsafe fn own(message: *mut RDKafkaMessage) -> Self {
        Self(message)
    }

    fn get(&self) -> &RDKafkaMessage {
        // SAFETY: the message is live until it is dropped.
        unsafe { &*self.0 }
    }

    /// The error, with librdkafka's own words for it.
    pub(super) fn error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let code = self.get().err;
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: the text belongs to the message, and ends with NUL where it is not null.
        let text = unsafe {
            let text = sys::rd_kafka_message_errstr(self.0);
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        Some((code.into(), text))
    }

    /// The partition and the offset of the record, or those that the error is about.
    pub(super) fn place(&self) -> (i32, i64) {
        let message = self.get();
        (message.partition, message.offset)
    }

    /// The record of `topic` that this is, without its headers.
    pub(super) fn record<'a>(&'a self, topic: &'a str) -> Record<'a> {
        let message = self.get();
        // SAFETY: key and value belong to the message, which outlives the record.
        let (key, value) = unsafe { (bytes(message.key, message.key_len), bytes(message.payload, message.len)) };
        Record { topic, partition: message.partition, offset: message.offset, timestamp: self.timestamp(), key, value, headers: &[] }
    }

    fn timestamp(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: message and result are live for the call.
        unsafe { sys::rd_kafka_message_timestamp(self.0, &raw mut kind) }
    }

    /// The headers, in their order.
    pub(super) fn headers(&self) -> Vec<Header> {
        // SAFETY: the message is live.
        unsafe { headers(self.0) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is this value's own, and dropped once.
        unsafe { sys::rd_kafka_message_destroy(self.0) }
    }
}

/// The headers of a message that rust-rdkafka has; its own way to them panics at a name that is not UTF-8.
pub(super) fn headers_of(message: &BorrowedMessage<'_>) -> Vec<Header> {
    // SAFETY: the message is live for as long as it is borrowed.
    unsafe { headers(message.ptr()) }
}

/// # Safety
/// The message must be live.
unsafe fn headers(message: *mut RDKafkaMessage) -> Vec<Header> {
    let mut list = ptr::null_mut();
    // SAFETY: message and result are live for the call; the list stays the message's.
    let code = unsafe { sys::rd_kafka_message_headers(message, &raw mut list) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Vec::new();
    }
    // SAFETY: the list is the message's.
    (0..).map_while(|index| unsafe { header(list, index) }).collect()
}

/// A name that is not UTF-8 gets replacement characters where it is not.
///
/// # Safety
/// The list must be live.
unsafe fn header(list: *mut RDKafkaHeaders, index: usize) -> Option<Header> {
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: list and results are live for the call.
    let code = unsafe { sys::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut length) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: name and value belong to the list; the name ends with NUL, and a value that is not null has that length.
    let (name, value) =
        unsafe { (CStr::from_ptr(name), (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), length))) };
    Some(Header { key: name.to_string_lossy().into_owned(), value: value.map(<[u8]>::to_vec) })
}

/// # Safety
/// What starts there must have that length, unless it is null, and must live as long as the caller says.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}
