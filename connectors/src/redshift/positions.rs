//! The positions of a pipeline, in the target: taking partitions over, and the compare-and-set that fences.
//!
//! Redshift has no locks of rows and no `ON CONFLICT`: the table is locked for as long as positions are looked at and moved.

use millrace_model::{Commit, Offsets, Result, TopicIdentity, TopicPartition};
use sqlx::postgres::PgConnection;

use super::literal;
use super::session::{execute, texts};

/// A pipeline's positions.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    name: String,
    /// The name as a literal.
    pipeline: String,
}

/// Their table.
pub(super) const TABLE: &str = "millrace_positions";
/// Keeps other loaders out until the transaction ends.
pub(super) const LOCK: &str = "LOCK TABLE millrace_positions";
/// What makes their table.
pub(super) const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_positions (pipeline varchar(512) NOT NULL, topic varchar(256) NOT NULL, \
     \"partition\" integer NOT NULL, \"position\" bigint, backend_pid integer, backend_start varchar(64), topic_id varchar(22))";

/// What gives a table that an earlier version made the ids of topics.
pub(super) const ADD_IDS: &str = "ALTER TABLE millrace_positions ADD COLUMN topic_id varchar(22)";

/// Makes their table when it does not exist, or brings it up to date.
pub(super) async fn ensure(connection: &mut PgConnection) -> Result<()> {
    execute(connection, "making table millrace_positions", DEFINITION).await?;
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
        // Reads without a lock, so that a holder of one can't keep this waiting.
        let doing = "claiming partitions";
        let own = texts(connection, doing, "SELECT pg_backend_pid()").await?;
        let own = own.first().and_then(|row| row[0].clone()).unwrap_or_default();
        self.end_predecessors(connection, partitions, &own).await?;
        let start = format!("SELECT starttime::varchar FROM stv_sessions WHERE process = {own}");
        let start = texts(connection, doing, &start).await?.first().and_then(|row| row[0].clone()).unwrap_or_default();
        execute(connection, doing, "BEGIN").await?;
        execute(connection, doing, LOCK).await?;
        let mut offsets = Offsets::new();
        for partition in partitions {
            let place = self.place(partition);
            let found = texts(connection, doing, &format!("SELECT \"position\", topic_id FROM {TABLE} WHERE {place}")).await?;
            if let Some(row) = found.first() {
                if let Some(offset) = row[0].as_deref().and_then(|text| text.parse().ok()) {
                    topic.check(&self.name, partition, row[1].as_deref())?;
                    offsets.insert(partition.clone(), offset);
                }
            } else {
                let (pipeline, topic, number) = (&self.pipeline, literal(&partition.topic), partition.partition);
                let insert = format!("INSERT INTO {TABLE} (pipeline, topic, \"partition\") VALUES ({pipeline}, {topic}, {number})");
                execute(connection, doing, &insert).await?;
            }
            let take = format!("UPDATE {TABLE} SET backend_pid = {own}, backend_start = {} WHERE {place}", literal(start.trim()));
            execute(connection, doing, &take).await?;
        }
        execute(connection, doing, "COMMIT").await?;
        Ok(offsets)
    }

    /// Ends the sessions that wrote last, where they live: functions of the leader node take no columns, so each is told by number.
    async fn end_predecessors(&self, connection: &mut PgConnection, partitions: &[TopicPartition], own: &str) -> Result<()> {
        let doing = "ending the session of a former writer";
        let places: Vec<String> = partitions.iter().map(|partition| format!("({})", self.place(partition))).collect();
        if places.is_empty() {
            return Ok(());
        }
        let holders =
            format!("SELECT DISTINCT backend_pid, backend_start FROM {TABLE} WHERE backend_pid IS NOT NULL AND ({})", places.join(" OR "));
        for holder in texts(connection, doing, &holders).await? {
            let [Some(pid), Some(start)] = &holder[..] else { continue };
            let lives = format!("SELECT 1 FROM stv_sessions WHERE process = {pid} AND trim(starttime::varchar) = {}", literal(start));
            if pid != own && !texts(connection, doing, &lives).await?.is_empty() {
                texts(connection, doing, &format!("SELECT pg_terminate_backend({pid})")).await?;
            }
        }
        Ok(())
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
            let place = self.place(partition);
            let sql =
                format!("UPDATE {TABLE} SET \"position\" = {offset}, topic_id = {given} WHERE {place} AND \"position\" {old}{required}");
            if execute(connection, "moving positions", &sql).await? != 1 {
                return Ok(Commit::Fenced);
            }
        }
        Ok(Commit::Done)
    }

    fn place(&self, partition: &TopicPartition) -> String {
        format!("pipeline = {} AND topic = {} AND \"partition\" = {}", self.pipeline, literal(&partition.topic), partition.partition)
    }
}
