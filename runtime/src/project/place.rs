//! Places in the project's files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a file. Lines and columns count from 1, columns and lengths in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as a path from the working directory.
    pub file: Arc<Path>,
    /// The line.
    pub line: u32,
    /// The column in the line.
    pub column: u32,
    /// How many characters from there on are meant; 0 for the point itself.
    pub length: u32,
}

impl Place {
    /// The very beginning of a file.
    pub fn start(file: &Arc<Path>) -> Self {
        Self { file: Arc::clone(file), line: 1, column: 1, length: 0 }
    }

    /// The byte offset and length of the place in the file's text; the nearest that exist if the text is another by now.
    pub fn bytes(&self, text: &str) -> (usize, usize) {
        let start = offset(text, self.line, self.column);
        let length = text[start..].chars().take_while(|&c| c != '\n').take(self.length as usize).map(char::len_utf8).sum();
        (start, length)
    }

    /// The place of line `line` and column `column` of `value`, a text that this place is the YAML scalar of in `source`.
    ///
    /// Block, folded, quoted and plain scalars all keep the order of their visible characters, so the place is found by
    /// counting those.
    #[must_use]
    pub fn within(&self, source: &str, value: &str, line: u32, column: u32) -> Self {
        let target = offset(value, line, column);
        let before = value[..target].chars().filter(|c| !c.is_whitespace()).count();
        let start = self.bytes(source).0;
        let skipped = match_visible(&source[start..], before, quote(source, start));
        let (line, column) = line_and_column(source, start + skipped);
        Self { file: Arc::clone(&self.file), line, column, length: word_length(&source[start + skipped..]) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The quote that the scalar at `start` is in, if it is. A block scalar begins at its first visible character, which may be a
/// quote of its own: it has a line to itself.
fn quote(source: &str, start: usize) -> Option<char> {
    let before = source[..start].rsplit('\n').next().unwrap_or_default();
    let first = source[start..].chars().next().filter(|c| matches!(c, '"' | '\''));
    first.filter(|_| !before.trim().is_empty())
}

/// The byte offset in `text` of a line and column, or the nearest before it.
fn offset(text: &str, line: u32, column: u32) -> usize {
    let skipped = line.saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
    let in_line = text[start..].chars().take_while(|&c| c != '\n').take(column.saturating_sub(1) as usize);
    start + in_line.map(char::len_utf8).sum::<usize>()
}

fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    (line as u32, column as u32)
}

/// The offset in `raw`, the source of a scalar, of the visible character that has `before` visible ones before it.
fn match_visible(raw: &str, before: usize, quote: Option<char>) -> usize {
    let mut seen = 0;
    let mut chars = raw.char_indices().skip(usize::from(quote.is_some())).peekable();
    while let Some((at, c)) = chars.next() {
        let escaped = match quote {
            Some('"') if c == '\\' => chars.next().map(|(_, c)| c),
            Some('\'') if c == '\'' => chars.next_if(|&(_, c)| c == '\'').map(|(_, c)| c),
            _ => None,
        };
        let invisible = c.is_whitespace() || escaped.is_some_and(|c| matches!(c, 'n' | 't' | 'r' | ' ' | '\n'));
        if invisible {
            continue;
        }
        if seen == before {
            return at;
        }
        seen += 1;
    }
    raw.len()
}

/// How long the word, or the quoted text, is that `text` begins with; at least one character.
fn word_length(text: &str) -> u32 {
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.split_once(['\'', '\n'])).map(|(inner, _)| inner.chars().count() + 2);
    if let Some(quoted) = quoted {
        return quoted as u32;
    }
    let word = text.chars().take_while(|&c| c.is_alphanumeric() || c == '_').count();
    word.max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(source: &str, at: (u32, u32), value: &str, inside: (u32, u32)) -> (u32, u32, u32) {
        let scalar = Place { file: Arc::from(Path::new("a.yaml")), line: at.0, column: at.1, length: 1 };
        let place = scalar.within(source, value, inside.0, inside.1);
        (place.line, place.column, place.length)
    }

    #[test]
    fn a_place_in_a_plain_scalar_is_on_its_line() {
        assert_eq!(within("sql: SELECT nope FROM input", (1, 6), "SELECT nope FROM input", (1, 8)), (1, 13, 4));
        assert_eq!(within("filter: a = 'x y' OR b", (1, 9), "a = 'x y' OR b", (1, 5)), (1, 13, 5));
    }

    #[test]
    fn a_place_in_a_block_is_on_the_line_of_the_block() {
        assert_eq!(within("sql: |\n  SELECT a,\n    nope\n  FROM input\n", (2, 3), "SELECT a,\n  nope\nFROM input\n", (2, 3)), (3, 5, 4));
    }

    #[test]
    fn a_place_in_a_folded_scalar_is_found_in_spite_of_the_folding() {
        assert_eq!(within("sql: >-\n  SELECT a,\n  nope\n", (2, 3), "SELECT a, nope", (1, 11)), (3, 3, 4));
    }

    #[test]
    fn quotes_and_escapes_are_passed_over() {
        assert_eq!(within(r#"sql: "a\"b\n nope""#, (1, 6), "a\"b\n nope", (2, 2)), (1, 14, 4));
        assert_eq!(within("sql: 'it''s nope'", (1, 6), "it's nope", (1, 6)), (1, 13, 4));
        assert_eq!(within("sql: |\n  \"é\" nope\n", (2, 3), "\"é\" nope\n", (1, 5)), (2, 7, 4));
    }

    #[test]
    fn a_place_outside_the_text_is_the_nearest_one() {
        let place = Place { file: Arc::from(Path::new("a.yaml")), line: 9, column: 9, length: 9 };
        assert_eq!(place.bytes("ab\ncd"), (5, 0));
        assert_eq!(within("sql: x", (1, 6), "x", (7, 7)), (1, 7, 1));
    }
}
