//! What the sinks of table stores share: the target table, the kinds of columns, the look of nested values, the checks of
//! values before they are sent, and the search for the rows that a target refuses.

mod answered;
mod behind;
mod buffered;
mod examined;
mod json;
mod kind;
mod land;
mod limits;
mod misfit;
mod moments;
mod numbered;
mod partitioned;
mod quotes;
mod refused;
mod replacing;
mod shown;
mod target;
mod values;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema as ArrowSchema};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Fault, Rejection, Result, Schema};

pub use examined::{Advice, Definition, Examined};
pub use misfit::{Misfit, MisfitKind};
pub use quotes::Quotes;

pub(crate) use answered::Answered;
pub(crate) use behind::behind;
pub(crate) use buffered::{BufferedSink, Change, RoundSession};
pub(crate) use json::{JsonText, write_uuid};
pub(crate) use kind::{Kind, Unit};
pub(crate) use land::{Attempt, Outcome, land, land_refused};
pub(crate) use limits::{Limits, timestamps};
pub(crate) use moments::Moments;
pub(crate) use numbered::{Part, count, rejected, within};
pub(crate) use partitioned::{method, misfit as partition_misfit};
pub(crate) use refused::Refused;
pub(crate) use replacing::{Alignment, LOADING_MARKS, Replaced, Replacing};
pub(crate) use shown::iso_8601;
pub(crate) use target::{Existing, Role, Target};
pub(crate) use values::{Value, Values};

use crate::table_config::{Capabilities, Mode, TableConfig};

/// A column of a target table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in the target's SQL.
    pub sql_type: String,
    /// Whether it takes nulls.
    pub nullable: bool,
}

/// What a query answered, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryResult {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
}

/// The schema with those of its columns alone of which `keeps` says so by their names.
pub(crate) fn part_of(schema: &Schema, keeps: impl Fn(&str) -> bool) -> Schema {
    let fields: Vec<FieldRef> = schema.arrow().fields().iter().filter(|field| keeps(field.name())).cloned().collect();
    Schema::new(schema.avro().clone(), Arc::new(ArrowSchema::new(fields)))
}

/// Finds what makes a schema unfit for its table without looking at any target, and types its columns by `sql_type`.
pub(crate) fn check(
    table: &TableConfig,
    schema: &Schema,
    target: &Capabilities,
    sql_type: impl Fn(&str, Kind) -> String,
) -> Result<Vec<Column>> {
    check_capabilities(table, schema, target)?;
    let fields = schema.arrow().fields().iter();
    let columns = fields.map(|field| {
        let kind = Kind::of(field)
            .ok_or_else(|| unfit(format!("column {:?} is of a type that no table holds ({})", field.name(), field.data_type())))?;
        Ok(Column { name: field.name().clone(), sql_type: sql_type(field.name(), kind), nullable: field.is_nullable() })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    check_keys(table, schema)?;
    if let Some(misfit) = partitioned::misfit(table, schema, target) {
        return Err(unfit(misfit));
    }
    Ok(columns)
}

fn check_capabilities(table: &TableConfig, schema: &Schema, target: &Capabilities) -> Result<()> {
    let (name, mode) = (target.name, table.mode);
    if !target.has(mode) {
        let modes = target.modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", ");
        return Err(unfit(format!("{name} can't be loaded in mode: {mode}; it can in {modes}")));
    }
    let (columns, most) = (schema.arrow().fields().len(), target.most_columns(table));
    if columns > most {
        return Err(unfit(format!("{columns} columns are more than the {most} that {name} takes in mode: {mode}; leave some out")));
    }
    Ok(())
}

fn check_keys(table: &TableConfig, schema: &Schema) -> Result<()> {
    if table.keys.is_empty() && table.mode.is_keyed() {
        return Err(unfit(format!("mode: {} needs keys: name the columns that tell rows apart", table.mode)));
    }
    let counts = table.mode != Mode::Append;
    table.keys.iter().filter(|_| counts).try_for_each(|key| check_key(key, schema))
}

fn check_key(key: &str, schema: &Schema) -> Result<()> {
    let Ok(field) = schema.arrow().field_with_name(key) else {
        return Err(unfit(format!("the key column {key:?} is not in the schema {}", schema.name())));
    };
    if field.is_nullable() {
        return Err(unfit(format!(
            "the key column {key:?} is nullable; a key can't be null, so make the field non-nullable in the schema"
        )));
    }
    match Kind::of(field) {
        Some(kind) if kind.is_comparable() => Ok(()),
        _ => Err(unfit(format!("the key column {key:?} is of type {}, which can't tell rows apart", field.data_type()))),
    }
}

/// Makes sure that a batch's columns are of the schema, some of them or all.
pub(crate) fn check_columns(batch: &RecordBatch, schema: &Schema) -> Result<()> {
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        match schema.arrow().field_with_name(field.name()) {
            Ok(known) if known.data_type() == array.data_type() => {}
            _ => return Err(unfit(format!("column {:?} of a batch, of type {}, is not of the schema", field.name(), array.data_type()))),
        }
    }
    Ok(())
}

/// That table and schema do not fit, and what to do about it.
pub(crate) fn unfit(message: impl Into<String>) -> Fault {
    Fault::operator(Code::TargetSchema, message)
}

/// Refuses a schema that has a column of a name which the tables beside the target need for themselves.
pub(crate) fn check_names(target: &Target, reserved: &[&str]) -> Result<()> {
    let mut names = target.schema.arrow().fields().iter().map(|field| field.name().as_str());
    match names.find(|name| reserved.contains(name)) {
        Some(taken) => Err(unfit(format!("a column can't be named {taken:?} in mode: {}: rename it", target.table.mode))),
        None => Ok(()),
    }
}

/// That a batch is not what its schema says.
pub(crate) fn defect(error: ArrowError) -> Fault {
    Fault::fatal(Code::Internal, "a batch can't be read by its columns").because(error)
}

/// That a round was to be committed with rows that were never settled: their positions would pass them by.
pub(crate) fn unsettled() -> Fault {
    Fault::fatal(Code::Internal, "a round was committed before it was settled")
}

/// The rejections of deletions in a mode that has none.
pub(crate) fn no_deletions(mode: Mode, keys: &Batch) -> Vec<Rejection> {
    let reason = format!("mode: {mode} deletes no rows");
    keys.origin().rows().iter().map(|&record| Rejection::new(record, Code::TombstoneRefused, reason.clone())).collect()
}

/// That all rows were to be deleted in a mode that never does that.
pub(crate) fn no_clearing(mode: Mode) -> Fault {
    Fault::fatal(Code::Internal, format!("all rows were to be deleted in mode: {mode}"))
}

/// That a load was to begin or end in a mode that has none.
pub(crate) fn no_loads(mode: Mode) -> Fault {
    Fault::fatal(Code::Internal, format!("a whole load was to begin or end in mode: {mode}"))
}

/// An identifier, quoted as SQL has it.
pub(crate) fn quoted(name: &str) -> String {
    Quotes::Double.name(name)
}

/// A text as SQL has it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Identifiers, quoted, with commas between them.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    Quotes::Double.list(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partitioning;
    use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
    use serde_json::json;
    use std::sync::Arc;

    fn schema() -> Schema {
        let fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("note", DataType::Utf8, true),
            Field::new("tags", DataType::List(Arc::new(Field::new("item", DataType::Utf8, false))), false),
        ];
        Schema::new(json!({"type": "record", "name": "order"}), Arc::new(ArrowSchema::new(fields)))
    }

    const TARGET: Capabilities = Capabilities {
        name: "Test",
        modes: &[Mode::Append, Mode::Upsert],
        partitions: Partitioning::ALL,
        columns: 4,
        columns_of_stage: 1,
        columns_of_loading: 2,
        grows: true,
    };

    fn upsert(keys: &[&str]) -> TableConfig {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        TableConfig { pipeline: "p.load".into(), table: "orders".into(), mode: Mode::Upsert, keys, partition_by: None, redis: None }
    }

    fn message(keys: &[&str]) -> String {
        let fault = check(&upsert(keys), &schema(), &TARGET, |_, _| "x".into()).expect_err("does not fit");
        assert_eq!(fault.code(), Code::TargetSchema);
        fault.message().to_owned()
    }

    #[test]
    fn a_key_that_can_not_tell_rows_apart_is_refused_by_name() {
        assert!(message(&[]).contains("needs keys"));
        assert!(message(&["ident"]).contains("\"ident\" is not in the schema order"));
        assert!(message(&["id", "note"]).contains("\"note\" is nullable"));
        assert!(message(&["tags"]).contains("can't tell rows apart"));
        assert!(check(&upsert(&["id"]), &schema(), &TARGET, |_, _| "x".into()).is_ok());
    }

    #[test]
    fn what_the_target_can_not_do_is_refused_by_name() {
        let refused = |table: &TableConfig, target: &Capabilities| {
            check(table, &schema(), target, |_, _| "x".into()).expect_err("can't be done").message().to_owned()
        };
        let ignoring = TableConfig { mode: Mode::InsertIgnore, ..upsert(&["id"]) };
        assert_eq!(refused(&ignoring, &TARGET), "Test can't be loaded in mode: insert_ignore; it can in append, upsert");
        let narrow = Capabilities { columns: 3, ..TARGET };
        assert_eq!(refused(&upsert(&["id"]), &narrow), "3 columns are more than the 2 that Test takes in mode: upsert; leave some out");
        let append = TableConfig { mode: Mode::Append, ..upsert(&[]) };
        assert!(check(&append, &schema(), &narrow, |_, _| "x".into()).is_ok());
    }
}
