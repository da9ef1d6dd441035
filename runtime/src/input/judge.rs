//! What a pipeline does about a schema that it has not met before: facts in, verdict out.

/// What is known of the schema of a record, beside the one that the pipeline reads by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and the verdict is a table over them")]
pub(super) struct Facts {
    /// Whether the pipeline follows changes.
    pub(super) follows: bool,
    /// Whether it is a version of the topic's subject.
    pub(super) is_version: bool,
    /// Whether it is a later version than the one that the pipeline reads by.
    pub(super) is_later: bool,
    /// Whether its records can be read by the schema that the pipeline reads by.
    pub(super) is_readable: bool,
    /// Whether it can read all records of the schema that the pipeline reads by, of which more may come.
    pub(super) replaces: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Read its records by the present schema.
    Read,
    /// Read by it from here on, if the rest of the pipeline can.
    Follow,
    /// Its records belong elsewhere: reject them.
    Reject,
    /// The topic has changed in a way that the pipeline can't work with.
    Unfit,
}

pub(super) fn judge(facts: Facts) -> Verdict {
    if facts.follows && facts.is_later && facts.replaces {
        return Verdict::Follow;
    }
    settled(facts.is_readable, facts.is_version)
}

/// The verdict of a schema that is not followed.
pub(super) fn settled(is_readable: bool, is_version: bool) -> Verdict {
    match (is_readable, is_version) {
        (true, _) => Verdict::Read,
        (false, true) => Verdict::Unfit,
        (false, false) => Verdict::Reject,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Facts = Facts { follows: true, is_version: true, is_later: true, is_readable: true, replaces: true };

    #[test]
    fn a_later_version_that_reads_what_was_read_before_is_followed() {
        assert_eq!(judge(LATER), Verdict::Follow);
        assert_eq!(judge(Facts { is_readable: false, ..LATER }), Verdict::Follow);
    }

    #[test]
    fn an_earlier_version_a_pinned_pipeline_and_a_version_without_defaults_are_read_by_the_present_schema() {
        for facts in [Facts { is_later: false, ..LATER }, Facts { follows: false, ..LATER }, Facts { replaces: false, ..LATER }] {
            assert_eq!(judge(facts), Verdict::Read);
            assert_eq!(judge(Facts { is_readable: false, ..facts }), Verdict::Unfit);
        }
    }

    #[test]
    fn what_is_no_version_of_the_topic_changes_nothing() {
        let foreign = Facts { is_version: false, is_later: false, ..LATER };
        assert_eq!(judge(foreign), Verdict::Read);
        assert_eq!(judge(Facts { is_readable: false, ..foreign }), Verdict::Reject);
    }
}
