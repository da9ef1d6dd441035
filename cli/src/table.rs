//! Tables at the terminal: a line under the header and nothing else drawn.

use comfy_table::{ContentArrangement, Table};
use terminal_size::{Width, terminal_size_of};

/// comfy-table's places for lines; only those under the header are drawn.
const HEADER_LINE: &str = "     ──            ";

/// An empty table with that header: as wide as the terminal; as wide as it needs to be where the output goes elsewhere.
pub(crate) fn table<T: ToString>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table.load_preset(HEADER_LINE).set_content_arrangement(ContentArrangement::Disabled);
    if let Some((Width(width), _)) = terminal_size_of(std::io::stdout()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(header.into_iter().map(|name| name.to_string()));
    table
}
