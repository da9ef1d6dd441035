//! What the steps do, said by SQL and rows.

pub(super) mod fixture;
mod output;
mod property;
mod refusals;
mod rejections;
mod sql;
mod unions;
mod validate;
