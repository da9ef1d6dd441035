//! The lock file of pulled schemas: what each came from, so that drift is seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use millrace_model::{Code, Fault, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sections::SchemaOrigin;

/// The lock file, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaLock {
    /// The version of this format: 1.
    pub version: u32,
    /// The schemas that were pulled, by name.
    pub schemas: BTreeMap<String, Locked>,
}

/// A schema as it was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// What it came from.
    pub from: SchemaOrigin,
    /// The version of the subject that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The id of the schema in the registry that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// The hash of the file that was written: see [`hash`].
    pub hash: String,
}

impl SchemaLock {
    /// The lock in `file`; an empty one when there is no such file.
    ///
    /// # Errors
    /// [`Code::ProjectRead`], for an operator.
    pub fn read(file: &Path) -> Result<Self> {
        let unreadable = |message: &str| Fault::operator(Code::ProjectRead, format!("the lock file {} {message}", file.display()));
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { version: 1, ..Self::default() }),
            Err(error) => return Err(unreadable("can't be read").because(error)),
        };
        let again = "is no lock file: delete it, and `millrace schema pull` writes it anew";
        let lock: Self = serde_json::from_str(&text).map_err(|error| unreadable(again).because(error))?;
        if lock.version == 1 { Ok(lock) } else { Err(unreadable("was written by a newer Millrace: use that one")) }
    }

    /// The lock as it is written.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }
}

/// The hash of a schema file's text: `sha256:` and 64 hexadecimal digits.
pub fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |hash, byte| hash + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("millrace.lock");
        assert_eq!(SchemaLock::read(&file).expect("there is none").schemas, BTreeMap::new());
        let from = SchemaOrigin::Subject { name: "orders-value".into(), version: None };
        let locked = Locked { from, version: Some(3), id: Some(12), hash: hash("{}") };
        let lock = SchemaLock { version: 1, schemas: BTreeMap::from([("orders".to_owned(), locked)]) };
        fs::write(&file, lock.text()).expect("writes");
        assert_eq!(SchemaLock::read(&file).expect("reads"), lock);
        fs::write(&file, "orders").expect("writes");
        assert!(SchemaLock::read(&file).expect_err("is none").message().contains("schema pull"));
    }

    #[test]
    fn a_hash_is_that_of_the_text() {
        assert_eq!(hash(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
