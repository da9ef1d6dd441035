//! The statements that bring rows into a table, or take rows out of it.
//!
//! `ON DUPLICATE KEY` means any unique index: a row that has what another row of the table has in one that is not the keys' would change that
//! other row. So the keys of a row that is found must be those of the row that comes; where they are not, a sum that is too large for any number
//! is asked for, and the statement is refused ([`is_of_another_row`]). `INSERT IGNORE` and `LOAD DATA LOCAL` are of no use here: they turn what
//! is refused into warnings.

use arrow::datatypes::FieldRef;

use super::target::Loaded;
use super::types::Form;
use crate::table::{Change, Quotes, Target};
use crate::table_config::Mode;

/// The largest number that the server reckons with.
const LARGEST: &str = "18446744073709551615";

/// How many values go into one statement. More make nothing faster; a server takes 65,535.
const VALUES: usize = 4096;

/// The statements for the rows of one batch.
pub(super) enum Statements {
    /// One for many rows: what stands before the rows, what stands for each, and what stands after them.
    Many { head: String, row: String, columns: usize, tail: String },
    /// Rows that lack columns which take no null, one at a time: those columns are left as they are, so an `UPDATE` comes first. Only where it
    /// finds no row is one inserted: a column that takes no null would refuse an `INSERT` even of a row that is there.
    Each { update: Update, insert: String },
}

/// An `UPDATE`, and which of a row's columns its parameters are.
pub(super) struct Update {
    pub(super) sql: String,
    pub(super) parameters: Vec<usize>,
}

/// The columns of a batch on their way into a table.
pub(super) struct Columns<'a> {
    target: &'a Target,
    loaded: &'a [Loaded],
    table: &'a str,
    names: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    /// Those of `fields`, into `table`.
    pub(super) fn of(target: &'a Target, loaded: &'a [Loaded], table: &'a str, fields: &'a [FieldRef]) -> Self {
        Self { target, loaded, table, names: fields.iter().map(|field| field.name().as_str()).collect() }
    }

    /// What does `change` by them.
    pub(super) fn statements(&self, change: Change) -> Statements {
        match change {
            Change::Deletions => self.deletion(),
            Change::Rows if self.target.table.mode == Mode::Mirror && self.lacking().any(|column| column.required) => self.each(),
            Change::Rows => self.insertion(),
        }
    }

    fn deletion(&self) -> Statements {
        let (table, columns) = (self.table, self.list(&self.names));
        let row = match self.names.as_slice() {
            [name] => self.compared(name).to_owned(),
            names => format!("({})", names.iter().map(|name| self.compared(name)).collect::<Vec<_>>().join(",")),
        };
        let columns_of_row = if self.names.len() == 1 { columns } else { format!("({columns})") };
        Statements::Many {
            head: format!("DELETE FROM {table} WHERE {columns_of_row} IN ("),
            row,
            columns: self.names.len(),
            tail: ")".into(),
        }
    }

    /// A mirrored row may lack columns: a new one has null there, one that is there keeps what it has.
    fn insertion(&self) -> Statements {
        let lacking: Vec<&str> =
            if self.target.table.mode == Mode::Mirror { self.lacking().map(|column| column.name.as_str()).collect() } else { Vec::new() };
        let names: Vec<&str> = self.names.iter().copied().chain(lacking.iter().copied()).collect();
        let values: Vec<&str> = self.names.iter().map(|_| "?").chain(lacking.iter().map(|_| "NULL")).collect();
        Statements::Many {
            head: format!("INSERT INTO {} ({}) VALUES ", self.table, self.list(&names)),
            row: format!("({})", values.join(",")),
            columns: self.names.len(),
            tail: self.on_duplicate(),
        }
    }

    fn on_duplicate(&self) -> String {
        let mode = self.target.table.mode;
        let Some(first) = self.target.table.keys.first().filter(|_| mode.is_keyed()) else { return String::new() };
        let first = Quotes::Back.name(first);
        let too_large = format!("{LARGEST} + (1 + CHAR_LENGTH(VALUES({first})))");
        let mut set = vec![format!("{first} = IF({}, {first}, IF({too_large} > 0, NULL, NULL))", self.own_row())];
        if mode != Mode::InsertIgnore {
            let others = self.names.iter().filter(|name| !self.target.is_key(name)).map(|name| Quotes::Back.name(name));
            set.extend(others.map(|name| format!("{name} = VALUES({name})")));
        }
        format!(" ON DUPLICATE KEY UPDATE {}", set.join(", "))
    }

    /// That the row that is there has the keys of the one that comes.
    fn own_row(&self) -> String {
        let same = self.target.table.keys.iter().map(|key| Quotes::Back.name(key)).map(|key| format!("{key} = VALUES({key})"));
        same.collect::<Vec<_>>().join(" AND ")
    }

    fn each(&self) -> Statements {
        let (keys, others): (Vec<usize>, Vec<usize>) = (0..self.names.len()).partition(|&number| self.target.is_key(self.names[number]));
        let key = |&number: &usize| format!("{} = {}", Quotes::Back.name(self.names[number]), self.compared(self.names[number]));
        let mut set: Vec<String> = others.iter().map(|&number| format!("{} = ?", Quotes::Back.name(self.names[number]))).collect();
        if set.is_empty() {
            set.extend(self.target.table.keys.first().map(|key| format!("{0} = {0}", Quotes::Back.name(key))));
        }
        let same_key: Vec<String> = keys.iter().map(key).collect();
        let update = format!("UPDATE {} SET {} WHERE {}", self.table, set.join(", "), same_key.join(" AND "));
        let values = vec!["?"; self.names.len()].join(",");
        Statements::Each {
            update: Update { sql: update, parameters: others.into_iter().chain(keys).collect() },
            insert: format!("INSERT INTO {} ({}) VALUES ({values})", self.table, self.list(&self.names)),
        }
    }

    /// The columns of the schema that the batch does not have.
    fn lacking(&self) -> impl Iterator<Item = &Loaded> {
        self.loaded.iter().filter(|column| self.names.iter().all(|name| *name != column.name))
    }

    /// What stands for a value that a column is compared with: a decimal would be compared as a float with a text.
    fn compared(&self, name: &str) -> &'static str {
        match self.loaded.iter().find(|column| column.name == name).map(|column| column.form) {
            Some(Form::Decimal { .. }) => "CAST(? AS DECIMAL(65,30))",
            Some(Form::Date) => "CAST(? AS DATE)",
            Some(Form::Time(_)) => "CAST(? AS TIME(6))",
            Some(Form::Timestamp { .. }) => "CAST(? AS DATETIME(6))",
            Some(Form::Plain | Form::Float | Form::UuidBytes) | None => "?",
        }
    }

    fn list(&self, names: &[&str]) -> String {
        self.target.quotes.list(names.iter().copied())
    }
}

impl Statements {
    /// How many rows one statement takes.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Many { columns, .. } => (VALUES / columns.max(&1)).max(1),
            Self::Each { .. } => 1,
        }
    }
}

/// Whether the server's words are about a row that has what a row of other keys has in a unique index.
pub(super) fn is_of_another_row(words: &str) -> bool {
    words.contains(LARGEST)
}

/// The text of a statement for so many rows.
pub(super) fn text(head: &str, row: &str, rows: usize, tail: &str) -> String {
    format!("{head}{}{tail}", vec![row; rows].join(","))
}
