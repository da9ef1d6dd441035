//! Tables at the terminal: a line under the header and nothing else drawn.

use comfy_table::{ContentArrangement, Table};

/// comfy-table's places for lines; only those under the header are drawn.
const HEADER_LINE: &str = "     ──            ";

/// An empty table with that header.
pub(crate) fn table<T: ToString>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_preset(HEADER_LINE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().map(|name| name.to_string()));
    table
}
