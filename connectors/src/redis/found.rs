//! What a round found at its keys, and what that means for its changes. Decides; does nothing.

use std::collections::BTreeMap;

use super::changes::Change;
use super::config::Form;
use super::json;
use super::target::Target;
use crate::table_config::Mode;

/// The fields of a hash.
pub(super) type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A value of the type that the table's rows have.
    Row,
    /// A row as it is, where that matters: a hash.
    Fields(Fields),
    /// Likewise a string.
    Text(Vec<u8>),
    /// A value of another type, which `TYPE` names.
    Other(String),
}

/// What was found at the keys of a round, in the order of its changes.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) found: Vec<Found>,
    /// Where all rows go: their keys, and whether one is still there.
    pub(super) cleared: Vec<(Vec<u8>, bool)>,
}

impl Found {
    /// What the answer of `TYPE` means.
    pub(super) fn of(answer: String, target: &Target) -> Self {
        match answer.as_str() {
            "none" => Self::Nothing,
            name if name == target.value_type() => Self::Row,
            _ => Self::Other(answer),
        }
    }

    pub(super) fn is_row(&self) -> bool {
        matches!(self, Self::Row | Self::Fields(_) | Self::Text(_))
    }
}

/// Why a change can't be done.
pub(super) fn refusal(found: &Found, target: &Target) -> Option<String> {
    match found {
        Found::Other(found) => {
            Some(format!("its key holds a {found}, which is none of this table's rows ({}): it is left as it is", target.value_type()))
        }
        Found::Text(text) if target.form == Form::Json && !json::is_object(text) => {
            Some("its key holds text that is no JSON object: the columns that the record lacks can't be kept".into())
        }
        Found::Nothing | Found::Row | Found::Fields(_) | Found::Text(_) => None,
    }
}

/// Which of the changes can't be done, and why.
pub(super) fn refusals(facts: &Facts, target: &Target) -> Vec<Option<String>> {
    facts.found.iter().map(|found| refusal(found, target)).collect()
}

/// Whether a row comes to a key: not where the first one stays and is there.
pub(super) fn comes(change: &Change, found: &Found, mode: Mode) -> bool {
    change.writes() && !(mode == Mode::InsertIgnore && found.is_row())
}
