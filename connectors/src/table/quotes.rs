//! How a database quotes names.

/// What stands around a name, and twice inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// `"name"`, as SQL has it.
    Double,
    /// `` `name` ``, as MySQL has it whatever its modes are.
    Back,
}

impl Quotes {
    /// A name, whatever letters it has.
    pub(crate) fn name(self, name: &str) -> String {
        let quote = match self {
            Self::Double => '"',
            Self::Back => '`',
        };
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }

    /// Names with commas between them.
    pub(crate) fn list<'a>(self, names: impl IntoIterator<Item = &'a str>) -> String {
        names.into_iter().map(|name| self.name(name)).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_stays_inside_it() {
        assert_eq!(Quotes::Double.name("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(Quotes::Back.list(["a`b", "c\""]), "`a``b`, `c\"`");
    }
}
