//! The ids of subjects' versions, for those who ask with every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_model::Result;

use super::{Registry, lock};

/// For how long a subject's latest version is taken for granted.
const FRESH: Duration = Duration::from_secs(10);

/// The ids that were asked for, and when. Only what the registry has is kept, so that no sender can fill it.
pub(super) type Known = HashMap<(Arc<str>, Option<u32>), (u32, Instant)>;

impl Registry {
    /// The id of a version of `subject`, the latest one without a number; `None` when the registry has none. A newer latest
    /// version is seen after ten seconds.
    ///
    /// # Errors
    /// As for [`Registry::schema`].
    pub async fn version_id(&self, subject: &str, version: Option<u32>) -> Result<Option<u32>> {
        let key = (Arc::from(subject), version);
        if let Some((id, asked)) = lock(&self.shared.version_ids).get(&key)
            && (version.is_some() || asked.elapsed() < FRESH)
        {
            return Ok(Some(*id));
        }
        let Some(found) = self.version(subject, version).await? else { return Ok(None) };
        lock(&self.shared.version_ids).insert(key, (found.id, Instant::now()));
        Ok(Some(found.id))
    }
}
