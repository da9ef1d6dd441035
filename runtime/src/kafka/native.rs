//! The calls of librdkafka that rust-rdkafka makes at a price. To send, it looks the topic up by name and allocates
//! its name for each record: here the topic is looked up once, and a record costs one call. To flush, it sleeps longer than it need;
//! to connect, it asks for the metadata of a topic, or of all of them.

use std::ffi::{CString, c_int, c_void};
use std::ptr;
use std::time::Duration;

use millrace_model::{Code, Fault, Header, Result};
use rdkafka::types::{RDKafka, RDKafkaErrorCode, RDKafkaHeaders};
use rdkafka_sys as sys;

use super::producer::Outgoing;
use crate::telemetry::TRACEPARENT;

/// librdkafka's `RD_KAFKA_PARTITION_UA`: the partitioner chooses.
const UNASSIGNED: i32 = -1;

/// A topic known to one producer; it must not outlive it.
pub(super) struct NativeTopic(*mut sys::rd_kafka_topic_t);

// SAFETY: librdkafka's topic objects are thread safe and reference counted.
unsafe impl Send for NativeTopic {}

impl NativeTopic {
    pub(super) fn new(client: *mut RDKafka, name: &str) -> Result<Self> {
        let invalid = || Fault::operator(Code::KafkaConfiguration, format!("{name:?} can't be a topic's name; mend the project file"));
        let name = CString::new(name).map_err(|_| invalid())?;
        // SAFETY: `client` is a live handle and `name` ends with NUL; a null configuration means the client's defaults.
        let topic = unsafe { sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() { Err(invalid()) } else { Ok(Self(topic)) }
    }
}

impl Drop for NativeTopic {
    fn drop(&mut self) {
        // SAFETY: the handle came from rd_kafka_topic_new and is dropped once.
        unsafe { sys::rd_kafka_topic_destroy(self.0) }
    }
}

/// Puts a record into the producer's queue. Key, value and headers are copied; nothing is kept of them.
///
/// The error is librdkafka's: `QueueFull` says to poll and try again.
pub(super) fn produce(client: *mut RDKafka, topic: &NativeTopic, record: &Outgoing<'_>) -> Result<(), RDKafkaErrorCode> {
    let headers = NativeHeaders::of(record)?;
    let arguments = [
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT, |value| value.rkt = topic.0),
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, |value| value.i32_ = record.partition.unwrap_or(UNASSIGNED)),
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, |value| value.i = sys::RD_KAFKA_MSG_F_COPY),
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP, |value| value.i64_ = record.timestamp),
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, |value| value.mem = memory(record.key)),
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, |value| value.mem = memory(record.value)),
        argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS, |value| value.headers = headers.0),
    ];
    // Without headers the last argument stays away: librdkafka takes a null list as an error of its own kind.
    let count = if headers.0.is_null() { arguments.len() - 1 } else { arguments.len() };
    // SAFETY: every pointer is live for the call, and F_COPY makes librdkafka keep none of them but the headers, which it owns on success.
    let error = unsafe { sys::rd_kafka_produceva(client, arguments.as_ptr(), count) };
    if error.is_null() {
        headers.release();
        return Ok(());
    }
    // SAFETY: `error` is a live error object, destroyed once.
    let code = unsafe {
        let code = sys::rd_kafka_error_code(error);
        sys::rd_kafka_error_destroy(error);
        code
    };
    Err(code.into())
}

/// Sends what waits to be filled up at once, and waits until nothing is in flight, at most for `wait`.
///
/// rust-rdkafka's own flush looks away for 100 ms at a time. This call sleeps until librdkafka counts no record any more: those that were delivered,
/// as long as their reports are not asked for. Reports of failures count until the client is polled.
pub(super) fn flush(client: *mut RDKafka, wait: Duration) {
    let milliseconds = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: `client` is a live handle. That records are left is no error of the caller's: it counts them.
    unsafe { sys::rd_kafka_flush(client, milliseconds) };
}

/// Waits until a broker is connected and has told of the cluster, at most for `wait`; who goes on without one finds out.
pub(super) fn connect(client: *mut RDKafka, wait: Duration) {
    let (milliseconds, mut metadata) = (c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX), ptr::null());
    // SAFETY: `client` is a live handle; without a topic only the brokers are asked for; what comes is given back.
    unsafe {
        if sys::rd_kafka_metadata(client, 0, ptr::null_mut(), &raw mut metadata, milliseconds)
            == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            sys::rd_kafka_metadata_destroy(metadata);
        }
    }
}

/// The end of a partition as far as the client has seen it, without asking the broker.
pub(super) fn known_end(client: *mut RDKafka, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: both results are live for the call, and the topic's name ends with NUL.
    let code = unsafe { sys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &raw mut low, &raw mut high) };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

fn argument(kind: sys::rd_kafka_vtype_t, set: impl FnOnce(&mut sys::rd_kafka_vu_s__bindgen_ty_1)) -> sys::rd_kafka_vu_t {
    // SAFETY: the union is plain data for which zeros are valid.
    let mut value: sys::rd_kafka_vu_s__bindgen_ty_1 = unsafe { std::mem::zeroed() };
    set(&mut value);
    sys::rd_kafka_vu_t { vtype: kind, u: value }
}

fn memory(bytes: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    let (ptr, size) = bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast::<c_void>(), bytes.len()));
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size }
}

/// Headers in librdkafka's own form; null when there are none.
struct NativeHeaders(*mut RDKafkaHeaders);

impl NativeHeaders {
    fn of(record: &Outgoing<'_>) -> Result<Self, RDKafkaErrorCode> {
        if record.headers.is_empty() && record.said.is_empty() && record.traceparent.is_none() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: makes a list that this value owns.
        let list = Self(unsafe { sys::rd_kafka_headers_new(record.headers.len() + record.said.len() + 1) });
        let kept = record.headers.iter().filter(|header| record.traceparent.is_none() || header.key != TRACEPARENT);
        for Header { key, value } in kept {
            list.add(key, value.as_deref())?;
        }
        record.said.iter().try_for_each(|(key, value)| list.add(key, Some(value)))?;
        if let Some(traceparent) = record.traceparent {
            list.add(TRACEPARENT, Some(traceparent.as_bytes()))?;
        }
        Ok(list)
    }

    fn add(&self, name: &str, value: Option<&[u8]>) -> Result<(), RDKafkaErrorCode> {
        let value = memory(value);
        // SAFETY: name and value are live for the call, which copies them.
        let code = unsafe { sys::rd_kafka_header_add(self.0, name.as_ptr().cast(), name.len() as isize, value.ptr, value.size as isize) };
        match code {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(code.into()),
        }
    }

    /// librdkafka owns the list from here on.
    fn release(self) {
        std::mem::forget(self);
    }
}

impl Drop for NativeHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list is still this value's own.
            unsafe { sys::rd_kafka_headers_destroy(self.0) }
        }
    }
}
