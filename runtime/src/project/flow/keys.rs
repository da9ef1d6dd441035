//! The columns that keys are made of.

use arrow::datatypes::DataType;
use millrace_model::{Code, Schema};

use super::check::{Checker, Named, error};
use super::{Problem, unions};
use crate::project::finding::Finding;
use crate::project::kind::Kind;
use crate::project::sections::{Key, Output, Topic};

impl<C> Checker<'_, C> {
    /// The key that the pipeline makes: its own, or the topic's.
    pub(super) fn key(&mut self, named: &Named<'_, C>, output: &Output, schema: &Schema) -> Option<Key> {
        if let Some(key) = &output.key {
            self.key_columns(key, schema, &[named.section, named.name, "to", "key"]);
            return Some(key.clone());
        }
        let declared = self.shared.declared.get(&output.topic)?;
        let Some(key) = declared.key.clone() else {
            if named.pipeline.input().is_none() && is_compacted(declared) {
                self.problem(named, keyless(&output.topic));
            }
            return None;
        };
        if declared.schema.is_none() {
            self.key_columns(&key, schema, &["topics", &output.topic, "key"]);
        }
        Some(key)
    }

    /// Looks at each column of the key that is written at `at`.
    pub(super) fn key_columns(&mut self, key: &Key, schema: &Schema, at: &[&str]) {
        for (number, column) in key.columns().iter().enumerate() {
            let twice = key.columns()[..number].contains(column).then(|| doubled(column));
            let null = || (key.columns().len() == 1 && is_nullable_text(column, schema)).then(|| nullable(column));
            if let Some(finding) = twice.or_else(|| column_fault(column, schema)).or_else(null) {
                let number = number.to_string();
                let path = at.iter().copied().chain([number.as_str()]);
                self.findings.push(finding.at(self.document.locate(path)));
            }
        }
    }
}

fn is_compacted(topic: &Topic) -> bool {
    topic.config.get("cleanup.policy").is_some_and(|policy| policy.as_str().contains("compact"))
}

/// Kafka refuses records without a key in a compacted topic.
fn keyless(topic: &str) -> Problem {
    let problem = error(&["to"], format!("the topic `{topic}` is compacted, and the pipeline writes records without a key"));
    problem
        .kind(Kind::BadKey)
        .expected("`key:`".to_owned())
        .help("set `key:` here or under `topics:`; Kafka keeps the last record of each key".to_owned())
}

fn doubled(column: &str) -> Finding {
    Finding::error(Code::ProjectFlow, format!("`{column}` is in the key twice")).kind(Kind::BadKey).help("name it once".to_owned())
}

/// What is wrong with a column as a part of a key.
fn column_fault(column: &str, schema: &Schema) -> Option<Finding> {
    let Some(field) = schema.field(column) else { return Some(unknown(column, schema)) };
    if let Some(branches) = unions::branches(&field["type"]) {
        let message = format!("the key column `{column}` is a union of {branches}, which makes no key");
        let finding = Finding::error(Code::ProjectFlow, message).kind(Kind::UnionTouched).expected("a column of one type".to_owned());
        return Some(finding.help("name another column".to_owned()));
    }
    None
}

fn unknown(column: &str, schema: &Schema) -> Finding {
    let columns = schema.fields().iter().filter_map(|field| field["name"].as_str());
    let finding = Finding::error(Code::ProjectFlow, format!("there is no column `{column}` to make the key of"));
    finding.kind(Kind::UnknownColumn).meant(column, "columns", columns)
}

fn nullable(column: &str) -> Finding {
    let message = format!("the key column `{column}` may be null, and a record without a key value becomes a dead letter");
    let finding = Finding::warning(Code::ProjectAdvice, message).kind(Kind::NullableKey).expected("a column that is never null".to_owned());
    finding.help("make the column non-nullable, drop such records with a filter, or name another column".to_owned())
}

/// Whether null would have to be written as the text that a key of one such column is.
fn is_nullable_text(column: &str, schema: &Schema) -> bool {
    schema.arrow().field_with_name(column).is_ok_and(|field| field.is_nullable() && *field.data_type() == DataType::Utf8)
}
