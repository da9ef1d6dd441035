//! What databases tell of their tables and queries, and of what a pipeline lacks there.

mod examined;
mod places;
mod postgres;
mod sqlite;
