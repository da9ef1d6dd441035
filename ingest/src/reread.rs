//! Rejected records, read by schema once more: for the replay of dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_connectors::SourceConfig;
use millrace_model::{Code, Fault, Position, Records, Result, Schema};
use millrace_runtime::formats::{JsonReader, Parsed};
use millrace_runtime::kafka::Cluster;
use millrace_runtime::registry::Registry;

use crate::config::Input;
use crate::positions;
use crate::push::Again;
use crate::service::Ingest;

/// What the topics of records from a source begin with, before the name of their split.
const OF_A_FILE: &str = "file:";

/// Reads records as they were read from their source.
pub struct Reread(From);

enum From {
    /// What was sent, by the content type that it was kept with.
    Pushed(Again),
    /// What stood in a source.
    Pulled(Box<Pulled>),
}

impl Reread {
    /// For the pipeline of that id (`<project>.<pipeline>`). Reads how far its splits have been read: the position of a CSV file has the
    /// names of its columns. Makes and writes nothing.
    pub async fn open(ingest: &Ingest, cluster: &Cluster, registry: &Registry, pipeline: &str) -> Result<Self> {
        Ok(Self(match &ingest.config.from {
            Input::Http(_) => From::Pushed(Again::new(&ingest.schema, registry)?),
            Input::Source(source) => {
                let json = JsonReader::new(&ingest.schema).ok();
                let positions = positions::read_if_any(cluster, pipeline).await?;
                From::Pulled(Box::new(Pulled { source: source.clone(), schema: ingest.schema.clone(), json, positions }))
            }
        }))
    }

    /// Reads records of one topic.
    ///
    /// # Errors
    /// Those of the source, when its split can't be read any more, and those of the registry.
    pub async fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        match &self.0 {
            From::Pushed(again) => again.read(records).await,
            From::Pulled(pulled) => pulled.read(records),
        }
    }
}

/// Reads records as a pipeline's source does. One that is a JSON object is taken whatever the source is: so can a line of CSV be mended
/// into one.
struct Pulled {
    source: SourceConfig,
    schema: Schema,
    json: Option<JsonReader>,
    positions: BTreeMap<String, Vec<u8>>,
}

impl Pulled {
    fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        if let Some(json) = self.json.as_ref().filter(|_| all_objects(records)) {
            return json.read(records);
        }
        let name = records.topic().strip_prefix(OF_A_FILE).unwrap_or(records.topic());
        self.source.reread(name, &self.schema, self.position(name)?.as_ref(), records)
    }

    /// How far the split has been read that the name is of, or of a part of: `a.zip` of `a.zip/one.csv`.
    fn position(&self, name: &str) -> Result<Option<Position>> {
        let broken = |error| Fault::fatal(Code::Internal, format!("the position of {name} can't be read back")).because(error);
        let is_of = |split: &str| name.strip_prefix(split).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '#']));
        let found = self.positions.iter().filter(|(split, _)| is_of(split)).max_by_key(|(split, _)| split.len());
        found.map(|(_, value)| serde_json::from_slice(value).map_err(broken)).transpose()
    }
}

fn all_objects(records: &Records) -> bool {
    let is_object = |value: &[u8]| value.trim_ascii_start().starts_with(b"{");
    records.values().iter().all(|value| value.is_some_and(is_object))
}
