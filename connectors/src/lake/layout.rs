//! How a table's columns take those of a schema.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use millrace_model::{Code, Fault, Result, Schema};
use serde_json::{Value, json};
use uuid::Uuid;

use super::CAPABILITIES;
use super::fault::damaged;
use super::log::{MetaData, Protocol, Snapshot, check_readable, needed, now};
use super::partition::Folders;
use super::types::{column, delta, physical, shown, takes};
use crate::table::{Column, Misfit, MisfitKind, Quotes, check, unfit};
use crate::table_config::TableConfig;

/// What no column of a Delta table has in its name, unless names are mapped, which Millrace does not know.
const FORBIDDEN: &str = " ,;{}()\n\t=";
/// How long versions are kept for those who look back, and what is asked of other writers as well.
const LOG_RETENTION: &str = "interval 7 days";

/// A table, and the schema of the rows that it is to take.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) table: TableConfig,
    pub(super) schema: Schema,
    /// Where it is, for people.
    pub(super) name: String,
    pub(super) folders: Option<Folders>,
}

/// How the rows of a schema go into the table's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The columns of a batch, as they come and as they are in files.
    pub(super) columns: Vec<(Arc<Field>, Arc<Field>)>,
    /// The columns in which the table takes no null.
    pub(super) required: BTreeSet<String>,
    pub(super) folders: Option<Folders>,
}

/// A table compared with a schema.
pub(super) struct Compared {
    pub(super) layout: Layout,
    /// The columns that the table lacks.
    pub(super) missing: Vec<Field>,
    pub(super) misfits: Vec<Misfit>,
}

impl Target {
    pub(super) fn new(table: &TableConfig, schema: &Schema, name: String) -> Self {
        let folders = table.partition_by.as_ref().map(Folders::of);
        Self { table: table.clone(), schema: schema.clone(), name, folders }
    }

    /// The columns that a new table gets, or what makes it impossible.
    pub(super) fn columns(&self) -> Result<Vec<Column>> {
        let columns = check(&self.table, &self.schema, &CAPABILITIES, |_, _| String::new())?;
        let physical = self.physical()?;
        check_names(&physical)?;
        self.check_folders(&physical)?;
        let named = columns.into_iter().zip(&physical);
        let mut columns: Vec<Column> = named.map(|(known, field)| Column { sql_type: shown(&delta(field.data_type())), ..known }).collect();
        columns.extend(physical.iter().skip(columns.len()).map(|field| Column {
            name: field.name().clone(),
            sql_type: shown(&delta(field.data_type())),
            nullable: true,
        }));
        Ok(columns)
    }

    /// The table's columns as they are in files, and last that of its folders, where they add one.
    fn physical(&self) -> Result<Vec<Field>> {
        let unknown = |field: &Field| unfit(format!("column {:?} is of a type that no table holds ({})", field.name(), field.data_type()));
        let fields = self.schema.arrow().fields().iter().map(|field| physical(field).ok_or_else(|| unknown(field)));
        let added = self.folders.as_ref().and_then(Folders::added).map(Ok);
        fields.chain(added).collect()
    }

    fn check_folders(&self, columns: &[Field]) -> Result<()> {
        let Some((folders, by)) = self.folders.as_ref().zip(self.table.partition_by.as_ref()) else { return Ok(()) };
        let column = columns.iter().find(|field| *field.name() == by.column);
        if let Some(column) = column.filter(|column| !folders.takes(column)) {
            let shown = shown(&delta(column.data_type()));
            return Err(unfit(format!(
                "the column {:?} is of type {shown}, whose values can't name folders: partition by another column",
                by.column
            )));
        }
        if columns.len() == 1 {
            return Err(unfit("a table whose only column is that of its folders has no files: leave `partition_by` out"));
        }
        Ok(())
    }

    /// What a new table is.
    pub(super) fn fresh(&self) -> Result<(Protocol, MetaData)> {
        self.columns()?;
        let columns = self.physical()?;
        let fields: Vec<Value> = columns.iter().map(column).collect();
        let metadata = json!({
            "id": Uuid::new_v4().to_string(),
            "format": { "provider": "parquet", "options": {} },
            "schemaString": json!({ "type": "struct", "fields": fields }).to_string(),
            "partitionColumns": self.folders.iter().map(|folders| &folders.column).collect::<Vec<_>>(),
            "configuration": { "delta.logRetentionDuration": LOG_RETENTION },
            "createdTime": now(),
        });
        let metadata =
            serde_json::from_value(metadata).map_err(|error| Fault::fatal(Code::Internal, "describing a table").because(error))?;
        Ok((needed(has_local_timestamps(&columns), None), metadata))
    }

    /// What the table is with the columns that it lacks, and the protocol that it then needs, where that is another one.
    pub(super) fn grown(&self, snapshot: &Snapshot, missing: &[Field]) -> Result<(Option<Protocol>, MetaData)> {
        let (protocol, metadata) = facts(snapshot, &self.name)?;
        let mut columns = columns(metadata, &self.name)?;
        // Rows that are there already have null.
        columns.extend(missing.iter().map(|field| column(&field.clone().with_nullable(true))));
        let schema_string = json!({ "type": "struct", "fields": columns }).to_string();
        let needed = needed(has_local_timestamps(missing), Some(protocol));
        Ok(((needed != *protocol).then_some(needed), MetaData { schema_string, ..metadata.clone() }))
    }

    /// Compares the table with the schema.
    pub(super) fn compare(&self, snapshot: &Snapshot) -> Result<Compared> {
        let (protocol, metadata) = facts(snapshot, &self.name)?;
        check_readable(protocol, &self.name)?;
        let existing = columns(metadata, &self.name)?;
        self.check_partitioned(metadata)?;
        let physical = self.physical()?;
        let (mut missing, mut misfits, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for field in &physical {
            match find(&existing, field.name())? {
                None => {
                    missing.push(field.clone());
                    taken.push(field.clone());
                }
                Some(found) if takes(&found["type"], &delta(field.data_type())) => taken.push(as_in(found, field)),
                Some(found) => {
                    misfits.push(self.type_misfit(field, found));
                    taken.push(field.clone());
                }
            }
        }
        let unfilled =
            existing.iter().filter(|found| found["nullable"] == false && physical.iter().all(|field| found["name"] != **field.name()));
        misfits.extend(unfilled.map(|found| self.misfit(MisfitKind::Unfilled { column: name(found) })));
        let required = existing.iter().filter(|found| found["nullable"] == false).map(name).collect();
        Ok(Compared { layout: self.layout(taken, required), missing, misfits })
    }

    fn layout(&self, physical: Vec<Field>, required: BTreeSet<String>) -> Layout {
        let columns = self.schema.arrow().fields().iter().cloned().zip(physical.into_iter().map(Arc::new)).collect();
        Layout { columns, required, folders: self.folders.clone() }
    }

    fn check_partitioned(&self, metadata: &MetaData) -> Result<()> {
        let wanted: Vec<&String> = self.folders.iter().map(|folders| &folders.column).collect();
        if metadata.partition_columns.iter().eq(wanted.iter().copied()) {
            return Ok(());
        }
        let shown = |columns: Vec<&str>| if columns.is_empty() { "no column".to_owned() } else { columns.join(", ") };
        let is = shown(metadata.partition_columns.iter().map(String::as_str).collect());
        let wanted = shown(wanted.into_iter().map(String::as_str).collect());
        Err(unfit(format!(
            "the table {} is partitioned by {is}, and the pipeline partitions by {wanted}: change `partition_by`, or load into another table",
            self.name
        )))
    }

    fn type_misfit(&self, field: &Field, found: &Value) -> Misfit {
        let (declared, wanted) = (shown(&found["type"]), shown(&delta(field.data_type())));
        self.misfit(MisfitKind::Type { column: field.name().clone(), declared, wanted })
    }

    fn misfit(&self, kind: MisfitKind) -> Misfit {
        Misfit { table: self.name.clone(), kind, quotes: Quotes::Double }
    }

    /// That the table lacks columns which nothing adds by itself.
    pub(super) fn lacks(&self, missing: &[Field]) -> Fault {
        let columns: Vec<String> =
            missing.iter().map(|field| format!("{:?} ({})", field.name(), shown(&delta(field.data_type())))).collect();
        unfit(format!("the table {} has no column {}: `millrace apply` adds what is missing", self.name, columns.join(", ")))
    }
}

impl Compared {
    /// The layout, where all fits but columns that the table lacks.
    pub(super) fn fitting(self) -> Result<(Layout, Vec<Field>)> {
        match self.misfits.first() {
            Some(misfit) => Err(misfit.into()),
            None => Ok((self.layout, self.missing)),
        }
    }
}

/// Names that every reader of Delta tables takes.
fn check_names(columns: &[Field]) -> Result<()> {
    let mut known = BTreeSet::new();
    for name in columns.iter().map(Field::name) {
        if let Some(bad) = name.chars().find(|character| FORBIDDEN.contains(*character)) {
            return Err(unfit(format!(
                "the column name {name:?} has the character {bad:?}, which Delta tables do not take: name it otherwise under `columns`"
            )));
        }
        if !known.insert(name.to_lowercase()) {
            return Err(unfit(format!(
                "the table would have two columns {name:?}, for Delta tables do not tell case apart: name one otherwise under `columns`"
            )));
        }
    }
    Ok(())
}

fn facts<'a>(snapshot: &'a Snapshot, table: &str) -> Result<(&'a Protocol, &'a MetaData)> {
    let facts = snapshot.protocol.as_ref().zip(snapshot.metadata.as_ref());
    facts.ok_or_else(|| damaged(format!("{table} has no columns")))
}

/// The columns of a table that is there.
fn columns(metadata: &MetaData, table: &str) -> Result<Vec<Value>> {
    let schema: Value =
        serde_json::from_str(&metadata.schema_string).map_err(|error| damaged(format!("the columns of {table}: {error}")))?;
    let columns = schema["fields"].as_array().cloned().unwrap_or_default();
    if let Some(checked) = columns.iter().find(|column| column["metadata"].get("delta.invariants").is_some()) {
        return Err(unfit(format!(
            "the column {:?} of {table} has an invariant, which Millrace does not check: load into another table",
            name(checked)
        )));
    }
    Ok(columns)
}

fn name(column: &Value) -> String {
    column["name"].as_str().unwrap_or_default().to_owned()
}

fn find<'a>(existing: &'a [Value], wanted: &str) -> Result<Option<&'a Value>> {
    let found = existing.iter().find(|column| name(column).to_lowercase() == wanted.to_lowercase());
    match found.map(name) {
        Some(other) if other != wanted => {
            Err(unfit(format!("the table has a column {other:?}, which Delta does not tell from {wanted:?}: name it so under `columns`")))
        }
        _ => Ok(found),
    }
}

/// The column as the table's files have it, where its type is a wider one.
fn as_in(found: &Value, field: &Field) -> Field {
    match found["type"].as_str() {
        Some("long") => field.clone().with_data_type(DataType::Int64),
        Some("double") => field.clone().with_data_type(DataType::Float64),
        _ => field.clone(),
    }
}

fn has_local_timestamps(columns: &[Field]) -> bool {
    columns.iter().any(|field| delta(field.data_type()).to_string().contains("\"timestamp_ntz\""))
}
