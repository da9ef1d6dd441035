//! The start of a pipeline that reads a topic: the schemas that its records were written with, and the one that it reads them by, which
//! changes when the topic's does.

mod judge;
mod standing;

use std::sync::Arc;

use millrace_model::{Code, Fault, Records, Result, Schema};

use crate::codec::{self, Decoded, Decoder};
use crate::project::{OnIncompatible, SchemaChanges};
use crate::registry::{Part, Registry, SubjectVersion};
use judge::{Facts, Verdict, judge, settled};
use standing::Standing;

/// Gives `decoder` the schemas of the ids in `records` that it has not met yet.
pub async fn learn(decoder: &mut Decoder, registry: &Registry, records: &Records) -> Result<()> {
    for id in decoder.unknown_ids(records) {
        text_of(decoder, registry, id).await?;
    }
    Ok(())
}

/// Gives `decoder` the schema of an id; returns its text if it is a schema at all.
async fn text_of(decoder: &mut Decoder, registry: &Registry, id: u32) -> Result<Option<Arc<str>>> {
    match registry.schema(id).await {
        Ok(writer) => {
            decoder.learn(id, writer.as_deref());
            Ok(writer)
        }
        // The schema is to blame, not the registry: its records are rejected, those beside them go on.
        Err(fault) if matches!(fault.code(), Code::SchemaUnsupported | Code::SchemaInvalid) => {
            decoder.learn_unreadable(id, fault.message());
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// The input of a pipeline: decodes the records of a topic, and notices when the topic's schema changes.
///
/// Used in this order for each batch of records: [`Input::learn`] until it offers no more changes, each of which is answered by
/// [`Input::follow`] or [`Input::decline`]; then [`Input::decode`]. All records of one batch are decoded into one schema,
/// whatever each was written with, so that what follows is compiled between batches only.
///
/// Which version a replica reads by is kept nowhere: each finds the latest one that it can follow when it meets its first records.
#[derive(Debug)]
pub struct Input {
    topic: String,
    schema: Schema,
    decoder: Decoder,
    changes: SchemaChanges,
    on_incompatible: OnIncompatible,
    standing: Standing,
}

/// A later version of the topic's schema, which the pipeline may read by from here on.
#[derive(Debug)]
pub struct Change {
    registered: SubjectVersion,
    schema: Schema,
    /// Why its records can't be read by the present schema, if so.
    unreadable: Option<String>,
    /// Whether records of it have come.
    is_met: bool,
}

impl Change {
    /// The schema that records will be decoded into.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

impl Input {
    /// That of a pipeline which reads `topic` by the schema that its project declares.
    pub fn new(topic: &str, declared: &Schema, changes: SchemaChanges, on_incompatible: OnIncompatible) -> Result<Self> {
        let decoder = Decoder::new(declared)?;
        Ok(Self { topic: topic.to_owned(), schema: declared.clone(), decoder, changes, on_incompatible, standing: Standing::Unknown })
    }

    /// The schema that records are decoded into.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Learns the schemas of the records. A change that comes back is to be answered, and this to be called again.
    ///
    /// # Errors
    /// [`Code::SchemaChanged`], for an operator, for records of a version that can't be read, where the pipeline is to halt; faults of the
    /// registry.
    pub async fn learn(&mut self, registry: &Registry, records: &Records) -> Result<Option<Change>> {
        let unknown = self.decoder.unknown_ids(records);
        if unknown.is_empty() {
            return Ok(None);
        }
        if let Some(change) = self.stand(registry).await? {
            return Ok(Some(change));
        }
        for id in unknown {
            if let Some(change) = self.learn_one(registry, id).await? {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    /// Decodes `records`, whose schemas have all been learnt.
    pub fn decode(&mut self, records: &Arc<Records>) -> Result<Decoded> {
        self.decoder.decode(records)
    }

    /// Reads by the changed schema from here on.
    pub fn follow(&mut self, change: Change) -> Result<()> {
        let version = change.registered.version;
        let differences = codec::told_differences(self.schema.text(), change.schema.text());
        tracing::info!(topic = self.topic, version, differences, "the topic's schema has changed, and is followed");
        self.decoder = Decoder::new(&change.schema)?;
        self.schema = change.schema;
        self.standing = Standing::At(version);
        Ok(())
    }

    /// Goes on with the present schema, since the pipeline can't work with the change for that reason.
    ///
    /// # Errors
    /// [`Code::SchemaChanged`], for an operator, if its records can't be read by the present schema either, and the pipeline is to halt.
    /// It halts at the first such record, not because the version is there.
    pub fn decline(&mut self, change: &Change, reason: &str) -> Result<()> {
        let SubjectVersion { id, version, schema: ref text } = change.registered;
        self.decoder.learn(id, Some(text));
        match settled(change.unreadable.is_none(), true) {
            Verdict::Read | Verdict::Follow => {
                tracing::warn!(
                    topic = self.topic,
                    version,
                    reason,
                    "the topic's schema has changed, and the pipeline can't follow; it goes on with the schema that it has"
                );
                Ok(())
            }
            Verdict::Reject | Verdict::Unfit if change.is_met => self.unfit(&change.registered, reason),
            Verdict::Reject | Verdict::Unfit => {
                self.decoder.forget_id(id);
                tracing::warn!(
                    topic = self.topic,
                    version,
                    reason,
                    "the topic's schema has a version that the pipeline can't work with; it goes on until a record of it comes"
                );
                Ok(())
            }
        }
    }

    /// Finds out where the pipeline stands among the subject's versions, once; returns the latest one if it stands at an earlier one.
    async fn stand(&mut self, registry: &Registry) -> Result<Option<Change>> {
        if self.changes == SchemaChanges::Pin || matches!(self.standing, Standing::At(_)) {
            return Ok(None);
        }
        let subject = registry.subject_of(&self.topic, Part::Value, &self.schema);
        let (standing, latest) = standing::find(registry, &subject, &self.schema).await?;
        if standing == Standing::OfItsOwn && self.standing == Standing::Unknown {
            tracing::info!(
                topic = self.topic,
                subject,
                "the project's schema is no version of the subject: changes of the topic's schema are not followed"
            );
        }
        self.standing = standing;
        let Some(latest) = latest.filter(|latest| self.standing.is_before(latest.version)) else { return Ok(None) };
        self.decoder.learn(latest.id, Some(&latest.schema));
        let unreadable = self.decoder.unreadable(latest.id).map(str::to_owned);
        self.decoder.forget_id(latest.id);
        Ok(self.replacing(latest, unreadable, false))
    }

    async fn learn_one(&mut self, registry: &Registry, id: u32) -> Result<Option<Change>> {
        let Some(text) = text_of(&mut self.decoder, registry, id).await? else { return Ok(None) };
        let unreadable = self.decoder.unreadable(id).map(str::to_owned);
        let follows = self.changes == SchemaChanges::Follow && matches!(self.standing, Standing::At(_));
        if unreadable.is_none() && !follows {
            return Ok(None);
        }
        let subject = registry.subject_of(&self.topic, Part::Value, &self.schema);
        let version = registry.version_of_id(&subject, id).await?;
        let registered = SubjectVersion { id, version: version.unwrap_or_default(), schema: text.to_string() };
        let is_later = version.is_some_and(|version| self.standing.is_before(version));
        let change = if follows && is_later { self.replacing(registered.clone(), unreadable.clone(), true) } else { None };
        let facts =
            Facts { follows, is_version: version.is_some(), is_later, is_readable: unreadable.is_none(), replaces: change.is_some() };
        match judge(facts) {
            Verdict::Follow => {
                self.decoder.forget_id(id);
                return Ok(change);
            }
            Verdict::Unfit => self.unfit(&registered, &unreadable.unwrap_or_default())?,
            Verdict::Read if is_later => tracing::info!(
                topic = self.topic,
                version,
                "the topic's schema has changed, and can't read what was written before; the pipeline goes on with the schema that it has"
            ),
            Verdict::Read | Verdict::Reject => {}
        }
        Ok(None)
    }

    /// The change to a later version, if that can read all that is read now.
    fn replacing(&self, registered: SubjectVersion, unreadable: Option<String>, is_met: bool) -> Option<Change> {
        let avro = serde_json::from_str(&registered.schema).ok()?;
        let schema = codec::schema(avro).ok()?;
        codec::reads_all(schema.text(), self.schema.text()).ok()?;
        Some(Change { registered, schema, unreadable, is_met })
    }

    fn unfit(&mut self, registered: &SubjectVersion, reason: &str) -> Result<()> {
        let SubjectVersion { id, version, schema: text } = registered;
        let differences = match codec::told_differences(self.schema.text(), text) {
            none if none.is_empty() => "its fields are the same".to_owned(),
            some => some,
        };
        let what = format!(
            "version {version} of the schema of {} (id {id}) can't be worked with: {reason}. Beside the schema that the pipeline reads by: {differences}",
            self.topic
        );
        match self.on_incompatible {
            OnIncompatible::Halt => {
                // It is to be found again by whoever calls again.
                self.decoder.forget_id(*id);
                let advice = "change the pipeline or its schema so that it can, or set `on_incompatible: dead_letter`";
                Err(Fault::operator(Code::SchemaChanged, format!("{what}; {advice}")))
            }
            OnIncompatible::DeadLetter => {
                tracing::warn!(topic = self.topic, version, "{what}; its records are rejected");
                self.decoder.learn_unreadable(*id, reason);
                Ok(())
            }
        }
    }
}
