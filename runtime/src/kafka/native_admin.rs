//! Administrative calls of librdkafka that rust-rdkafka does not wrap: what topics are and what the user may do with them and with
//! consumer groups (KIP-430), and single settings changed (KIP-339). Each call blocks until its answer or its time is over.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use millrace_model::TopicId;
use rdkafka::error::{IsError, KafkaError, KafkaResult};
use rdkafka::types::{RDKafka, RDKafkaErrorCode};
use rdkafka_sys as sys;

use super::topics::Operation;

/// A topic as librdkafka describes it.
#[derive(Debug)]
pub(super) struct NativeTopicFacts {
    pub(super) name: String,
    /// None of brokers older than Kafka 2.8.
    pub(super) id: Option<TopicId>,
    /// Why it can't be described, if it can't.
    pub(super) error: Option<RDKafkaErrorCode>,
    pub(super) partitions: i32,
    /// The fewest replicas that a partition has.
    pub(super) replication: i32,
    /// What the user may do; none when the broker does not tell, or was not asked.
    pub(super) operations: Option<Vec<Operation>>,
}

/// Whether it is asked what the user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    Asked,
    Omitted,
}

/// What the user may do with a consumer group, as librdkafka tells it.
#[derive(Debug)]
pub(super) struct NativeGroupFacts {
    pub(super) name: String,
    /// Why it can't be described, if it can't.
    pub(super) error: Option<RDKafkaErrorCode>,
    /// What the user may do; none when the broker does not tell.
    pub(super) operations: Option<Vec<Operation>>,
}

/// Something of librdkafka's that is freed when it is dropped.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from librdkafka's constructor, and this is the destructor that belongs to it; it runs once.
        unsafe { (self.1)(self.0) }
    }
}

type Queue = Owned<sys::rd_kafka_queue_t>;
type Event = Owned<sys::rd_kafka_event_t>;
type Options = Owned<sys::rd_kafka_AdminOptions_t>;

/// What the named topics are.
pub(super) fn describe_topics(
    client: *mut RDKafka,
    names: &[String],
    rights: Rights,
    timeout: Duration,
) -> KafkaResult<Vec<NativeTopicFacts>> {
    let names: Vec<CString> = names.iter().map(|name| text(name)).collect::<KafkaResult<_>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let options = options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout)?;
    if rights == Rights::Asked {
        include_operations(&options)?;
    }
    // SAFETY: the pointers are of texts that live until the end of this function; librdkafka copies them.
    let topics = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    let topics = Owned(topics, sys::rd_kafka_TopicCollection_destroy);
    let event = answer(client, timeout, |queue| {
        // SAFETY: client, options and queue are live handles; the collection is copied.
        unsafe { sys::rd_kafka_DescribeTopics(client, topics.0, options.0, queue) }
    })?;
    // SAFETY: the event is the answer to DescribeTopics; what is read of it lives as long as it does.
    unsafe {
        let mut count = 0;
        let described = sys::rd_kafka_DescribeTopics_result_topics(sys::rd_kafka_event_DescribeTopics_result(event.0), &raw mut count);
        Ok(array(described, count).iter().map(|&topic| facts(topic)).collect())
    }
}

/// What the user may do with the named consumer groups, each named once. A group need not exist for it.
pub(super) fn describe_groups(client: *mut RDKafka, names: &[String], timeout: Duration) -> KafkaResult<Vec<NativeGroupFacts>> {
    let names: Vec<CString> = names.iter().map(|name| text(name)).collect::<KafkaResult<_>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let options = options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout)?;
    include_operations(&options)?;
    let event = answer(client, timeout, |queue| {
        // SAFETY: client, options and queue are live handles; the texts live until the end of this function, and librdkafka copies them.
        unsafe { sys::rd_kafka_DescribeConsumerGroups(client, pointers.as_mut_ptr(), pointers.len(), options.0, queue) }
    })?;
    // SAFETY: the event is the answer to DescribeConsumerGroups; what is read of it lives as long as it does.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.0);
        let described = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        Ok(array(described, count).iter().map(|&group| group_facts(group)).collect())
    }
}

/// What the user may do with the cluster; none when the broker does not tell.
pub(super) fn cluster_operations(client: *mut RDKafka, timeout: Duration) -> KafkaResult<Option<Vec<Operation>>> {
    let options = options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER, timeout)?;
    include_operations(&options)?;
    let event = answer(client, timeout, |queue| {
        // SAFETY: client, options and queue are live handles.
        unsafe { sys::rd_kafka_DescribeCluster(client, options.0, queue) }
    })?;
    // SAFETY: the event is the answer to DescribeCluster; what is read of it lives as long as it does.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeCluster_result(event.0);
        let operations = sys::rd_kafka_DescribeCluster_result_authorized_operations(result, &raw mut count);
        Ok(operations_of(operations, count))
    }
}

/// Sets settings of a topic; those that are not named stay.
pub(super) fn set_configs(client: *mut RDKafka, topic: &str, settings: &[(String, String)], timeout: Duration) -> KafkaResult<()> {
    let (name, options) = (text(topic)?, options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, timeout)?);
    // SAFETY: `name` ends with NUL and is copied.
    let resource = unsafe { sys::rd_kafka_ConfigResource_new(sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr()) };
    let resource = Owned(resource, sys::rd_kafka_ConfigResource_destroy);
    for (name, value) in settings {
        let (name, value, set) = (text(name)?, text(value)?, sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET);
        // SAFETY: the resource is live; both texts end with NUL and are copied.
        checked(unsafe { sys::rd_kafka_ConfigResource_add_incremental_config(resource.0, name.as_ptr(), set, value.as_ptr()) })?;
    }
    let mut resources = [resource.0];
    let event = answer(client, timeout, |queue| {
        // SAFETY: client, options and queue are live handles; the resources are copied.
        unsafe { sys::rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), resources.len(), options.0, queue) }
    })?;
    // SAFETY: the event is the answer to IncrementalAlterConfigs; what is read of it lives as long as it does.
    let changed = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(event.0);
        let resources = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
        array(resources, count).iter().map(|&resource| sys::rd_kafka_ConfigResource_error(resource)).find(IsError::is_error)
    };
    changed.map_or(Ok(()), |error| Err(KafkaError::AdminOp(error.into())))
}

/// # Safety
/// `topic` is part of an answer that lives.
unsafe fn facts(topic: *const sys::rd_kafka_TopicDescription_t) -> NativeTopicFacts {
    // SAFETY: as the caller promises.
    unsafe {
        let (mut partition_count, mut operation_count) = (0, 0);
        let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
        let partitions = array(sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partition_count), partition_count);
        let replicas = partitions.iter().map(|&partition| {
            let mut count = 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(partition, &raw mut count);
            count as i32
        });
        let operations = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut operation_count);
        NativeTopicFacts {
            name: CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned(),
            id: topic_id(sys::rd_kafka_TopicDescription_topic_id(topic)),
            error: error.is_error().then(|| error.into()),
            partitions: partitions.len() as i32,
            replication: replicas.min().unwrap_or(0),
            operations: operations_of(operations, operation_count),
        }
    }
}

/// # Safety
/// `id` is null or part of an answer that lives.
unsafe fn topic_id(id: *const sys::rd_kafka_Uuid_t) -> Option<TopicId> {
    if id.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    let [most, least] = unsafe { [sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id)] };
    TopicId::new(u128::from(most.cast_unsigned()) << 64 | u128::from(least.cast_unsigned()))
}

/// # Safety
/// `group` is part of an answer that lives.
unsafe fn group_facts(group: *const sys::rd_kafka_ConsumerGroupDescription_t) -> NativeGroupFacts {
    // SAFETY: as the caller promises; of no error the code is that of none.
    unsafe {
        let mut count = 0;
        let error = sys::rd_kafka_error_code(sys::rd_kafka_ConsumerGroupDescription_error(group));
        let operations = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count);
        NativeGroupFacts {
            name: CStr::from_ptr(sys::rd_kafka_ConsumerGroupDescription_group_id(group)).to_string_lossy().into_owned(),
            error: error.is_error().then(|| error.into()),
            operations: operations_of(operations, count),
        }
    }
}

/// # Safety
/// `operations` is null or points to `count` operations of an answer that lives.
unsafe fn operations_of(operations: *const sys::rd_kafka_AclOperation_t, count: usize) -> Option<Vec<Operation>> {
    // SAFETY: as the caller promises.
    (!operations.is_null()).then(|| unsafe { array(operations, count) }.iter().filter_map(|&operation| Operation::of(operation)).collect())
}

/// # Safety
/// `items` is null or points to `count` items that outlive the use of the slice.
unsafe fn array<'a, T>(items: *const T, count: usize) -> &'a [T] {
    // SAFETY: as the caller promises.
    if items.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(items, count) } }
}

/// Asks, and waits for the answer.
fn answer(client: *mut RDKafka, timeout: Duration, ask: impl FnOnce(*mut sys::rd_kafka_queue_t)) -> KafkaResult<Event> {
    // SAFETY: `client` is a live handle.
    let queue: Queue = Owned(unsafe { sys::rd_kafka_queue_new(client) }, sys::rd_kafka_queue_destroy);
    ask(queue.0);
    // The request has a time limit of its own; what is waited here is a little longer, so that its reason comes.
    let patience = timeout.saturating_add(Duration::from_secs(1)).as_millis() as i32;
    // SAFETY: the queue is live.
    let event = unsafe { sys::rd_kafka_queue_poll(queue.0, patience) };
    if event.is_null() {
        return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
    }
    let event: Event = Owned(event, sys::rd_kafka_event_destroy);
    // SAFETY: the event is live.
    let error = unsafe { sys::rd_kafka_event_error(event.0) };
    if error.is_error() { Err(KafkaError::AdminOp(error.into())) } else { Ok(event) }
}

fn options(client: *mut RDKafka, operation: sys::rd_kafka_admin_op_t, timeout: Duration) -> KafkaResult<Options> {
    // SAFETY: `client` is a live handle.
    let options: Options = Owned(unsafe { sys::rd_kafka_AdminOptions_new(client, operation) }, sys::rd_kafka_AdminOptions_destroy);
    let millis = timeout.as_millis() as i32;
    // SAFETY: the options are live; no text of the error is asked for.
    let error = unsafe { sys::rd_kafka_AdminOptions_set_request_timeout(options.0, millis, ptr::null_mut(), 0) };
    if error.is_error() { Err(KafkaError::AdminOp(error.into())) } else { Ok(options) }
}

fn include_operations(options: &Options) -> KafkaResult<()> {
    // SAFETY: the options are live.
    checked(unsafe { sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1) })
}

/// Takes an error object, which is null when all is well.
fn checked(error: *mut sys::rd_kafka_error_t) -> KafkaResult<()> {
    if error.is_null() {
        return Ok(());
    }
    let error = Owned(error, sys::rd_kafka_error_destroy);
    // SAFETY: the error is live.
    Err(KafkaError::AdminOp(unsafe { sys::rd_kafka_error_code(error.0) }.into()))
}

fn text(text: &str) -> KafkaResult<CString> {
    CString::new(text).map_err(KafkaError::Nul)
}
