//! What was sent and rejected, read once more: each dead letter as the content type says that it was kept with.

use std::sync::Arc;

use millrace_model::{Batch, Code, Fault, Header, Record, Records, RecordsBuilder, Result, Schema};
use millrace_runtime::codec::Decoder;
use millrace_runtime::codec::container::{Broken, Container, is_container};
use millrace_runtime::formats::{JsonReader, Parsed, Refusal};
use millrace_runtime::input;
use millrace_runtime::registry::Registry;

use super::body::Media;
use super::body::avro;
use super::body::event::{self, AVRO, CONTENT_TYPE, Data, header_of, is_of_event};
use super::reading::{decoded, of_whole, part};

/// The id of the first container's schema, and counting down those of the others: registries number by Java's int.
const LOCAL: u32 = u32::MAX;

/// The largest value of a container that is read again: none was taken that is larger.
const LARGEST: usize = 1 << 20;

/// Reads dead letters of pushed records.
pub(crate) struct Again {
    schema: Schema,
    json: JsonReader,
    registry: Registry,
}

impl Again {
    /// Of records of that schema.
    pub(crate) fn new(schema: &Schema, registry: &Registry) -> Result<Self> {
        Ok(Self { schema: schema.clone(), json: JsonReader::new(schema)?, registry: registry.clone() })
    }

    /// The records by their schema. The data of an event stands for it, its attributes in the record's headers.
    pub(crate) async fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        let mut sorted = Sorted::new(records, Decoder::new(&self.schema)?);
        (0..records.len() as u32).for_each(|index| sorted.sort(records, index));
        let Sorted { records, json, avro, refused, mut decoder } = sorted;
        let whole = Arc::new(records.finish());
        let texts = of_whole(self.json.read(&part(&whole, &json))?, &whole, &json, refused);
        if avro.is_empty() {
            return Ok(texts);
        }
        let values = part(&whole, &avro);
        input::learn(&mut decoder, &self.registry, &values).await?;
        joined(&whole, texts, of_whole(decoded(&mut decoder, &values)?, &whole, &avro, Vec::new()))
    }
}

/// Both, in the order of the records.
fn joined(whole: &Arc<Records>, one: Parsed, other: Parsed) -> Result<Parsed> {
    let merged = Batch::merge(whole, &[one.batch, other.batch]);
    let merged = merged.map_err(|error| Fault::fatal(Code::Internal, "records that were read again can't be joined").because(error))?;
    let batch = merged.ok_or_else(|| Fault::fatal(Code::Internal, "there is nothing to join"))?;
    let mut refused = [one.refused, other.refused].concat();
    refused.sort_by_key(|refusal| refusal.record);
    Ok(Parsed { batch, refused })
}

/// Letters by what they are read as.
struct Sorted {
    /// All of them, with the values and headers that they are read with.
    records: RecordsBuilder,
    json: Vec<u32>,
    avro: Vec<u32>,
    refused: Vec<Refusal>,
    /// It has learnt the schemas of containers.
    decoder: Decoder,
}

/// A value to be read, and the headers of its record.
struct Value<'a> {
    data: Data<'a>,
    headers: Vec<Header>,
}

impl Sorted {
    fn new(records: &Records, decoder: Decoder) -> Self {
        let builder = RecordsBuilder::new(Arc::clone(records.topic()), records.len());
        Self { records: builder, json: Vec::new(), avro: Vec::new(), refused: Vec::new(), decoder }
    }

    fn sort(&mut self, records: &Records, index: u32) {
        let record = records.record(index as usize);
        match self.value(&record, index) {
            Ok(Value { data, headers }) => {
                let (rows, value) = match &data {
                    Data::Json(value) => (&mut self.json, value),
                    Data::Avro(value) => (&mut self.avro, value),
                };
                rows.push(index);
                self.records.push_with_headers(&Record { value: record.value.map(|_| &**value), ..record }, headers);
            }
            Err(refusal) => {
                self.refused.push(refusal);
                self.records.push(&record);
            }
        }
    }

    fn value<'a>(&mut self, record: &Record<'a>, index: u32) -> Result<Value<'a>, Refusal> {
        let value = record.value.unwrap_or_default();
        let refused = |code, path, reason| Refusal { record: index, code, path, reason };
        let data = match media(record.headers) {
            Media::Event | Media::Events => {
                let event = event::structured(value).map_err(|flaw| refused(Code::EventInvalid, flaw.attribute, flaw.reason))?;
                return Ok(Value { data: event.data, headers: untyped(record.headers).chain(event.headers).collect() });
            }
            // Where it was mended it is an object.
            Media::Json | Media::Lines => Data::Json(value.into()),
            Media::Avro if value.trim_ascii_start().starts_with(b"{") => Data::Json(value.into()),
            Media::Avro if is_container(value) => {
                let framed = self.contained(value, LOCAL - index).map_err(|why| refused(Code::AvroInvalid, String::new(), why))?;
                Data::Avro(framed.into())
            }
            Media::Avro => Data::Avro(value.into()),
        };
        let content_type = is_of_event(record.headers).then(|| header_of(CONTENT_TYPE, AVRO));
        Ok(Value { data, headers: untyped(record.headers).chain(content_type).collect() })
    }

    /// The one value of a container, framed with that id, by which its schema is learnt.
    fn contained(&mut self, container: &[u8], id: u32) -> Result<Vec<u8>, String> {
        let said = |why: Broken| why.to_string();
        let mut container = Container::open(container).map_err(said)?;
        let blocks = container.blocks(LARGEST).map_err(said)?;
        let [block] = &blocks[..] else { return Err("the container does not have one value".to_owned()) };
        self.decoder.learn(id, Some(container.schema()));
        Ok(avro::framed(id, &block.bytes))
    }
}

/// What a letter says to be; one that says nothing was sent as JSON.
fn media(headers: &[Header]) -> Media {
    let said = headers.iter().rfind(|header| header.key == CONTENT_TYPE).and_then(|header| header.value.as_deref());
    let said = String::from_utf8_lossy(said.unwrap_or_default());
    Media::named(&said).unwrap_or(Media::Json)
}

/// The headers without the type of what the letter is: that of the record is another.
fn untyped(headers: &[Header]) -> impl Iterator<Item = Header> {
    headers.iter().filter(|header| header.key != CONTENT_TYPE).cloned()
}
