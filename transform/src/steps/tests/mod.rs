//! What the steps do, said by SQL and rows.

mod fixture;
mod output;
mod property;
mod refusals;
mod rejections;
mod sql;
mod unions;
mod validate;
