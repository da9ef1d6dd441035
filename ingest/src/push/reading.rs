//! Bodies into records, and records into columns, by the schema of a path's topic.

use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{StatusCode, request};
use jiff::Timestamp;
use millrace_model::{Batch, Code, Fault, Header, Origin, Record, Records, RecordsBuilder, Rejection, Result as Faultless, Schema};
use millrace_runtime::codec::Decoder;
use millrace_runtime::codec::container::is_container;
use millrace_runtime::formats::{JsonReader, Parsed, Refusal};
use millrace_runtime::input;
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::{Entry, TRACEPARENT};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::answer::Refused;
use super::body::avro::{self, Subject, Values};
use super::body::event::{self, Data, Event, Flaw};
use super::body::{Media, json, text};
use super::originals::{FRAME, Originals};

/// The largest record: with its headers it still fits Kafka's default limit as a dead letter.
const RECORD: usize = 900_000;

/// So many bytes of JSON need no thread to read them: some tens of microseconds.
const FEW: usize = 16 << 10;

/// What a body was read as.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) content: Content,
    pub(super) originals: Originals,
}

/// The records of a body.
#[derive(Debug)]
pub(super) enum Content {
    /// Read by schema.
    Parsed(Parsed),
    /// Few of JSON, which who writes them reads: those of many requests at once cost little more than those of one.
    Json(Arc<Records>),
}

impl Content {
    /// All records, good and bad.
    pub(super) fn records(&self) -> &Arc<Records> {
        match self {
            Self::Parsed(parsed) => parsed.batch.origin().records(),
            Self::Json(records) => records,
        }
    }
}

/// Reads the bodies of one path.
pub(super) struct Reader {
    /// The name of the source, in records and dead letters.
    source: Arc<str>,
    topic: String,
    max_body: usize,
    schema: Schema,
    registry: Registry,
    json: JsonReader,
    /// Decoders that no request has at present: one learns a schema once for many requests.
    decoders: Mutex<Vec<Decoder>>,
}

/// A request whose body is being read.
pub(super) struct Arrived<'a> {
    pub(super) head: &'a request::Parts,
    pub(super) body: Bytes,
    pub(super) entry: &'a mut Entry,
}

impl Reader {
    /// Of the bodies sent to `path`, whose records go to `topic`.
    pub(super) fn new(path: &str, topic: &str, max_body: usize, schema: &Schema, registry: &Registry) -> Faultless<Self> {
        Ok(Self {
            source: format!("http:{path}").into(),
            topic: topic.to_owned(),
            max_body,
            schema: schema.clone(),
            registry: registry.clone(),
            json: JsonReader::new(schema)?,
            decoders: Mutex::default(),
        })
    }

    /// What a record must look like, as JSON Schema.
    pub(super) fn json_schema(&self) -> Value {
        self.json.json_schema()
    }

    /// The topic of the records.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Reads a body that is not compressed any more.
    pub(super) async fn read(self: &Arc<Self>, mut arrived: Arrived<'_>) -> Result<Read, Refused> {
        let media = Media::of(&arrived.head.headers)?;
        if arrived.body.trim_ascii().is_empty() {
            return Err(Refused::new(StatusCode::BAD_REQUEST, Code::BodyUnreadable, "the body is empty"));
        }
        let binary = event::is_binary(&arrived.head.headers);
        match media {
            Media::Json | Media::Avro if binary => self.binary_event(&mut arrived).await,
            Media::Lines if binary => Err(unreadable("an event in binary mode has one record: send JSON or Avro")),
            Media::Json | Media::Lines => self.json(&mut arrived, media == Media::Lines).await,
            Media::Avro => self.avro(&mut arrived).await,
            Media::Event => self.structured(&mut arrived, |body| Ok(vec![body])).await,
            Media::Events => self.structured(&mut arrived, items).await,
        }
    }

    async fn json(self: &Arc<Self>, arrived: &mut Arrived<'_>, lines: bool) -> Result<Read, Refused> {
        let body = arrived.body.clone();
        let values = json::records(&body, lines).into_iter().map(|value| (value, Vec::new()));
        let records = self.records(arrived, values)?;
        let content = if is_little(&records) { Content::Json(records) } else { Content::Parsed(self.parse(records).await?) };
        Ok(Read { content, originals: Originals::Same })
    }

    async fn avro(self: &Arc<Self>, arrived: &mut Arrived<'_>) -> Result<Read, Refused> {
        let (subject, body) = (Subject::of(&arrived.head.headers, &arrived.head.uri)?, arrived.body.clone());
        if subject.is_none() && is_container(&body) {
            return self.container(arrived, body).await;
        }
        let value = framed(&body, self.id(subject).await?)?;
        let records = self.records(arrived, [(&*value, Vec::new())].into_iter())?;
        let content_type = text(&arrived.head.headers, event::CONTENT_TYPE).unwrap_or("avro/binary");
        let content = Content::Parsed(self.decode(records).await?);
        Ok(Read { content, originals: Originals::Typed(content_type.into()) })
    }

    async fn container(self: &Arc<Self>, arrived: &mut Arrived<'_>, body: Bytes) -> Result<Read, Refused> {
        let reader = Arc::clone(self);
        let mut values = blocking(move || Values::of(&body, &reader.schema, reader.max_body)).await?.map_err(|fault| refused(&fault))?;
        values.iter().enumerate().try_for_each(|(index, value)| refuse_too_large(index, value.len() + values.schema.len() + FRAME))?;
        let records = self.records(arrived, values.iter().map(|value| (value, Vec::new())))?;
        let originals = Originals::Contained(values.schema.as_str().into());
        let decoded = blocking(move || decoded(&mut values.decoder, &records)).await?;
        Ok(Read { content: Content::Parsed(decoded.map_err(|fault| refused(&fault))?), originals })
    }

    async fn binary_event(self: &Arc<Self>, arrived: &mut Arrived<'_>) -> Result<Read, Refused> {
        let body = arrived.body.clone();
        let sent = text(&arrived.head.headers, event::CONTENT_TYPE).unwrap_or("application/json").to_owned();
        let read = event::binary(&arrived.head.headers, &body);
        self.events(arrived, vec![(&body, read)], &sent).await
    }

    async fn structured(
        self: &Arc<Self>,
        arrived: &mut Arrived<'_>,
        texts: impl Fn(&[u8]) -> Result<Vec<&[u8]>, Refused>,
    ) -> Result<Read, Refused> {
        let body = arrived.body.clone();
        let events = texts(&body)?.into_iter().map(|text| (text, event::structured(text))).collect();
        self.events(arrived, events, "application/cloudevents+json").await
    }

    /// Events, good and bad, each with the text that it was; `sent` is what a bad one is kept as.
    async fn events(self: &Arc<Self>, arrived: &mut Arrived<'_>, events: Vec<Sent<'_>>, sent: &str) -> Result<Read, Refused> {
        let id = self.id(Subject::of(&arrived.head.headers, &arrived.head.uri)?).await?;
        let sorted = Sorted::of(events, id, sent);
        let values = sorted.values.iter().zip(sorted.headers).map(|(value, headers)| (&**value, headers));
        let records = self.records(arrived, values)?;
        let part = part(&records, &sorted.good);
        let read = if sorted.is_avro { self.decode(part).await? } else { self.parse(part).await? };
        let content = Content::Parsed(of_whole(read, &records, &sorted.good, sorted.refused));
        Ok(Read { content, originals: Originals::Each(sorted.content_types) })
    }

    /// The id of the subject's schema.
    async fn id(&self, subject: Option<Subject>) -> Result<Option<u32>, Refused> {
        let Some(Subject { name, version }) = subject else { return Ok(None) };
        let (registry, runtime, subject) = (self.registry.clone(), Handle::current(), name.clone());
        // The registry's client asks one address after the other, by a future that can't change threads.
        let known = blocking(move || runtime.block_on(registry.version_id(&subject, version))).await?;
        let known = known.map_err(|fault| unavailable(&fault))?;
        let none = || {
            let version = version.map(|version| format!(" version {version} of")).unwrap_or_default();
            let message = format!("the registry has no{version} subject {name}");
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, Code::SchemaUnknown, message)
        };
        known.map(Some).ok_or_else(none)
    }

    /// Records of these values and headers, each with the trace context that it takes along.
    fn records<'v>(
        &self,
        arrived: &mut Arrived<'_>,
        values: impl ExactSizeIterator<Item = (&'v [u8], Vec<Header>)>,
    ) -> Result<Arc<Records>, Refused> {
        let (first, timestamp) = (offsets(values.len()), Timestamp::now().as_millisecond());
        let mut records = RecordsBuilder::new(Arc::clone(&self.source), values.len());
        for (index, (value, mut headers)) in values.enumerate() {
            refuse_too_large(index, value.len())?;
            let offset = first + index as i64;
            let record = Record { topic: &self.source, partition: 0, offset, timestamp, key: None, value: Some(value), headers: &[] };
            let context = arrived.entry.record(&self.topic);
            let context = context.or_else(|| text(&arrived.head.headers, TRACEPARENT).map(str::to_owned));
            headers.extend(context.map(|context| event::header_of(TRACEPARENT, context)));
            records.push_with_headers(&record, headers);
        }
        Ok(Arc::new(records.finish()))
    }

    /// The records of what was read.
    pub(super) fn parsed(&self, read: Read) -> Faultless<Parsed> {
        match read.content {
            Content::Parsed(parsed) => Ok(parsed),
            Content::Json(records) => self.json.read(&records),
        }
    }

    /// Reads records of JSON: few of them here, as another thread costs more than they do.
    async fn parse(self: &Arc<Self>, records: Arc<Records>) -> Result<Parsed, Refused> {
        let parsed = if is_little(&records) {
            self.json.read(&records)
        } else {
            let reader = Arc::clone(self);
            blocking(move || reader.json.read(&records)).await?
        };
        parsed.map_err(|fault| Refused::broken(fault.message()))
    }

    /// Reads records of framed Avro.
    async fn decode(self: &Arc<Self>, records: Arc<Records>) -> Result<Parsed, Refused> {
        let idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = idle.map_or_else(|| Decoder::new(&self.schema), Ok).map_err(|fault| Refused::broken(fault.message()))?;
        let (reader, runtime) = (Arc::clone(self), Handle::current());
        blocking(move || {
            let learnt = runtime.block_on(input::learn(&mut decoder, &reader.registry, &records));
            let read = learnt.map_err(|fault| unavailable(&fault)).and_then(|()| {
                let decoded = decoded(&mut decoder, &records);
                decoded.map_err(|fault| Refused::broken(fault.message()))
            });
            reader.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
            read
        })
        .await?
    }
}

/// A value of Avro as it is framed, or is to be.
fn framed(body: &[u8], id: Option<u32>) -> Result<Cow<'_, [u8]>, Refused> {
    match id {
        Some(id) => Ok(avro::framed(id, body).into()),
        None if body.first() == Some(&0) => Ok(body.into()),
        None => {
            let message = "the value is neither framed with a schema id nor in a container: name its schema by ?subject=";
            Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, Code::FramingInvalid, message))
        }
    }
}

/// The text of an event, and what it was read as.
type Sent<'a> = (&'a [u8], Result<Event<'a>, Flaw>);

/// The events of a request, those that can be read by schema and the others.
#[derive(Default)]
struct Sorted<'a> {
    values: Vec<Cow<'a, [u8]>>,
    headers: Vec<Vec<Header>>,
    content_types: Vec<Box<str>>,
    good: Vec<u32>,
    refused: Vec<Refusal>,
    /// Whether the good ones are Avro, and not JSON.
    is_avro: bool,
}

impl<'a> Sorted<'a> {
    fn of(events: Vec<Sent<'a>>, id: Option<u32>, sent: &str) -> Self {
        let mut sorted = Self::default();
        for ((text, event), index) in events.into_iter().zip(0..) {
            match event.and_then(|event| sorted.accepted(event, id)) {
                Ok((event, value)) => {
                    sorted.good.push(index);
                    sorted.push(value, event.headers, &event.content_type);
                }
                Err(Flaw { attribute, reason }) => {
                    sorted.refused.push(Refusal { record: index, code: Code::EventInvalid, path: attribute, reason });
                    sorted.push(text.into(), Vec::new(), sent);
                }
            }
        }
        sorted
    }

    fn push(&mut self, value: Cow<'a, [u8]>, headers: Vec<Header>, content_type: &str) {
        self.values.push(value);
        self.headers.push(headers);
        self.content_types.push(content_type.into());
    }

    /// The event without its data, and the data as it is read. All data of one request is either JSON or Avro, as the first says.
    fn accepted(&mut self, mut event: Event<'a>, id: Option<u32>) -> Result<(Event<'a>, Cow<'a, [u8]>), Flaw> {
        let data = std::mem::replace(&mut event.data, Data::Json(Cow::default()));
        let (is_avro, value) = match (data, id) {
            (Data::Json(value), _) => (false, value),
            (Data::Avro(value), Some(id)) => (true, avro::framed(id, &value).into()),
            (Data::Avro(value), None) => (true, value),
        };
        if self.good.is_empty() {
            self.is_avro = is_avro;
        }
        if self.is_avro != is_avro {
            let reason = "the events before it have data of the other kind: send JSON and Avro in requests of their own";
            return Err(Flaw { attribute: "datacontenttype".to_owned(), reason: reason.to_owned() });
        }
        Ok((event, value))
    }
}

/// The items of a batch of events.
fn items(body: &[u8]) -> Result<Vec<&[u8]>, Refused> {
    let items: Result<Vec<&RawValue>, _> = serde_json::from_slice(body);
    let items = items.map_err(|error| unreadable(&format!("a batch of events is a JSON array: {error}")))?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

/// The given ones of `records`.
pub(super) fn part(records: &Arc<Records>, rows: &[u32]) -> Arc<Records> {
    if rows.len() == records.len() {
        return Arc::clone(records);
    }
    let mut part = RecordsBuilder::new(Arc::clone(records.topic()), rows.len());
    rows.iter().for_each(|&row| part.push(&records.record(row as usize)));
    Arc::new(part.finish())
}

/// What was read of a part, as read of the whole; `refused` are those that were not in the part.
pub(super) fn of_whole(read: Parsed, whole: &Arc<Records>, rows: &[u32], mut refused: Vec<Refusal>) -> Parsed {
    if rows.len() == whole.len() {
        return read;
    }
    let (columns, origin) = read.batch.into_parts();
    let origins: Vec<u32> = origin.rows().iter().map(|&row| rows[row as usize]).collect();
    refused.extend(read.refused.into_iter().map(|refusal| Refusal { record: rows[refusal.record as usize], ..refusal }));
    refused.sort_by_key(|refusal| refusal.record);
    Parsed { batch: Batch::new(columns, Origin::of(Arc::clone(whole), origins)), refused }
}

pub(super) fn decoded(decoder: &mut Decoder, records: &Arc<Records>) -> Faultless<Parsed> {
    let decoded = decoder.decode(records)?;
    let refusal = |Rejection { record, code, reason }| Refusal { record, code, path: String::new(), reason };
    Ok(Parsed { batch: decoded.batch, refused: decoded.rejected.into_iter().map(refusal).collect() })
}

/// Whether no thread is needed to read it.
fn is_little(records: &Records) -> bool {
    records.values().value_data().len() <= FEW
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Refused::broken(&error.to_string()))
}

fn unreadable(message: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, Code::BodyUnreadable, message)
}

fn unavailable(fault: &Fault) -> Refused {
    Refused::unavailable(fault.code(), fault.to_string())
}

/// A body that is not what it should be.
fn refused(fault: &Fault) -> Refused {
    let status = if fault.code() == Code::Internal { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::UNPROCESSABLE_ENTITY };
    Refused::new(status, fault.code(), format!("{}; nothing of this request was written", fault.message()))
}

/// A record of so many bytes, those of its container included, may become a dead letter.
fn refuse_too_large(index: usize, bytes: usize) -> Result<(), Refused> {
    if bytes <= RECORD {
        return Ok(());
    }
    let message = format!("record {index} has {bytes} bytes, the largest that is taken {RECORD}; nothing of this request was written");
    Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, Code::KafkaTooLarge, message))
}

/// The first of `count` offsets that no other record of this process has or had: an offset is part of a
/// dead letter's identity. They start at the time in microseconds, so that a restart gives none of them again.
fn offsets(count: usize) -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let now = Timestamp::now().as_microsecond();
    let next = |next: i64| Some(next.max(now) + count as i64);
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_else(|unchanged| unchanged).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_records_have_the_same_offset() {
        let (first, second) = (offsets(3), offsets(1));
        assert!(second >= first + 3);
    }

    #[test]
    fn all_data_of_one_request_is_of_the_first_ones_kind() {
        let event = |data: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t",{data}}}"#);
        let texts = [event(r#""data":{}"#), event(r#""datacontenttype":"avro/binary","data_base64":"AA==""#), event(r#""data":{}"#)];
        let events = texts.iter().map(|text| (text.as_bytes(), event::structured(text.as_bytes()))).collect();
        let sorted = Sorted::of(events, None, "application/cloudevents+json");
        assert_eq!((sorted.good, sorted.is_avro), (vec![0, 2], false));
        assert_eq!(sorted.refused[0].path, "datacontenttype");
        assert_eq!(&*sorted.content_types[1], "application/cloudevents+json");
    }
}
