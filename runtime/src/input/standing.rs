//! Which version of the topic's schema a pipeline reads by.

use millrace_model::{Result, Schema};

use crate::codec;
use crate::registry::{Registry, SubjectVersion};

/// How many versions are looked at, from the latest back: each is a call.
const MOST_VERSIONS: usize = 50;

/// Where a pipeline stands among the versions of its topic's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was not asked for yet.
    Unknown,
    /// The project's schema is none of them: a part of what is written, perhaps, or one that is not registered yet.
    OfItsOwn,
    /// At the version of that number.
    At(u32),
}

impl Standing {
    /// Whether `version` is later.
    pub(super) fn is_before(self, version: u32) -> bool {
        matches!(self, Self::At(at) if at < version)
    }
}

/// Where `schema` stands among the versions of `subject`, and the latest of them.
pub(super) async fn find(registry: &Registry, subject: &str, schema: &Schema) -> Result<(Standing, Option<SubjectVersion>)> {
    let Some(latest) = registry.version(subject, None).await? else { return Ok((Standing::OfItsOwn, None)) };
    let version = match registry.version_of(subject, schema).await? {
        None => same_as(registry, subject, schema, &latest).await?,
        known => known,
    };
    Ok((version.map_or(Standing::OfItsOwn, Standing::At), Some(latest)))
}

/// The last version that is the same to a reader: documentation and the like make another text of it.
async fn same_as(registry: &Registry, subject: &str, schema: &Schema, latest: &SubjectVersion) -> Result<Option<u32>> {
    if codec::are_same(schema.text(), &latest.schema) {
        return Ok(Some(latest.version));
    }
    for version in (1..latest.version).rev().take(MOST_VERSIONS) {
        let earlier = registry.version(subject, Some(version)).await?;
        if earlier.is_some_and(|earlier| codec::are_same(schema.text(), &earlier.schema)) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_place_is_before_a_later_version() {
        assert!(Standing::At(2).is_before(3));
        assert!(!Standing::At(3).is_before(3));
        assert!(!Standing::OfItsOwn.is_before(3) && !Standing::Unknown.is_before(3));
    }
}
