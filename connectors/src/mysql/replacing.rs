//! The tables of a replacement beside its target.

use std::hash::Hasher;
use std::sync::Arc;

use fnv::FnvHasher;
use millrace_model::{LoadBound, Result};
use sqlx::mysql::MySqlConnection;

use super::server::Server;
use super::target::{ColumnType, Loaded, OPTIONS, change_columns, columns, ensure, hold, keep, let_go};
use super::types::{Form, Limit};
use crate::table::{Alignment, Quotes, Replacing, Target};
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
    Replacing::check(&target.schema)?;
    let replacing = Replacing::of(target, |table| Quotes::Back.name(table));
    let name = format!("varchar({NAME}) COLLATE {}", server.exact_collation);
    ensure(connection, ENDS, &(replacing.ends_definition(&name).1 + OPTIONS)).await?;
    let loading = definition(&replacing, columns);
    ensure(connection, &Replacing::loading_table(target), &loading).await?;
    align(connection, &replacing, target).await?;
    Ok(Some(replacing))
}

/// Makes loading rows take what the target takes of the schema: at once, for definitions commit by themselves.
pub(super) async fn align(connection: &mut MySqlConnection, replacing: &Replacing, target: &Target) -> Result<()> {
    let mut tried = None;
    while let Some(sql) = alignment(connection, replacing, target).await?.filter(|sql| tried.as_ref() != Some(sql)) {
        if !change_columns(connection, &replacing.loading, &sql).await? {
            tried = Some(sql);
        }
    }
    Ok(())
}

/// The names of the columns that loading rows bring into the target, in the transaction at hand.
pub(super) async fn carried(connection: &mut MySqlConnection, target: &Target) -> Result<Vec<String>> {
    keep(connection, &target.name).await?;
    let now = columns(connection, &target.table.table).await?;
    let loading = columns(connection, &Replacing::loading_table(target)).await?;
    Ok(Replacing::carried(&target.schema, &now, &loading))
}

/// The statement that aligns the columns of loading rows with the target's.
async fn alignment(connection: &mut MySqlConnection, replacing: &Replacing, target: &Target) -> Result<Option<String>> {
    hold(connection, &target.name).await?;
    keep(connection, &replacing.loading).await?;
    let now = columns(connection, &target.table.table).await?;
    let loading = columns(connection, &Replacing::loading_table(target)).await?;
    let_go(connection).await?;
    let same = |one: &ColumnType, other: &ColumnType| one.in_full() == other.in_full();
    let actions: Vec<String> = Replacing::alignment(&target.schema, &now, &loading, same).iter().map(action).collect();
    Ok((!actions.is_empty()).then(|| format!("ALTER TABLE {} {}", replacing.loading, actions.join(", "))))
}

fn action(needed: &Alignment<'_, ColumnType>) -> String {
    let (verb, column) = match needed {
        Alignment::Add(column) => ("ADD", column),
        Alignment::Retype(column) | Alignment::TakeNull(column) => ("MODIFY", column),
    };
    format!("{verb} COLUMN {} {} NULL", Quotes::Back.name(&column.name), column.declared.in_full())
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
