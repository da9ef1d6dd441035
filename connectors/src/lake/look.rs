//! What a lake has of what a pipeline needs, and the making of what it lacks.

use millrace_model::{Code, Fault, Result, Schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::config::Config;
use super::layout::Target;
use super::log::{self, Appended, Contents, Entry, FOLDER};
use super::place::Place;
use crate::table::{Definition, Examined, unfit};
use crate::table_config::TableConfig;

/// A version that a table is to be given.
#[derive(Debug, Serialize, Deserialize)]
struct Version {
    table: String,
    version: i64,
    entries: Vec<Entry>,
}

impl Version {
    fn definition(self, kind: &'static str, name: String) -> Result<Definition> {
        let sql = serde_json::to_string(&self).map_err(|error| Fault::fatal(Code::Internal, "describing a table").because(error))?;
        Ok(Definition { kind, name, sql })
    }
}

pub(super) async fn examine(config: &Config, table: &TableConfig, schema: &Schema) -> Result<Examined> {
    let place = Place::find(config, &table.table)?;
    let name = place.as_ref().map_or_else(|| format!("{}/{}", config.url.as_str(), table.table), |place| place.name().to_owned());
    let target = Target::new(table, schema, name.clone());
    let snapshot = match &place {
        Some(place) => log::read(place, Contents::Facts).await?,
        None => None,
    };
    let mut examined = Examined { table: name.clone(), ..Examined::default() };
    let Some(snapshot) = snapshot else {
        let (protocol, metadata) = target.fresh()?;
        let entries = vec![Entry::of_protocol(protocol), Entry::of_metadata(metadata)];
        let version = Version { table: table.table.clone(), version: 0, entries };
        examined.missing.push(version.definition("table", name)?);
        return Ok(examined);
    };
    let compared = target.compare(&snapshot)?;
    if !compared.missing.is_empty() {
        let (protocol, metadata) = target.grown(&snapshot, &compared.missing)?;
        let entries = protocol.map(Entry::of_protocol).into_iter().chain([Entry::of_metadata(metadata)]).collect();
        let version = Version { table: table.table.clone(), version: snapshot.version + 1, entries };
        let columns: Vec<&str> = compared.missing.iter().map(|field| field.name().as_str()).collect();
        examined.missing.push(version.definition("columns", format!("{name}: {}", columns.join(", ")))?);
    }
    examined.misfits = compared.misfits;
    Ok(examined)
}

/// Reads a file that need not be there.
pub(super) async fn probe(config: &Config) -> Result<()> {
    match Place::find(config, "")? {
        Some(place) => place.get("_millrace").await.map(drop),
        None => Ok(()),
    }
}

pub(super) async fn define(config: &Config, statements: &[String]) -> Result<()> {
    for statement in statements {
        let Version { table, version, entries } = serde_json::from_str(statement)
            .map_err(|error| unfit("a lake is defined by versions of its tables' logs, as `millrace apply` shows them").because(error))?;
        let place = Place::make(config, &table)?;
        if log::append(&place, version, &entries, Uuid::new_v4()).await? == Appended::Taken {
            let message = format!("the table {} has changed meanwhile: run `millrace apply` again", place.name());
            return Err(Fault::operator(Code::TargetSchema, message));
        }
    }
    Ok(())
}

pub(super) async fn drop_table(config: &Config, table: &str) -> Result<()> {
    let Some(place) = Place::find(config, table)? else { return Ok(()) };
    for folder in [FOLDER, ""] {
        for (file, _) in place.list(folder, None).await? {
            place.delete(&file).await?;
        }
    }
    Ok(())
}
