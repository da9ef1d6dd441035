//! The commands, a file each.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod dead_letters;
pub(crate) mod dev;
pub(crate) mod positions;
pub(crate) mod query;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod topics;
