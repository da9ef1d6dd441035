//! What of the protocol is known here: a table that needs more is refused, by name.

use millrace_model::Result;

use super::entry::Protocol;
use crate::table::unfit;

/// Timestamps without a time zone.
const TIMESTAMP_NTZ: &str = "timestampNtz";
/// Features that ask nothing of a writer that only adds files; `invariants` are looked for in the columns.
const WRITER: &[&str] = &["appendOnly", "invariants", TIMESTAMP_NTZ];
const READER: &[&str] = &[TIMESTAMP_NTZ];

/// The protocol of a table with such columns, which is no less than that of a table which is there already.
pub(in crate::lake) fn needed(has_local_timestamps: bool, existing: Option<&Protocol>) -> Protocol {
    let plain = Protocol { min_reader_version: 1, min_writer_version: 2, reader_features: None, writer_features: None };
    let existing = existing.unwrap_or(&plain);
    if !has_local_timestamps || existing.reader_features.iter().flatten().any(|feature| feature == TIMESTAMP_NTZ) {
        return existing.clone();
    }
    let with = |features: &Option<Vec<String>>| {
        let others = features.iter().flatten().cloned();
        Some(others.chain([TIMESTAMP_NTZ.to_owned()]).collect())
    };
    // What was implied by the version is named where features are.
    let implied = (existing.min_writer_version == 2).then(|| vec!["appendOnly".to_owned(), "invariants".to_owned()]);
    let writer = existing.writer_features.clone().or(implied);
    Protocol {
        min_reader_version: 3,
        min_writer_version: 7,
        reader_features: with(&existing.reader_features),
        writer_features: with(&writer),
    }
}

/// Makes sure that the table needs nothing that is not known here.
pub(in crate::lake) fn check_readable(protocol: &Protocol, table: &str) -> Result<()> {
    let unknown = match (protocol.min_reader_version, protocol.min_writer_version) {
        (..=1, ..=2) => None,
        (..=1 | 3, 7) => beyond(protocol.reader_features.as_ref(), READER).or_else(|| beyond(protocol.writer_features.as_ref(), WRITER)),
        (reader, writer) => Some(format!("the protocol of reader version {reader} and writer version {writer}")),
    };
    match unknown {
        None => Ok(()),
        Some(unknown) => Err(unfit(format!("the table {table} needs {unknown}, which Millrace does not know: load into another table"))),
    }
}

fn beyond(features: Option<&Vec<String>>, known: &[&str]) -> Option<String> {
    let unknown = features.into_iter().flatten().find(|feature| !known.contains(&feature.as_str()))?;
    Some(format!("the feature {unknown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_timestamps_need_more_than_the_oldest_readers_know() {
        let plain = needed(false, None);
        assert_eq!((plain.min_reader_version, plain.min_writer_version), (1, 2));
        let local = needed(true, Some(&plain));
        assert_eq!((local.min_reader_version, local.min_writer_version), (3, 7));
        assert_eq!(local.writer_features.as_deref().expect("has features"), ["appendOnly", "invariants", "timestampNtz"]);
        assert_eq!(needed(true, Some(&local)), local);
        assert_eq!(needed(false, Some(&local)), local);
    }

    #[test]
    fn a_table_that_needs_what_is_not_known_is_refused_by_name() {
        let vectors = Protocol { reader_features: Some(vec!["deletionVectors".into()]), ..needed(true, None) };
        let refused = check_readable(&vectors, "t").expect_err("is not known");
        assert!(refused.message().contains("deletionVectors"), "{refused}");
        let generated = Protocol { min_writer_version: 4, ..needed(false, None) };
        assert!(check_readable(&generated, "t").expect_err("is not known").message().contains("writer version 4"));
        assert!(check_readable(&needed(true, None), "t").is_ok());
    }
}
