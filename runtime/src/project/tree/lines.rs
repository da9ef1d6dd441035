//! Lines as YAML counts them, and as everybody else does.

/// Where the lines of a YAML text begin. A carriage return alone ends one (YAML 1.2, 5.4), and none for editors and for what shows a line.
pub(super) struct Lines(Vec<Start>);

/// A line and a column that everybody counts so, from 1.
#[derive(Debug, Clone, Copy)]
struct Start {
    line: u32,
    column: u32,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut next = Start { line: 1, column: 1 };
        let mut starts = vec![next];
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let ends = character == '\n';
            next = if ends { Start { line: next.line + 1, column: 1 } } else { Start { column: next.column + 1, ..next } };
            if ends || (character == '\r' && characters.peek() != Some(&'\n')) {
                starts.push(next);
            }
        }
        Self(starts)
    }

    /// The line and the column of those that YAML counts.
    pub(super) fn counted(&self, line: u64, column: u64) -> (u32, u32) {
        let index = usize::try_from(line.max(1) - 1).unwrap_or(usize::MAX).min(self.0.len() - 1);
        let start = self.0[index];
        (start.line, start.column.saturating_add(u32::try_from(column.max(1) - 1).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carriage_return_alone_ends_no_line_that_people_count() {
        let lines = Lines::of("a\r\nb\rc\n\rd");
        assert_eq!([1, 2, 3, 4, 5].map(|line| lines.counted(line, 1)), [(1, 1), (2, 1), (2, 3), (3, 1), (3, 2)]);
        assert_eq!(lines.counted(3, 4), (2, 6));
        assert_eq!(lines.counted(9, 1), (3, 2), "the last one that is there");
    }
}
