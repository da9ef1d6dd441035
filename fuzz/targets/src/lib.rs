//! What the fuzzers do with bytes from outside, one function for each kind of input. Each panics where a promise is broken: nothing that
//! comes from outside may panic, hang or take memory without end, a record is a row or a rejection and never both or neither, and what
//! lies beside a bad one stays as it is.
//!
//! cargo-fuzz calls them with instrumentation (`scripts/fuzz.sh`), and `tests/corpora.rs` with the kept corpora.

mod avro;
mod bodies;
mod container;
mod csv;
mod json;
mod letters;
mod project;
mod registry;
mod samples;

pub use avro::avro;
pub use bodies::bodies;
pub use container::container;
pub use csv::csv;
pub use json::json;
pub use letters::letters;
pub use project::project;
pub use registry::registry;

/// A fuzzer's function.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 8] = [
    ("avro", avro),
    ("bodies", bodies),
    ("container", container),
    ("csv", csv),
    ("json", json),
    ("letters", letters),
    ("project", project),
    ("registry", registry),
];
