//! What a target has of what a pipeline needs: read without changing anything.

use super::Misfit;

/// A pipeline's table in its target, compared with what the pipeline needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// The table's name as SQL has it, quoted.
    pub table: String,
    /// What does not exist yet, in the order in which it is made: the schema, the table of positions, the table.
    pub missing: Vec<Definition>,
    /// How the table does not fit, where it exists.
    pub misfits: Vec<Misfit>,
    /// What the connection's user may not do and has to, as `GRANT` names it: `INSERT ON public.orders`.
    pub denied: Vec<String>,
    /// What the owner of the load should know of the server.
    pub advice: Vec<Advice>,
}

/// Something that a target is to have, and the statement that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `table`, `schema`.
    pub kind: &'static str,
    /// Its name as SQL has it, quoted.
    pub name: String,
    /// The statement.
    pub sql: String,
}

/// What a server promises less than a load might count on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What the server does: it follows the connection's name.
    pub what: String,
    /// What can be done about it.
    pub remedy: String,
}
