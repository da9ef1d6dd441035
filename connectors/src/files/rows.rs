//! Where rows end in a file's text.

use millrace_runtime::formats::csv::Scanner;

/// Cuts text into rows: lines of NDJSON, or rows of CSV, which may have line ends within quotes.
#[derive(Debug)]
pub(super) enum Cutter {
    Lines,
    Csv { scanner: Box<Scanner>, scratch: Vec<u8> },
}

/// What stands at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// A row of so many bytes, its line end included.
    Whole(usize),
    /// A line that is longer than the limit.
    Overlong,
    /// The beginning of a row.
    Unfinished,
}

impl Cutter {
    pub(super) fn csv(delimiter: u8) -> Self {
        Self::Csv { scanner: Box::new(Scanner::new(delimiter)), scratch: Vec::new() }
    }

    /// The row at the beginning of `text`, which is not empty. `last` says that nothing will follow `text`.
    ///
    /// A row of several lines that does not end within `limit` bytes, or not at all, has a quote that nobody closed:
    /// then its first line is taken alone, so that the lines after it are not lost with it.
    pub(super) fn row(&mut self, text: &[u8], limit: usize, last: bool) -> Row {
        match self.end(text) {
            Some(end) if end <= limit => Row::Whole(end),
            None if !last && text.len() <= limit => Row::Unfinished,
            None if last && text.len() <= limit && self.ends_with_the_text(text) => Row::Whole(text.len()),
            _ => first_line(text, limit, last),
        }
    }

    fn end(&mut self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Lines => line_end(text),
            Self::Csv { scanner, .. } => scanner.row(text),
        }
    }

    fn ends_with_the_text(&mut self, text: &[u8]) -> bool {
        match self {
            Self::Lines => true,
            Self::Csv { scanner, scratch } => {
                scratch.clear();
                scratch.extend_from_slice(text);
                scratch.push(b'\n');
                scanner.row(scratch) == Some(scratch.len())
            }
        }
    }

    /// How many bytes at the beginning of `text` are no part of a row: the LF of a CRLF, and empty lines.
    pub(super) fn gap(&self, text: &[u8]) -> usize {
        let is_gap = |byte: &u8| match self {
            Self::Lines => byte.is_ascii_whitespace(),
            Self::Csv { .. } => matches!(byte, b'\r' | b'\n'),
        };
        text.iter().take_while(|byte| is_gap(byte)).count()
    }
}

fn first_line(text: &[u8], limit: usize, last: bool) -> Row {
    match line_end(text) {
        Some(end) if end <= limit => Row::Whole(end),
        None if last && text.len() <= limit => Row::Whole(text.len()),
        _ => Row::Overlong,
    }
}

/// The length of the first line, its LF included.
pub(super) fn line_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|&byte| byte == b'\n').map(|at| at + 1)
}

/// How many lines end in `text`.
pub(super) fn line_ends(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// A row without its line end.
pub(super) fn without_line_end(row: &[u8]) -> &[u8] {
    let end = row.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    &row[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_line_feed() {
        assert_eq!(Cutter::Lines.row(b"{}\n{}", 9, false), Row::Whole(3));
        assert_eq!(Cutter::Lines.row(b"{}", 9, false), Row::Unfinished);
        assert_eq!(Cutter::Lines.row(b"{}", 9, true), Row::Whole(2));
        assert_eq!(Cutter::Lines.row(b"0123456789\n", 9, false), Row::Overlong);
        assert_eq!(Cutter::Lines.row(b"0123456789", 9, true), Row::Overlong);
    }

    #[test]
    fn a_row_of_csv_may_have_line_ends_within_quotes() {
        let mut csv = Cutter::csv(b',');
        assert_eq!(csv.row(b"a,\"b\nc\"\nd", 20, false), Row::Whole(8));
        assert_eq!(csv.row(b"a,\"b\nc", 20, false), Row::Unfinished);
        assert_eq!(csv.row(b"a,\"b\nc\"", 20, true), Row::Whole(7));
    }

    #[test]
    fn a_quote_that_nobody_closes_costs_one_line() {
        let mut csv = Cutter::csv(b',');
        assert_eq!(csv.row(b"a,\"b\nc,d\ne,f", 20, true), Row::Whole(5));
        assert_eq!(csv.row(b"a,\"b\nc,d\ne,f\ng,h", 8, false), Row::Whole(5));
        assert_eq!(csv.row(b"a,\"bcdefgh\nc,d", 8, false), Row::Overlong);
    }
}
