//! The tables of a replacement beside its target.

use std::hash::Hasher;
use std::sync::Arc;

use fnv::FnvHasher;
use millrace_model::{LoadBound, Result};
use sqlx::mysql::MySqlConnection;

use super::server::Server;
use super::target::{Loaded, OPTIONS, ensure};
use super::types::{Form, Limit};
use crate::table::{Quotes, Replacing, Target, unfit};
use crate::table_config::Mode;

const ENDS: &str = "millrace_loads";
/// How many characters of a load's name are a key.
const NAME: usize = 255;

/// Makes what a replacement needs, where the target is replaced. Rows of a load have the types that the target's columns have.
pub(super) async fn open(
    connection: &mut MySqlConnection,
    server: &Server,
    target: &Target,
    columns: &[Loaded],
) -> Result<Option<Replacing>> {
    if target.table.mode != Mode::Replace {
        return Ok(None);
    }
    if let Some(taken) = Replacing::taken(&target.schema) {
        return Err(unfit(format!("a column can't be named {taken:?} in mode: replace: rename it")));
    }
    let replacing = Replacing::of(target, |table| Quotes::Back.name(table));
    let name = format!("varchar({NAME}) COLLATE {}", server.exact_collation);
    ensure(connection, ENDS, &(replacing.ends_definition(&name).1 + OPTIONS)).await?;
    let loading = definition(&replacing, columns);
    ensure(connection, &loading_table(target), &loading).await?;
    Ok(Some(replacing))
}

/// The table of loading rows.
pub(super) fn loading_table(target: &Target) -> String {
    format!("{}__loading", target.table.table)
}

fn definition(replacing: &Replacing, columns: &[Loaded]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("{} {}", Quotes::Back.name(&column.name), column.declaration)).collect();
    // Loaders that fill different partitions find their own rows without touching those of others.
    let index = Quotes::Back.list(Replacing::mark_names());
    let (columns, marks) = (columns.join(", "), Replacing::marks());
    format!("CREATE TABLE IF NOT EXISTS {} ({columns}, {marks}, INDEX ({index})){OPTIONS}", replacing.loading)
}

/// The columns of loading rows.
pub(super) fn with_marks(mut columns: Vec<Loaded>) -> Vec<Loaded> {
    columns.extend(Replacing::mark_names().map(|name| Loaded {
        name: name.to_owned(),
        form: Form::Plain,
        limit: Limit::None,
        required: true,
        declaration: String::new(),
    }));
    columns
}

/// The bound of a load whose name is no longer than a key can be.
pub(super) fn storable(bound: &LoadBound) -> LoadBound {
    if bound.load.chars().count() <= NAME {
        return bound.clone();
    }
    let mut hash = FnvHasher::default();
    hash.write(bound.load.as_bytes());
    let begin: String = bound.load.chars().take(NAME - 20).collect();
    LoadBound { load: Arc::from(format!("{begin} … {:016x}", hash.finish())), ..bound.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Edge, Origin, Record, RecordsBuilder};

    #[test]
    fn a_load_with_a_long_name_is_told_from_others_that_begin_alike() {
        let mut records = RecordsBuilder::new("t".into(), 1);
        records.push(&Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value: None, headers: &[] });
        let origin = Origin::all(Arc::new(records.finish()));
        let named = |load: String| storable(&LoadBound { edge: Edge::End, load: load.into(), origin: origin.clone(), partitions: 1 }).load;
        let long = "ż".repeat(300);
        let (one, other) = (named(format!("{long}1")), named(format!("{long}2")));
        assert!(one != other && one.chars().count() <= NAME, "{one}");
        assert_eq!(&*named("2026-11-21".into()), "2026-11-21");
    }
}
