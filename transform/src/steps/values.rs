//! Values as they are shown in reasons.

use arrow::array::ArrayRef;
use arrow::util::display::array_value_to_string;

/// Longer values are cut: reasons go into headers and logs.
const SHOWN: usize = 60;

/// The value of one row, shortened.
pub(super) fn shown(values: &ArrayRef, row: usize) -> String {
    if values.is_null(row) {
        return "null".to_owned();
    }
    array_value_to_string(values, row).map_or_else(|_| "a value that can't be shown".to_owned(), |text| shortened(&text))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
