//! Mending a record before it goes its way again.

mod assign;
mod encode;
mod merge;

use millrace_model::{Code, Fault, Result, Schema};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::registry::Registry;
use serde_json::Value;

use crate::values;

pub use self::assign::Assignments;

/// What is changed of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// A JSON merge patch (RFC 7396) of its value.
    Merge(Value),
    /// SQL assignments to columns of its value, such as `amount = abs(amount), note = 'mended'`.
    Assign(Assignments),
    /// Another value in the place of its own: text as it stands, or JSON that becomes Avro of the pipeline's input.
    Replace(Vec<u8>),
}

impl Patch {
    /// A merge patch when it is a JSON object, else assignments.
    ///
    /// # Errors
    /// [`Code::SurgeryInvalid`] when it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Assignments::parse(text).map(Self::Assign);
        }
        let patch = serde_json::from_str(text);
        patch.map(Self::Merge).map_err(|error| Fault::operator(Code::SurgeryInvalid, "the patch is not valid JSON").because(error))
    }

    /// The patch as a mark tells it.
    pub fn told(&self) -> String {
        match self {
            Self::Merge(patch) => format!("patched with {patch}"),
            Self::Assign(assignments) => format!("patched with {assignments}"),
            Self::Replace(value) => format!("its value replaced by one of {} bytes", value.len()),
        }
    }

    /// The letter with its value changed. `input` is the topic that the pipeline reads, with its schema, if it reads one.
    ///
    /// # Errors
    /// [`Code::PatchUnfit`] when the value can't be read, or does not fit its schema afterwards.
    pub async fn apply(&self, mut letter: DeadLetter, input: Option<(&str, &Schema)>, registry: &Registry) -> Result<DeadLetter> {
        letter.value = Some(match (self, input) {
            (Self::Replace(value), Some((topic, schema))) if is_object(value) => encode::object(value, topic, schema, registry).await?,
            (Self::Replace(value), _) => value.clone(),
            (Self::Merge(patch), _) => merge::merged(patch, &letter, registry).await?,
            (Self::Assign(assignments), _) => assignments.applied(&letter, registry).await?,
        });
        Ok(letter)
    }
}

fn is_object(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"{")
}

/// The letter's value as Avro of the schema that it was written with, if it is that.
async fn avro_of(letter: &DeadLetter, registry: &Registry) -> Result<Option<values::Avro>> {
    let mut values = values::read(&[letter], registry).await?;
    Ok(values.avro.pop().filter(|avro| !avro.letters.is_empty()))
}

fn unfit(reason: impl Into<String>) -> Fault {
    Fault::operator(Code::PatchUnfit, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_a_merge_patch_and_anything_else_assignments() {
        assert_eq!(Patch::parse(" { \"a\": null }").expect("a patch"), Patch::Merge(json!({ "a": null })));
        assert!(matches!(Patch::parse("a = 1, b = upper(b)").expect("a patch"), Patch::Assign(_)));
        for wrong in ["{", "a", "a = ", "x.y = 1", "a = 1; DROP TABLE t", "a = 1 WHERE b", ""] {
            assert_eq!(Patch::parse(wrong).expect_err(wrong).code(), Code::SurgeryInvalid, "{wrong}");
        }
    }
}
