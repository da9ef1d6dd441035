//! A table as its log has it at one version.

use std::collections::BTreeMap;

use super::entry::{Add, Entry, MetaData, Protocol, Remove, Txn};

/// What of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lake) enum Contents {
    /// What a writer needs: columns and positions.
    Facts,
    /// The files as well, which may be many.
    All,
}

/// A table at one version; -1 where there is none.
#[derive(Debug, Clone)]
pub(in crate::lake) struct Snapshot {
    pub(in crate::lake) version: i64,
    pub(in crate::lake) protocol: Option<Protocol>,
    pub(in crate::lake) metadata: Option<MetaData>,
    pub(super) applications: BTreeMap<String, Txn>,
    pub(super) files: Option<Files>,
}

/// The files of a table, and those that were.
#[derive(Debug, Clone, Default)]
pub(in crate::lake) struct Files {
    pub(super) live: BTreeMap<String, Add>,
    pub(super) removed: BTreeMap<String, Remove>,
}

impl Snapshot {
    pub(super) fn new(contents: Contents) -> Self {
        let files = (contents == Contents::All).then(Files::default);
        Self { version: -1, protocol: None, metadata: None, applications: BTreeMap::new(), files }
    }

    pub(super) fn contents(&self) -> Contents {
        if self.files.is_some() { Contents::All } else { Contents::Facts }
    }

    /// Takes an entry in, in the log's order.
    pub(in crate::lake) fn apply(&mut self, entry: Entry) {
        let Entry { protocol, meta_data, txn, add, remove, commit_info: _ } = entry;
        self.protocol = protocol.or_else(|| self.protocol.take());
        self.metadata = meta_data.or_else(|| self.metadata.take());
        self.applications.extend(txn.map(|txn| (txn.app_id.clone(), txn)));
        let Some(files) = &mut self.files else { return };
        if let Some(add) = add {
            files.removed.remove(&add.path);
            files.live.insert(add.path.clone(), add);
        }
        if let Some(remove) = remove {
            files.live.remove(&remove.path);
            files.removed.insert(remove.path.clone(), remove);
        }
    }

    /// How far an application has written.
    pub(in crate::lake) fn application(&self, id: &str) -> Option<i64> {
        self.applications.get(id).map(|txn| txn.version)
    }

    /// Whether a path is that of a file which is, or was, a part of the table.
    pub(in crate::lake) fn knows(&self, path: &str) -> bool {
        self.files.as_ref().is_some_and(|files| files.live.contains_key(path) || files.removed.contains_key(path))
    }
}
