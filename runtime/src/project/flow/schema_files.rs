//! The Avro schema files that a project names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_model::{Code, Schema};

use crate::project::document::read_text;
use crate::project::finding::Finding;
use crate::project::findings::Findings;
use crate::project::place::Place;

/// Reads each file once.
#[derive(Debug, Default)]
pub(super) struct SchemaFiles {
    read: BTreeMap<PathBuf, Option<Schema>>,
}

impl SchemaFiles {
    /// The schema in `file`, which is named at `place`. What is wrong with it is found once.
    pub(super) fn schema(&mut self, file: &Path, place: &Place, findings: &mut Findings) -> Option<Schema> {
        if let Some(known) = self.read.get(file) {
            return known.clone();
        }
        let schema = read(file, place, findings);
        self.read.insert(file.to_owned(), schema.clone());
        schema
    }
}

fn read(file: &Path, place: &Place, findings: &mut Findings) -> Option<Schema> {
    let text = match read_text(file) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("the schema file {} can't be read: {error}", file.display());
            findings.push(Finding::error(Code::ProjectRead, message).at(place.clone()));
            return None;
        }
    };
    let (file, text): (Arc<Path>, Arc<str>) = (Arc::from(file), text.into());
    findings.add_source(&file, &text);
    let result = serde_json::from_str(&text).map_err(|error| not_json(&file, &error));
    let schema = result.and_then(|avro| {
        let invalid = |fault: millrace_model::Fault| {
            Finding::error(fault.code(), format!("{}: {}", file.display(), detail(&fault))).help(fault.code().help().to_owned())
        };
        crate::codec::schema(avro).map_err(|fault| invalid(fault).at(place.clone()))
    });
    schema.map_err(|finding| findings.push(finding)).ok()
}

/// The fault's message and causes, without its code, which is shown beside it.
fn detail(fault: &millrace_model::Fault) -> String {
    let text = fault.to_string();
    let code = format!("{}: ", fault.code());
    text.strip_prefix(&code).unwrap_or(&text).to_owned()
}

fn not_json(file: &Arc<Path>, error: &serde_json::Error) -> Finding {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).max(1);
    let place = Place { file: Arc::clone(file), line: number(error.line()), column: number(error.column()), length: 1 };
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    Finding::error(Code::SchemaInvalid, format!("the schema file is not JSON: {reason}")).at(place)
}
