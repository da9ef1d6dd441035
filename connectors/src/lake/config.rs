//! Where a lake is, and how its files are written.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::{ByteSize, PathOrUrl, Resilience};
use millrace_runtime::resilience::{Link, System};
use parquet::basic::{Compression as Codec, ZstdLevel};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::objects::{ObjectStoreConfig, Scheme, StoreUrl};

/// A folder of tables, each a Delta Lake table: Parquet files, and a log that says which of them are the table.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Lake")]
pub struct Config {
    /// The folder that the tables are in: a path on this machine, or `s3://bucket/folder`, `az://container/folder`,
    /// `abfss://container@account.dfs.core.windows.net/folder`, `gs://bucket/folder`.
    pub url: PathOrUrl,
    /// How the object store is reached. Without it, as the environment says.
    #[serde(default)]
    pub store: Option<ObjectStoreConfig>,
    /// How columns are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// A file that has grown to this is closed, and rows go on in another one. How often files are published is the pipeline's
    /// `commit_interval`.
    #[serde(default = "file_size")]
    pub file_size: ByteSize,
    /// How patient Millrace is with it.
    #[serde(default)]
    pub resilience: Resilience,
}

/// Each request to a store is guarded by itself. What makes one file of all parts of a large one takes its time.
static LAKE: System = System {
    name: "the lake",
    kind: "lake",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(10),
    request: Duration::from_mins(2),
};

const fn file_size() -> ByteSize {
    ByteSize::new(128 << 20)
}

/// How the columns of a Parquet file are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LakeCompression")]
pub enum Compression {
    /// Small and fast to read.
    #[default]
    Zstd,
    /// Larger and faster to write; what the oldest readers know.
    Snappy,
    /// Not.
    None,
}

impl Compression {
    pub(super) fn codec(self) -> Codec {
        match self {
            Self::Zstd => Codec::ZSTD(ZstdLevel::default()),
            Self::Snappy => Codec::SNAPPY,
            Self::None => Codec::UNCOMPRESSED,
        }
    }
}

impl Config {
    /// The way to the store.
    pub fn link(&self) -> &Link {
        self.resilience.link(&LAKE)
    }

    /// What makes the place impossible, told without I/O.
    pub(super) fn check_place(&self) -> Result<()> {
        let place = self.url.as_str();
        if self.url.path().is_some() {
            let needless = format!("`{place}` is a path on this machine, which needs no `store`");
            return if self.store.is_none() { Ok(()) } else { Err(Fault::operator(Code::ProjectFlow, needless)) };
        }
        let url = StoreUrl::parse(place)?;
        if url.scheme == Scheme::Http {
            let message = "an HTTP server can't put a file only where there is none, which is what makes a lake exactly once: use the store's own URL (s3, az, abfss, gs)";
            return Err(Fault::operator(Code::ProjectFlow, message));
        }
        if self.store.as_ref().is_some_and(|store| *store.resilience() != Resilience::default()) {
            let message = "a lake is reached with the patience of its connection: move `resilience` out of `store`, beside `url`";
            return Err(Fault::operator(Code::ProjectFlow, message));
        }
        crate::objects::open_by(self.link().clone(), &url, self.store.as_ref()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(settings: Value) -> Result<()> {
        serde_json::from_value::<Config>(settings).expect("reads").check_place()
    }

    #[test]
    fn a_lake_is_a_folder_or_a_place_in_an_object_store() {
        assert!(checked(json!({ "url": "lake" })).is_ok());
        assert!(checked(json!({ "url": "s3://bucket/lake", "store": { "s3": { "region": "eu-central-1" } } })).is_ok());
    }

    #[test]
    fn a_place_that_can_not_be_exactly_once_is_refused() {
        let fault = checked(json!({ "url": "https://files.example/lake" })).expect_err("is refused");
        assert!(fault.message().contains("exactly once"), "{fault}");
        assert!(checked(json!({ "url": "lake", "store": { "s3": {} } })).is_err());
    }

    #[test]
    fn patience_is_that_of_the_connection() {
        let patience = json!({ "retry": { "attempts": 2 } });
        assert!(checked(json!({ "url": "s3://bucket/lake", "resilience": patience })).is_ok());
        let fault = checked(json!({ "url": "s3://bucket/lake", "store": { "s3": { "resilience": patience } } })).expect_err("is another");
        assert!(fault.message().contains("beside `url`"), "{fault}");
    }
}
