//! Regular expressions over columns of text, compiled once.

use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;
use regex::Regex;

use super::error::{Compiled, StepError};
use super::wording::type_name;

/// A regular expression for one column of text.
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles the expression for the column of that name and type.
    pub(super) fn compile(column: &str, data_type: &DataType, matches: &str) -> Compiled<Self> {
        if data_type != &DataType::Utf8 {
            return Err(StepError::invalid(format!("pattern is for text; {column} is {}", type_name(data_type))));
        }
        let regex = Regex::new(matches).map_err(|error| StepError::invalid(format!("{matches} is no regular expression: {error}")))?;
        Ok(Self(regex))
    }

    /// For each value whether the expression matches it; null for null. The symbols of an enum are matched once each.
    pub(super) fn matches(&self, values: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        match values.as_dictionary_opt::<Int32Type>() {
            None => Ok(self.each(values.as_string())),
            Some(symbols) => {
                let each = self.each(cast(symbols.values(), &DataType::Utf8)?.as_string());
                Ok(take(&each, symbols.keys(), None)?.as_boolean().clone())
            }
        }
    }

    fn each(&self, values: &StringArray) -> BooleanArray {
        values.iter().map(|text| text.map(|text| self.0.is_match(text))).collect()
    }
}
