//! What a loading session needs to know about its server.

use millrace_model::Result;
use sqlx::mysql::MySqlConnection;

use super::fault::fault;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    /// `max_allowed_packet`: how many bytes one statement may have with all of its values.
    pub(super) packet: usize,
    /// The collation that tells texts apart by all of their bytes: that of most, `utf8mb4_bin`, knows no trailing blanks.
    pub(super) exact_collation: &'static str,
}

impl Server {
    /// Asks it.
    pub(super) async fn ask(connection: &mut MySqlConnection) -> Result<Self> {
        let sql = "SELECT CAST(@@max_allowed_packet AS SIGNED), VERSION()";
        let answer: Result<(i64, String), _> = sqlx::query_as(sql).fetch_one(connection).await;
        let (packet, version) = answer.map_err(|error| fault("asking for the server's version", error))?;
        let exact_collation = if version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
        Ok(Self { packet: usize::try_from(packet).unwrap_or(usize::MAX), exact_collation })
    }
}
