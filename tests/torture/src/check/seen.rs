//! Everything that came out, as committed readers see it.

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use millrace_tests::kafka::{self, Read};
use serde_json::Value as Json;

use crate::outside::cluster::NAME;
use crate::workload::pipelines::{COLUMNS, DEAD, TABLES, TOPICS};
use crate::world::World;

/// A record in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    /// Its fields as texts; what they could not be read for where that is so.
    pub(crate) fields: Result<Vec<String>, String>,
    pub(crate) headers: Vec<String>,
    /// What it is where it is no record and has a name.
    pub(crate) frame: Option<Frame>,
}

/// A value that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// The last part of the pipeline's name.
    pub(crate) pipeline: String,
    /// What the letter's identity is made of.
    pub(crate) identity: String,
    /// The id of the record in it; its bytes where it has none.
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) at: String,
    /// Where it stands.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) frame: Option<Frame>,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its columns but the place, as texts.
    pub(crate) fields: Vec<String>,
    /// Partition and offset of its record, where the table keeps them.
    pub(crate) place: Option<(i32, i64)>,
}

/// What the topics and tables hold.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By the topic's name in the project.
    pub(crate) topics: BTreeMap<&'static str, Vec<Stored>>,
    pub(crate) letters: Vec<Letter>,
    /// By the table's name.
    pub(crate) tables: BTreeMap<&'static str, Vec<Row>>,
    /// The topics that were given partitions: a key may have gone from one to another there.
    pub(crate) grown: BTreeSet<&'static str>,
    /// The names of the values that are no records and that the first topic took.
    pub(crate) frames: BTreeSet<String>,
}

impl Seen {
    /// All that is committed now, past the proxies.
    pub(crate) async fn now(world: &World) -> Self {
        let brokers = &world.outside.cluster.direct;
        let mut schemas = Schemas::of(&world.outside.registry_url);
        let mut seen = Self { grown: world.grown.clone(), frames: world.frames.clone(), ..Self::default() };
        // Against the stream: what has come out somewhere is upstream by then, however much is still on its way.
        for table in TABLES {
            seen.tables.insert(table, rows(world, table).await);
        }
        seen.letters = kafka::read(brokers, &world.project.topic(DEAD)).await.iter().map(letter).collect();
        for topic in TOPICS.into_iter().rev() {
            let mut stored = Vec::new();
            for read in kafka::read(brokers, &world.project.topic(topic)).await {
                stored.push(schemas.stored(&read).await);
            }
            seen.topics.insert(topic, stored);
        }
        seen
    }

    /// All that there is of a record: its way.
    pub(crate) fn way(&self, id: &str) -> Vec<String> {
        let mut way = Vec::new();
        for (topic, stored) in &self.topics {
            for one in stored.iter().filter(|one| one.fields.as_ref().is_ok_and(|fields| fields[0] == id)) {
                way.push(format!("topic {topic}, partition {}, offset {}, headers {:?}", one.partition, one.offset, one.headers));
            }
        }
        for one in self.letters.iter().filter(|one| one.id == id) {
            way.push(format!(
                "dead letter of {} ({}), partition {}, offset {}, {} at {}",
                one.pipeline, one.identity, one.partition, one.offset, one.code, one.at
            ));
        }
        for (table, rows) in &self.tables {
            for row in rows.iter().filter(|row| row.fields[0] == id) {
                way.push(format!("table {table}, from {:?}: {:?}", row.place, row.fields));
            }
        }
        way
    }
}

async fn rows(world: &World, table: &'static str) -> Vec<Row> {
    let place = if table == "appended" { ", kafka_partition, kafka_offset" } else { "" };
    let texts = |columns: &str| columns.split(", ").map(|column| format!("{column}::text")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {} FROM {}.{table}", texts(&format!("{COLUMNS}{place}")), world.project.name());
    let rows = world.outside.database.rows(&sql).await.expect("the tables can be read");
    rows.into_iter().map(row).collect()
}

fn row(mut texts: Vec<String>) -> Row {
    let own = COLUMNS.split(", ").count();
    let place = texts.split_off(own);
    let place = match place.as_slice() {
        [partition, offset] => Some((partition.parse().expect("a partition"), offset.parse().expect("an offset"))),
        _ => None,
    };
    Row { fields: texts, place }
}

fn letter(read: &Read) -> Letter {
    let said = |name: &str| read.header(&format!("millrace.error.{name}")).unwrap_or_default();
    let pipeline = said("pipeline").rsplit(['.', '/']).next().unwrap_or_default().to_owned();
    let identity = ["pipeline", "topic", "partition", "offset", "stage"].map(said).join(" ");
    let value = read.value.as_deref().unwrap_or_default();
    let id =
        json_id(value).or_else(|| cut_id(value)).or_else(|| avro_id(value)).unwrap_or_else(|| String::from_utf8_lossy(value).into_owned());
    Letter {
        pipeline,
        identity,
        id,
        code: said("code"),
        at: said("at"),
        partition: read.partition,
        offset: read.offset,
        frame: frame(read),
    }
}

fn frame(read: &Read) -> Option<Frame> {
    Some(Frame { name: read.header(NAME)?, value: read.value.clone().unwrap_or_default() })
}

fn json_id(value: &[u8]) -> Option<String> {
    let json: Json = serde_json::from_slice(value).ok()?;
    Some(json["id"].as_str()?.to_owned())
}

/// The id in a JSON document that was cut off.
fn cut_id(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let (_, rest) = text.strip_prefix('{')?.split_once("\"id\":\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// The first field of a framed record, a text: its length as a zigzag number of one byte or two, and its bytes.
fn avro_id(value: &[u8]) -> Option<String> {
    let body = value.strip_prefix(&[0])?.get(4..)?;
    let length = usize::from(*body.first()? / 2);
    Some(std::str::from_utf8(body.get(1..=length)?).ok()?.to_owned())
}

/// Schemas by their ids, asked of the registry once each.
struct Schemas {
    url: String,
    client: reqwest::Client,
    known: BTreeMap<u32, Schema>,
}

impl Schemas {
    fn of(url: &str) -> Self {
        Self { url: url.to_owned(), client: reqwest::Client::new(), known: BTreeMap::new() }
    }

    async fn stored(&mut self, read: &Read) -> Stored {
        let key = String::from_utf8_lossy(read.key.as_deref().unwrap_or_default()).into_owned();
        let frame = frame(read);
        let fields = match &frame {
            Some(frame) => Err(format!("{} is no record", frame.name)),
            None => self.fields(read.value.as_deref().unwrap_or_default()).await,
        };
        let headers = read.headers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
        Stored { partition: read.partition, offset: read.offset, key, fields, headers, frame }
    }

    async fn fields(&mut self, value: &[u8]) -> Result<Vec<String>, String> {
        let framed = value.strip_prefix(&[0]).and_then(|rest| rest.split_first_chunk::<4>());
        let Some((id, mut body)) = framed else { return Err(format!("not framed: {value:?}")) };
        let id = u32::from_be_bytes(*id);
        if !self.known.contains_key(&id) {
            self.known.insert(id, self.ask(id).await);
        }
        let reader = GenericDatumReader::builder(&self.known[&id]).build().map_err(|error| error.to_string())?;
        let value = reader.read_value(&mut body).map_err(|error| error.to_string())?;
        if !body.is_empty() {
            return Err(format!("{} bytes after the record", body.len()));
        }
        let Value::Record(fields) = value else { return Err(format!("no record: {value:?}")) };
        Ok(fields.into_iter().map(|(_, value)| text(&value)).collect())
    }

    async fn ask(&self, id: u32) -> Schema {
        let answer = self.client.get(format!("{}/schemas/ids/{id}", self.url)).send().await.expect("the registry answers");
        let said: Json = answer.json().await.expect("the answer is JSON");
        Schema::parse_str(said["schema"].as_str().unwrap_or_else(|| panic!("schema {id}: {said}"))).expect("a schema")
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Union(_, inner) => text(inner),
        Value::Null => String::new(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_dead_letter_is_known_by_its_id() {
        assert_eq!(json_id(br#"{"id":"f1-2.3","amount":"a lot"}"#).as_deref(), Some("f1-2.3"));
        assert_eq!(avro_id(b"\0\0\0\0\x07\x0cf1-2.3\x02x").as_deref(), Some("f1-2.3"));
        assert_eq!(avro_id(b"\0\0\0"), None);
        assert_eq!(cut_id(br#"{"amount":1,"customer":"c","id":"fh1.1","note":"xxx"#).as_deref(), Some("fh1.1"));
    }
}
