//! The positions of a pipeline, in the target: taking partitions over, and the compare-and-set that fences.
//!
//! Redshift has no locks of rows and no `ON CONFLICT`: the table is locked for as long as positions are looked at and moved. Whoever reads it waits
//! as well, so who holds a partition is kept elsewhere: see [`holders`].

use millrace_model::{Commit, Offsets, Result, TopicIdentity, TopicPartition};
use sqlx::postgres::PgConnection;

use super::session::{execute, texts};
use super::{holders, literal};

/// A pipeline's positions.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    name: String,
    /// The name as a literal.
    pipeline: String,
}

/// A partition of a pipeline, as the columns `pipeline`, `topic` and `partition` of a table name it.
pub(super) struct Place {
    /// What its row meets.
    pub(super) condition: String,
    /// What a new row of it has.
    pub(super) values: String,
}

/// Their table.
pub(super) const TABLE: &str = "millrace_positions";
/// Keeps other loaders out until the transaction ends.
pub(super) const LOCK: &str = "LOCK TABLE millrace_positions";
/// What makes their table.
pub(super) const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_positions (pipeline varchar(512) NOT NULL, topic varchar(256) NOT NULL, \
     \"partition\" integer NOT NULL, \"position\" bigint, topic_id varchar(22))";

/// What gives a table that an earlier version made the ids of topics.
pub(super) const ADD_IDS: &str = "ALTER TABLE millrace_positions ADD COLUMN topic_id varchar(22)";

/// Makes their table and that of their holders when they do not exist, or brings them up to date.
pub(super) async fn ensure(connection: &mut PgConnection) -> Result<()> {
    execute(connection, "making table millrace_positions", DEFINITION).await?;
    execute(connection, "making table millrace_holders", holders::DEFINITION).await?;
    if lacks_ids(connection).await? {
        // Of two that do this at once the second is refused, and tries again.
        execute(connection, "adding the column topic_id to millrace_positions", ADD_IDS).await?;
    }
    Ok(())
}

/// Whether the table has no ids of topics.
pub(super) async fn lacks_ids(connection: &mut PgConnection) -> Result<bool> {
    let sql = "SELECT 1 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = current_schema() AND c.relname = 'millrace_positions' AND a.attname = 'topic_id'";
    Ok(texts(connection, "looking at table millrace_positions", sql).await?.is_empty())
}

impl Positions {
    pub(super) fn of(pipeline: &str) -> Self {
        Self { name: pipeline.to_owned(), pipeline: literal(pipeline) }
    }

    /// Takes partitions over: ends the sessions that had them, puts this one in their place, and returns their positions.
    pub(super) async fn claim(
        &self,
        connection: &mut PgConnection,
        partitions: &[TopicPartition],
        topic: TopicIdentity,
    ) -> Result<Offsets> {
        let doing = "claiming partitions";
        let places: Vec<Place> = partitions.iter().map(|partition| self.place(partition)).collect();
        holders::replace(connection, &places).await?;
        execute(connection, doing, "BEGIN").await?;
        execute(connection, doing, LOCK).await?;
        let mut offsets = Offsets::new();
        for (partition, place) in partitions.iter().zip(places) {
            let found = texts(connection, doing, &format!("SELECT \"position\", topic_id FROM {TABLE} WHERE {}", place.condition)).await?;
            if let Some(row) = found.first() {
                if let Some(offset) = row[0].as_deref().and_then(|text| text.parse().ok()) {
                    topic.check(&self.name, partition, row[1].as_deref())?;
                    offsets.insert(partition.clone(), offset);
                }
            } else {
                let insert = format!("INSERT INTO {TABLE} (pipeline, topic, \"partition\") VALUES ({})", place.values);
                execute(connection, doing, &insert).await?;
            }
        }
        execute(connection, doing, "COMMIT").await?;
        Ok(offsets)
    }

    /// Moves positions inside the transaction that is open and has the lock, each only from where this writer started.
    pub(super) async fn advance(
        &self,
        connection: &mut PgConnection,
        from: &Offsets,
        to: &Offsets,
        topic: TopicIdentity,
    ) -> Result<Commit> {
        let given = topic.given().map_or_else(|| "topic_id".to_owned(), |id| literal(&id.to_string()));
        let required = topic.required().map(|id| format!(" AND (topic_id IS NULL OR topic_id = {})", literal(&id.to_string())));
        for (partition, offset) in to {
            let old = from.get(partition).map_or_else(|| "IS NULL".to_owned(), |old| format!("= {old}"));
            let required = required.as_deref().filter(|_| from.contains_key(partition)).unwrap_or_default();
            let place = self.place(partition).condition;
            let sql =
                format!("UPDATE {TABLE} SET \"position\" = {offset}, topic_id = {given} WHERE {place} AND \"position\" {old}{required}");
            if execute(connection, "moving positions", &sql).await? != 1 {
                return Ok(Commit::Fenced);
            }
        }
        Ok(Commit::Done)
    }

    fn place(&self, TopicPartition { topic, partition }: &TopicPartition) -> Place {
        let (pipeline, topic) = (&self.pipeline, literal(topic));
        Place {
            condition: format!("pipeline = {pipeline} AND topic = {topic} AND \"partition\" = {partition}"),
            values: format!("{pipeline}, {topic}, {partition}"),
        }
    }
}
