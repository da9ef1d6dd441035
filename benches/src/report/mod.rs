//! What is kept of a run and printed.

mod compare;
mod figure;
mod finding;
mod machine;
mod median;
mod run_file;
mod table;

pub(crate) use compare::compare;
pub(crate) use figure::Figure;
pub(crate) use finding::Finding;
pub(crate) use run_file::RunFile;
pub(crate) use table::markdown;

/// The folder of the results.
pub(crate) const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");
